package ipme

import (
	"net/netip"
	"testing"
)

func TestIs(t *testing.T) {
	for _, tt := range []struct {
		ip   string
		want bool
	}{
		{"127.0.0.1", true},
		{"::ffff:127.0.0.1", true},
		{"0.0.0.0", true},
		{"::", true},
		{"192.0.2.1", false},   // TEST-NET-1
		{"2001:db8::1", false}, // documentation
	} {
		if got, err := Is(netip.MustParseAddr(tt.ip)); err != nil || got != tt.want {
			t.Errorf("Is(%s) = %v, %v; want %v", tt.ip, got, err, tt.want)
		}
	}
}

func TestLiterals(t *testing.T) {
	for host, want := range map[string]string{
		"[192.0.2.1]":            "192.0.2.1",
		"[127.000.000.001]":      "127.0.0.1", // decimal, as ip_scan reads it
		"[IPv6:2001:db8::1]":     "2001:db8::1",
		"[ipv6:2001:db8::1]":     "2001:db8::1",
		"[2001:db8::1]":          "2001:db8::1",
		"[IPv6:::ffff:10.0.0.1]": "10.0.0.1",
		"[IPv6:192.0.2.1]":       "192.0.2.1",
		"[fe80::1%eth0]":         "",
		"[192.0.2.256]":          "",
		"[192.0.2]":              "",
		"[192.0.2.1.1]":          "",
		"[+1.0.2.1]":             "",
		"192.0.2.1":              "",
		"[]":                     "",
		"[":                      "",
		"":                       "",
	} {
		ip, ok := ParseLiteral(host)
		if ok != (want != "") || ok && ip.String() != want {
			t.Errorf("ParseLiteral(%q): %v, %v, want %q", host, ip, ok, want)
		}
	}
}
