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
