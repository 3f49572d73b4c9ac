package token822

import "strings"

// NeedsQuotes reports whether the local part of an address must be written as
// a quoted string: it is empty, its dots are not between words, or it has a
// byte that RFC 821 and RFC 822 do not both allow in words.
func NeedsQuotes(local string) bool {
	if local == "" || local[0] == '.' || local[len(local)-1] == '.' {
		return true
	}
	for i := range len(local) {
		c := local[i]
		if c >= 128 || !plain[c] || c == '.' && local[i-1] == '.' {
			return true
		}
	}
	return false
}

// plain are the bytes of unquoted local parts.
var plain = func() (t [128]bool) {
	for c := byte('!'); c <= '~'; c++ {
		t[c] = strings.IndexByte(`"(),:;<>@[\]`, c) < 0
	}
	return t
}()

// QuoteAddress returns an envelope address as SMTP commands, header fields and
// Return-Path lines have it: the local part, which ends at the last @, in
// quotation marks if it needs them. The empty address stays empty.
func QuoteAddress(addr string) string {
	if addr == "" {
		return ""
	}
	local, domain := addr, ""
	if at := strings.LastIndexByte(addr, '@'); at >= 0 {
		local, domain = addr[:at], addr[at:]
	}
	if !NeedsQuotes(local) {
		return addr
	}
	b := make([]byte, 0, 2*len(local)+2+len(domain))
	b = append(b, '"')
	for i := range len(local) {
		switch c := local[i]; c {
		case '\r', '\n', '"', '\\':
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	b = append(b, '"')
	return string(append(b, domain...))
}
