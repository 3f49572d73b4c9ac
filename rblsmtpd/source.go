package rblsmtpd

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// source is a list that is asked: of clients to keep out (-r), or of clients
// to let in whatever later sources say (-a).
type source struct {
	zone string
	anti bool

	// A plain zone lists who has a TXT record (-r) or an A record (-a) in it,
	// as in the original. With codes or a message it lists who has an A record
	// in it that is one of codes.
	byCode  bool
	codes   []codes // none: every return code
	message string  // for the client, %IP% being his address; "" is the TXT record

	// What was in force on the command line when the source was named.
	listed verdict       // refuse or bounce
	closed bool          // without an answer: no entry
	weight int           // of -r
	limit  time.Duration // for its answer; 0 is the resolver's own
}

// parse reads what follows -r or -a:
//
//	zone                       as in the original
//	zone:message               A records, the notation of a patch in wide use
//	zone=                      A records
//	zone=code,code-code        A records that are one of these
//	zone=code,code:message
//
// No zone can be meant that has a "=" or ":" in its name: host names have none.
func (s *source) parse(arg string) error {
	s.zone = arg
	i := strings.IndexAny(arg, "=:")
	if i < 0 {
		return nil
	}
	s.zone, s.byCode = arg[:i], true
	list, message, hasMessage := strings.Cut(arg[i:], ":")
	s.message = message
	if s.anti && hasMessage {
		return errors.New("-a " + arg + ": whom this list lets in sees no message")
	}
	if list = strings.TrimPrefix(list, "="); list == "" {
		return nil
	}
	for word := range strings.SplitSeq(list, ",") {
		c, ok := parseCodes(word)
		if !ok {
			return errors.New("return code " + word + " of " + s.zone + " is not 127.a.b.c, 127.a.b.c-d or 127.a.b.c/n")
		}
		s.codes = append(s.codes, c)
	}
	return nil
}

// codes is a range of return codes, both ends included.
type codes struct{ first, last netip.Addr }

// Lists answer within loopback (RFC 5782 section 2.1), where 127.255.255.0/24
// is how large ones say that the question was wrong: asked too often, through a
// public resolver, for a mistyped zone.
var (
	loopback = netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8)
	mistakes = netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 255, 255}), 24)
)

// parseCodes reads an address, an address and the last byte of another, or a
// network, within loopback.
func parseCodes(s string) (c codes, ok bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		p = p.Masked()
		c = codes{p.Addr(), lastOf(p)}
	} else {
		from, to, isRange := strings.Cut(s, "-")
		a, err := netip.ParseAddr(from)
		if err != nil {
			return c, false
		}
		c = codes{a, a}
		if isRange {
			n, err := strconv.ParseUint(to, 10, 8)
			if err != nil || !a.Is4() {
				return c, false
			}
			b := a.As4()
			b[3] = byte(n)
			c.last = netip.AddrFrom4(b)
		}
	}
	return c, loopback.Contains(c.first) && loopback.Contains(c.last) && c.first.Compare(c.last) <= 0
}

// lastOf returns the last address of an IPv4 network.
func lastOf(p netip.Prefix) netip.Addr {
	if !p.Addr().Is4() {
		return netip.Addr{}
	}
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// counts reports whether a return code is a listing, as far as s is asked.
func (s *source) counts(a netip.Addr) bool {
	if !loopback.Contains(a) || mistakes.Contains(a) {
		return false
	}
	for _, c := range s.codes {
		if c.first.Compare(a) <= 0 && a.Compare(c.last) <= 0 {
			return true
		}
	}
	return len(s.codes) == 0
}
