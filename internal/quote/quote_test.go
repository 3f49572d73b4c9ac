package quote

import (
	"strings"
	"testing"
)

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{
		"":                 "",
		"a":                "a",
		"a@b":              "a@b",
		"a.b-c+d=e/f@b":    "a.b-c+d=e/f@b",
		"!#$%&'*^_`{|}~?@": "!#$%&'*^_`{|}~?@",
		"a b@c":            `"a b"@c`,
		"a@b@c":            `"a@b"@c`,
		"@c":               `""@c`,
		".a@b":             `".a"@b`,
		"a.@b":             `"a."@b`,
		"a..b@c":           `"a..b"@c`,
		`"a"@b`:            `"\"a\""@b`,
		`a\b@c`:            `"a\\b"@c`,
		"a\r\nb@c":         "\"a\\\r\\\nb\"@c",
		"a\tb@c":           "\"a\tb\"@c",
		"(a)@b":            `"(a)"@b`,
		"a,b;c:d<e>[f]@g":  `"a,b;c:d<e>[f]"@g`,
		"\xc3\xa9@b":       "\"\xc3\xa9\"@b",
		"\x7f@b":           "\"\x7f\"@b",
		"a@b c":            "a@b c",
		"#@[]":             "#@[]",
	} {
		if got := Address(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// FuzzAddress: the domain stays, and what is quoted reads back as the box.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"", "a@b", "a\"\\\r\n@b", ".@", "@@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, addr string) {
		got := Address(addr)
		at := strings.LastIndexByte(addr, '@')
		box, domain := addr, ""
		if at >= 0 {
			box, domain = addr[:at], addr[at:]
		}
		read, ok := strings.CutSuffix(got, domain)
		if !ok {
			t.Fatalf("%q: %q", addr, got)
		}
		if strings.HasPrefix(read, `"`) {
			read = unquote(t, read)
		} else if strings.ContainsAny(read, "\r\n\"\\ <>@\x00") {
			t.Errorf("%q: %q is not quoted", addr, read)
		}
		if read != box {
			t.Errorf("%q: %q reads as %q", addr, got, read)
		}
	})
}

func unquote(t *testing.T, s string) string {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"' && i == len(s)-1:
			return b.String()
		case s[i] == '"':
			t.Fatalf("%q: a quote within", s)
		case s[i] == '\\':
			i++
		}
		b.WriteByte(s[i])
	}
	t.Fatalf("%q: does not end", s)
	return ""
}
