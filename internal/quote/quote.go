// Package quote writes an address where RFC 5321 and RFC 5322 want one: in
// MAIL FROM, Return-Path, a bounce. A box (what stands before the last @) that
// is not a dot-atom becomes a quoted string:
//
//	god@heaven          god@heaven
//	two words@heaven    "two words"@heaven
//	.dot@heaven         ".dot"@heaven
//	a"b@heaven          "a\"b"@heaven
//
// The domain is left alone. The two RFCs do not agree on what needs a
// backslash; CR, LF, the quote and the backslash get one (quote.c).
package quote

import "strings"

// Address returns addr with its box quoted if need be. The empty address
// stays empty; one without @ is all box.
func Address(addr string) string {
	if addr == "" {
		return ""
	}
	box, domain := addr, ""
	if at := strings.LastIndexByte(addr, '@'); at >= 0 {
		box, domain = addr[:at], addr[at:]
	}
	return Box(box) + domain
}

// Box quotes a box if need be.
func Box(box string) string {
	if !Needed(box) {
		return box
	}
	b := make([]byte, 0, len(box)+8)
	b = append(b, '"')
	for i := range len(box) {
		switch c := box[i]; c {
		case '\r', '\n', '"', '\\':
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

// Needed reports whether a box must be quoted.
func Needed(box string) bool { return !isDotAtom(box) }

// isDotAtom reports whether s is RFC 5322's dot-atom. Bytes above 127 are not
// part of one here, as in quote.c, although RFC 6532 would allow them.
func isDotAtom(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 127 || strings.IndexByte(`"(),:;<>@[\]`, c) >= 0 {
			return false
		}
	}
	return true
}
