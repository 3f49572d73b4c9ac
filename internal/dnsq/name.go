package dnsq

import (
	"strings"

	"github.com/miekg/dns"
)

// The library writes names with \DDD in decimal and a dot at the end, we
// without and in octal. Both stand for labels of 1 to 63 bytes, 255 bytes
// together with a length before each and a zero at the end (RFC 1035 section
// 3.1).

// fromDots reads our form and writes the library's. Where dns_dfd.c drops
// empty labels, a name that has one is none here, as with res_query(3): mail
// for a..b is not mail for a.b. One dot at the end may stay.
func fromDots(name string) (string, bool) {
	if name == "." {
		return ".", true
	}
	name = strings.TrimSuffix(name, ".")
	var b strings.Builder
	size, label := 1, 0
	for i := 0; i < len(name); {
		c := name[i]
		i++
		if c == '.' {
			if label == 0 {
				return "", false
			}
			b.WriteByte('.')
			size += 1 + label
			label = 0
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
		if label++; label > 63 || size+1+label > 255 {
			return "", false
		}
		if plain(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'\\', '0' + c/100, '0' + c/10%10, '0' + c%10})
		}
	}
	b.WriteByte('.')
	return b.String(), label > 0
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// toDots reads the library's form and writes ours.
func toDots(name string) string {
	labels := dns.SplitDomainName(name)
	if len(labels) == 0 {
		return "."
	}
	var b strings.Builder
	for i, l := range labels {
		if i > 0 {
			b.WriteByte('.')
		}
		for _, c := range unescape(l) {
			octal(&b, c)
		}
	}
	return b.String()
}

func octal(b *strings.Builder, c byte) {
	switch {
	case 'A' <= c && c <= 'Z':
		b.WriteByte(c + 'a' - 'A')
	case plain(c):
		b.WriteByte(c)
	default:
		b.Write([]byte{'\\', '0' + c>>6, '0' + c>>3&7, '0' + c&7})
	}
}

// respell returns a name as the library will spell it in the answer, "\ " for
// "\032": the two must compare equal.
func respell(name string) string {
	var b [256]byte
	n, err := dns.PackDomainName(name, b[:], 0, nil, false)
	if err == nil {
		if s, _, err := dns.UnpackDomainName(b[:n], 0); err == nil {
			return s
		}
	}
	return name
}

// unescape undoes the library's \DDD and \c.
func unescape(s string) []byte {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			i++
			c = s[i]
			if i+2 < len(s) && digit(c) && digit(s[i+1]) && digit(s[i+2]) {
				c = (c-'0')*100 + (s[i+1]-'0')*10 + s[i+2] - '0'
				i += 2
			}
		}
		b = append(b, c)
	}
	return b
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

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

// IsName reports whether anything can have the name at all.
func IsName(name string) bool {
	_, ok := fromDots(name)
	return ok
}
