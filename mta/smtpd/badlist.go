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

// looksLikePattern tells a pattern from an address. Old lists may have any
// address, and nobody|x@spam.example read as a pattern is everybody whose name
// has "nobody" in it: what can be an address is one, unless it begins with ! or ^
// or has .* in it, as a pattern may and hardly an address does.
func looksLikePattern(line string) bool {
	if strings.HasPrefix(line, "!") || strings.HasPrefix(line, "^") || strings.Contains(line, ".*") {
		return true
	}
	return !isAddress(line) && strings.ContainsAny(line, `\^$*?()[]{}|`)
}

// isAddress recognizes user@host with the user a Dot-string (RFC 5321 section
// 4.1.2), @host, and both with an address in brackets for the host.
func isAddress(line string) bool {
	at := strings.LastIndexByte(line, '@')
	if at < 0 || at > 0 && !dotted(line[:at], alnum+"!#$%&'*+-/=?^_`{|}~") {
		return false
	}
	_, literal := ipme.ParseLiteral(line[at+1:])
	return literal || dotted(line[at+1:], alnum+"-")
}

const alnum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// dotted reports whether s is words of these characters with dots between them.
func dotted(s, chars string) bool {
	for word := range strings.SplitSeq(s, ".") {
		if word == "" || strings.Trim(word, chars) != "" {
			return false
		}
	}
	return true
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

// bad returns the reply that refuses mail from this sender to addr by one of the
// control files named bad…, "" for none. The replies, their order and the lines
// in the log are those of relay-reject, qregex and spamcontrol.
func (s *session) bad(addr string) (refusal string, err error) {
	switch {
	case s.rejectRelayTest && !s.mayRelay && relayTest(addr):
		return "553 we don't relay (#5.7.1)", nil
	case s.heloPattern != "":
		s.logBad("badhelo", s.peer.Helo, s.heloPattern)
		return "553 sorry, your HELO host name has been denied (#5.7.1)", nil
	case s.senderListed:
		return "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)", nil
	case s.senderPattern != "":
		s.logBad("badmailfrom", s.sender, s.senderPattern)
		return "553 sorry, your envelope sender has been denied (#5.7.1)", nil
	}
	line := s.badMailTo.match(addr)
	if line == "" && !s.mayRelay {
		line = s.badMailToNoRelay.match(addr)
	}
	if line != "" {
		s.logBad("badmailto", addr, line)
		return "553 sorry, your envelope recipient has been denied (#5.7.1)", nil
	}
	listed, line := s.badRcptTo.has(addr), s.badRcptTo.patterns.match(addr)
	if !listed && line == "" {
		key := control.Lower(addr)
		if listed, err = s.moreBadRcptTo.Has(key); err == nil && !listed {
			if at := strings.LastIndexByte(key, '@'); at >= 0 {
				listed, err = s.moreBadRcptTo.Has(key[at:])
			}
		}
	}
	if !listed && line == "" || err != nil {
		return "", err
	}
	s.logBad("badrcptto", addr, line)
	return "553 sorry, your envelope recipient is in my badrcptto list (#5.7.1)", nil
}

// logBad logs a refusal. What the client said is shown without control bytes.
func (s *session) logBad(file, what, pattern string) {
	what = strings.Map(func(r rune) rune {
		if r < ' ' || r == 127 {
			return '?'
		}
		return r
	}, what)
	if s.logPatterns && pattern != "" {
		s.say(file + ": <" + what + "> matches pattern: " + pattern)
	} else {
		s.say(file + ": <" + what + "> at " + s.peer.IP)
	}
}

// unknownSender reports whether the client has no name in DNS, and its sender
// is in control/badmailfrom-unknown: by address, by @host or by user@
// (qmail-ldap's bmfunknowncheck).
func (s *session) unknownSender(addr string) bool {
	if len(s.badMailFromUnknown) == 0 || control.Lower(s.peer.Host) != "unknown" {
		return false
	}
	if s.badMailFromUnknown.Has(addr) {
		return true
	}
	at := strings.LastIndexByte(addr, '@')
	return at >= 0 && (s.badMailFromUnknown.Has(addr[at:]) || s.badMailFromUnknown.Has(addr[:at+1]))
}
