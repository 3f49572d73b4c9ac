package smtpd

import (
	"strings"

	"paperpath/internal/ipme"
)

// maxAddress is the longest address with the NUL that follows it in the
// envelope. It is C's, and below qmail-queue's own limit (queue.MaxAddress):
// no message is taken and then refused for the length of an address.
const maxAddress = 900

// maxDomain is the longest name that DNS can hold (RFC 1035 section 2.3.4).
const maxDomain = 255

// parsePath finds the address in the argument of MAIL or RCPT and returns what
// stands behind it. ok is false for what cannot be an address.
//
// It is as forgiving as addrparse in qmail-smtpd.c: "FROM:" and "TO:" are not
// looked at, an address may come without brackets behind a colon, and text in
// front of the bracket is passed over; a source route is stripped (RFC 5321
// appendix C); quotes and backslashes are resolved wherever they stand. It
// does not forgive what C silently cut: a bracket or quote that is never
// closed, a second address, and control bytes, which would drive the terminal
// of whoever reads a log or Return-Path.
func parsePath(arg string) (addr, rest string, ok bool) {
	end := byte('>')
	if i := strings.IndexByte(arg, '<'); i >= 0 {
		arg = arg[i+1:]
	} else {
		end = ' '
		_, after, colon := strings.Cut(arg, ":")
		arg = strings.TrimLeft(after, " ")
		if !colon || arg == "" {
			return "", "", false
		}
	}
	if strings.HasPrefix(arg, "@") {
		route, after, found := strings.Cut(arg, ":")
		if !found || strings.IndexByte(route, end) >= 0 {
			return "", "", false
		}
		arg = after
	}

	b := make([]byte, 0, len(arg))
	escaped, quoted, closed := false, false, false
	i := 0
	for ; i < len(arg) && !closed; i++ {
		c := arg[i]
		switch {
		case c < ' ' || c == 127:
			return "", "", false
		case escaped:
			escaped = false
			b = append(b, c)
		case c == end && !quoted:
			closed = true
		case c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		default:
			b = append(b, c)
		}
	}
	rest = arg[i:]
	switch {
	case escaped || quoted,
		end == '>' && (!closed || rest != "" && rest[0] != ' '),
		len(b)+1 > maxAddress:
		return "", "", false
	}
	addr = string(b)
	if at := strings.LastIndexByte(addr, '@'); at >= 0 && len(addr[at+1:]) > maxDomain {
		return "", "", false
	}
	return addr, rest, true
}

// localize replaces a domain that is one of this machine's addresses in
// brackets (RFC 5321 section 4.1.3) by host.
func localize(addr, host string) (string, error) {
	at := strings.LastIndexByte(addr, '@')
	ip, ok := ipme.ParseLiteral(addr[at+1:])
	if at < 0 || !ok {
		return addr, nil
	}
	mine, err := ipme.Is(ip)
	if mine {
		addr = addr[:at+1] + host
	}
	return addr, err
}

// verp reports whether sender is to become an address for each recipient, by
// qmail-send here (addresses(5)). Another host's qmail-send has done so before
// the message goes out: from strangers such a sender is a way to addresses of
// their choice. The other special sender, #@[], does come from other hosts: C
// qmail-remote writes it on their double bounces.
func verp(sender string) bool { return strings.HasSuffix(sender, "-@[]") }
