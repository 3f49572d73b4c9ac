package tcpserver

import (
	"net/netip"
	"strings"
	"testing"
)

func TestLogged(t *testing.T) {
	for s, want := range map[string]string{
		"plain.example":          "plain.example",
		"a b:c%d\x1b\n\xff":      "a?b?c?d???",
		strings.Repeat("x", 99):  strings.Repeat("x", 99),
		strings.Repeat("x", 100): strings.Repeat("x", 100) + "...",
		strings.Repeat("x", 500): strings.Repeat("x", 100) + "...",
	} {
		if got := logged(s); got != want {
			t.Errorf("%q: %q", s, got)
		}
	}
}

func FuzzParseIPv4(f *testing.F) {
	f.Add("127.000.000.001")
	f.Fuzz(func(t *testing.T, s string) {
		if want, err := netip.ParseAddr(s); err == nil && want.Is4() {
			if got, ok := parseIPv4(s); !ok || got != want {
				t.Errorf("%q: %v, %v", s, got, ok)
			}
		}
	})
}
