package dns

import (
	"context"
	"errors"
	"strings"

	"paperpath/internal/dnsq"
	"paperpath/internal/proc"
)

// Dnscname is the program dnscname(1).
var Dnscname = proc.Program{Name: "dnscname", Usage: "host", Run: asked(dnscname)}

// dnscname follows aliases to what is none (dns_cname in qmail 1.03's dns.c). A
// name that does not exist is no alias either, and printed as it is.
func dnscname(ctx context.Context, r *dnsq.Resolver, host string) ([]string, error) {
	for range 10 {
		host = strings.TrimRight(host, ".")
		if host == "" || strings.HasSuffix(host, "]") {
			return []string{host}, nil
		}
		target, err := r.CNAME(ctx, host)
		if errors.Is(err, dnsq.ErrNone) {
			return []string{host}, nil
		}
		if err != nil {
			return nil, err
		}
		host = target
	}
	return nil, dnsq.ErrNone // a loop
}
