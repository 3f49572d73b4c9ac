package dns

import (
	"context"
	"net/netip"
	"strings"

	"paperpath/internal/dnsq"
	"paperpath/internal/ipme"
	"paperpath/internal/proc"
)

// Dnsptr is the program dnsptr(1).
var Dnsptr = proc.Program{Name: "dnsptr", Usage: "address", Run: asked(dnsptr)}

func dnsptr(ctx context.Context, r *dnsq.Resolver, address string) ([]string, error) {
	a, ok := literal(address)
	if !ok {
		a, ok = beginning(address)
	}
	if !ok {
		return nil, dnsq.ErrNone
	}
	names, err := r.PTR(ctx, a)
	if err != nil {
		return nil, err
	}
	return names[:1], nil
}

// beginning returns the IPv4 address that a string begins with, as ip_scan.c
// does, which stops behind the fourth number: 192.0.2.1:25 is one.
func beginning(s string) (netip.Addr, bool) {
	rest := strings.TrimLeft(s, ".0123456789")
	parts := strings.SplitN(s[:len(s)-len(rest)], ".", 5)
	return ipme.ParseDotted(strings.Join(parts[:min(4, len(parts))], "."))
}
