package dnsq

import (
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// domain is a name as package dnsmessage has it: labels without any escapes, each
// with a dot behind it. The root is ".".
type domain string

const (
	maxLabel = 63
	maxName  = 254 // 255 bytes in messages (RFC 1035 section 3.1)
	root     = domain(".")
)

// toDomain returns the empty string for the name of a record that could not be
// read.
func toDomain(n dnsmessage.Name) domain { return domain(n.String()) }

// fromDots reads the dotted form. Where dns_dfd.c drops empty labels, a name
// that has one is none here, as with res_query(3): mail for a..b is not mail for
// a.b. One dot at the end may stay. Nor is a name one that has a dot within a
// label: it would become two labels.
func fromDots(name string) (domain, bool) {
	if name == "." {
		return root, true
	}
	name = strings.TrimSuffix(name, ".") + "."
	b := make([]byte, 0, maxName)
	label := 0 // where it began
	for i := 0; i < len(name); {
		c := name[i]
		i++
		switch {
		case c == '.':
			if len(b) == label {
				return "", false
			}
			label = len(b) + 1
		case c == '\\':
			if c, i = unescape(name, i); c == '.' {
				return "", false
			}
		}
		if len(b) == maxName || len(b)-label == maxLabel {
			return "", false
		}
		b = append(b, c)
	}
	return domain(b), true
}

// unescape reads what follows a backslash.
func unescape(name string, i int) (c byte, next int) {
	c = name[i]
	i++
	if '0' <= c && c <= '7' {
		c -= '0'
		for n := 0; n < 2 && '0' <= name[i] && name[i] <= '7'; n++ {
			c = c<<3 + name[i] - '0'
			i++
		}
	}
	return c, i
}

// IsName reports whether anything can have the name at all.
func IsName(name string) bool {
	_, ok := fromDots(name)
	return ok
}

// dots writes the dotted form, in lower case and with \ooo for odd bytes.
func (d domain) dots() string {
	if d == root {
		return "."
	}
	var b strings.Builder
	for _, c := range []byte(strings.TrimSuffix(string(d), ".")) {
		switch c = lower(c); {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
			b.WriteByte(c)
		default:
			b.Write([]byte{'\\', '0' + c>>6, '0' + c>>3&7, '0' + c&7})
		}
	}
	return b.String()
}

// equal compares names as the DNS does, without regard to the case of ASCII
// letters (RFC 4343).
func (d domain) equal(e domain) bool {
	if len(d) != len(e) {
		return false
	}
	for i := range len(d) {
		if lower(d[i]) != lower(e[i]) {
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
