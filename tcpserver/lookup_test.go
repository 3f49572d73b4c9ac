package tcpserver

import (
	"bytes"
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

func TestLookupPort(t *testing.T) {
	for s, want := range map[string]uint16{"25": 25, "025": 25, "0": 0, "": 0, "65535": 65535} {
		if got, ok := lookupPort(s); !ok || got != want {
			t.Errorf("%q: %d, %v", s, got, ok)
		}
	}
	for _, s := range []string{"65536", "99999999999999999999999", "-1", "25x", "#", "tcp"} {
		if got, ok := lookupPort(s); ok {
			t.Errorf("%q: %d", s, got)
		}
	}
}

func TestIdent(t *testing.T) {
	long := strings.Repeat("q", 1000)
	for _, tt := range []struct {
		answer, info string
		ok           bool
	}{
		{"4000 , 25 : USERID : UNIX : joe\r\n", "joe", true},
		{"1,2:USERID:UNIX:a:b c\td\r\n", "a:bcd", true},
		{":::\n", "", true},
		{"x\n", "", true},
		{":::joe\x00x\n", "joe", true},
		{":::" + long + "\n", long[:identMax], true},
		{":::joe", "", false},
		{"", "", false},
		{long + long + long + long + long, "", false},
	} {
		if info, ok := parseIdent(strings.NewReader(tt.answer)); info != tt.info || ok != tt.ok {
			t.Errorf("%.40q: %q, %v", tt.answer, info, ok)
		}
	}
}

func FuzzIdent(f *testing.F) {
	f.Add([]byte("4000 , 25 : USERID : UNIX : joe\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if info, ok := parseIdent(bytes.NewReader(b)); len(info) > identMax || strings.ContainsAny(info, "\x00\n \t\r") || !ok && info != "" {
			t.Errorf("%q: %q, %v", b, info, ok)
		}
	})
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
