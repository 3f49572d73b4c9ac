package dns

import (
	"context"
	"errors"

	"paperpath/internal/dnsq"
	"paperpath/internal/proc"
)

// Dnsfq is the program dnsfq(1).
var Dnsfq = proc.Program{Name: "dnsfq", Usage: "host", Run: asked(dnsfq)}

// dnsfq returns the name that the first address of a host has. The host's own
// name may be short, so it alone is searched for.
func dnsfq(ctx context.Context, r *dnsq.Resolver, host string) ([]string, error) {
	names := []string{host}
	if _, ok := literal(host); !ok {
		var err error
		if names, err = r.Search(host); err != nil {
			return nil, err
		}
	}
	trouble := dnsq.ErrNone
	for _, name := range names {
		list, err := addresses(ctx, r, name)
		if err == nil {
			return dnsptr(ctx, r, list[0].String())
		}
		if !errors.Is(err, dnsq.ErrNone) {
			trouble = err // and goes on, as res_search(3) does
		}
	}
	return nil, trouble
}
