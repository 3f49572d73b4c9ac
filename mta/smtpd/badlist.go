package smtpd

import (
	"strings"

	"paperpath/internal/ipme"
	"paperpath/mta/control"
)

// badList is a list of addresses from which, or for which, nothing is taken:
//
//	evil@bad.example    that address
//	@bad.example        every address at that host
//	!@    ^a.*@bad      a pattern
//
// The first two are what badmailfrom has always had, in any case of letters.
// qregex reads every line as a pattern and would find @bad.example in
// u@bad.example.org: here a line is one only if it looks like one.
type badList struct {
	addresses control.Map
	patterns  patterns
}

// has reports whether addr, or its domain with the @, is an address of the
// list.
func (l *badList) has(addr string) bool {
	if l.addresses.Has(addr) {
		return true
	}
	at := strings.LastIndexByte(addr, '@')
	return at >= 0 && l.addresses.Has(addr[at:])
}

// looksLikePattern tells a pattern from an address. Real addresses have none
// of these characters, but for the brackets of @[192.0.2.1].
func looksLikePattern(line string) bool {
	if _, ok := ipme.ParseLiteral(line[strings.LastIndexByte(line, '@')+1:]); ok {
		return false
	}
	return strings.HasPrefix(line, "!") || strings.ContainsAny(line, `\^$*?()[]{}|`)
}

// relayTest reports whether a recipient's local part looks like an address for
// another host, with % or ! or an @ of its own. Those who look for open relays
// send such; here they are addresses like others, but for the bounces that
// they lead to and the lists that the looking puts a server on.
func relayTest(addr string) bool {
	local := addr
	if at := strings.LastIndexByte(addr, '@'); at >= 0 {
		local = addr[:at]
	}
	return strings.ContainsAny(local, "@%!")
}
