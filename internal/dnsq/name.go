package dnsq

import (
	"net/netip"
	"slices"
	"strings"
)

// wireName is a name as messages have it: labels with a length before each and
// an empty one at the end (RFC 1035 section 3.1). Lengths are below 64 and no
// letters, so that names compare as text does.
type wireName string

const (
	maxLabel = 63
	maxName  = 255
	root     = wireName("\x00")
)

// fromDots reads the dotted form. Where dns_dfd.c drops empty labels, a name
// that has one is none here, as with res_query(3): mail for a..b is not mail for
// a.b. One dot at the end may stay.
func fromDots(name string) (wireName, bool) {
	if name == "." {
		return root, true
	}
	name = strings.TrimSuffix(name, ".")
	b := make([]byte, 1, maxName+1) // b[label] is to be the length of what follows
	label := 0
	end := func() bool {
		n := len(b) - label - 1
		b[label] = byte(n)
		label = len(b)
		b = append(b, 0)
		return n > 0
	}
	for i := 0; i < len(name); {
		c := name[i]
		i++
		if c == '.' {
			if !end() {
				return "", false
			}
			continue
		}
		if c == '\\' {
			if i == len(name) {
				return "", false
			}
			c = name[i]
			i++
			if '0' <= c && c <= '7' {
				c -= '0'
				for n := 0; n < 2 && i < len(name) && '0' <= name[i] && name[i] <= '7'; n++ {
					c = c<<3 + name[i] - '0'
					i++
				}
			}
		}
		if len(b)-label > maxLabel || len(b) >= maxName-1 {
			return "", false
		}
		b = append(b, c)
	}
	if !end() {
		return "", false
	}
	return wireName(b), true
}

// IsName reports whether anything can have the name at all.
func IsName(name string) bool {
	_, ok := fromDots(name)
	return ok
}

// dots writes the dotted form.
func (w wireName) dots() string {
	if w == root {
		return "."
	}
	var b strings.Builder
	for i := 0; w[i] != 0; i += 1 + int(w[i]) {
		if i > 0 {
			b.WriteByte('.')
		}
		for _, c := range []byte(w[i+1 : i+1+int(w[i])]) {
			appendPlain(&b, c)
		}
	}
	return b.String()
}

// appendPlain writes one byte of a label, in lower case or as \ooo.
func appendPlain(b *strings.Builder, c byte) {
	switch {
	case 'A' <= c && c <= 'Z':
		b.WriteByte(c + 'a' - 'A')
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		b.WriteByte(c)
	default:
		b.Write([]byte{'\\', '0' + c>>6, '0' + c>>3&7, '0' + c&7})
	}
}

// equal compares names as the DNS does, without regard to the case of ASCII
// letters (RFC 4343).
func (w wireName) equal(x wireName) bool {
	if len(w) != len(x) {
		return false
	}
	for i := range len(w) {
		if lower(w[i]) != lower(x[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// Reversed returns an address as it stands in names, last part first: 4.3.2.1
// for 1.2.3.4, and the 32 nibbles of an IPv6 address (RFC 3596 section 2.5).
func Reversed(a netip.Addr) string {
	if a = a.Unmap(); a.Is4() {
		parts := strings.Split(a.String(), ".")
		slices.Reverse(parts)
		return strings.Join(parts, ".")
	}
	const hex = "0123456789abcdef"
	var b []byte
	for _, c := range slices.Backward(a.AsSlice()) {
		b = append(b, hex[c&15], '.', hex[c>>4], '.')
	}
	return string(b[:max(0, len(b)-1)])
}

// shown makes any name fit for a log line.
func shown(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if i == 300 {
			break
		}
		if c := name[i]; c > ' ' && c < 127 {
			b.WriteByte(c)
		} else {
			b.WriteByte('?')
		}
	}
	return b.String()
}
