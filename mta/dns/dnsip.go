package dns

import (
	"context"

	"paperpath/internal/dnsq"
	"paperpath/internal/proc"
)

// Dnsip is the program dnsip(1).
var Dnsip = proc.Program{Name: "dnsip", Usage: "host", Run: asked(dnsip)}

func dnsip(ctx context.Context, r *dnsq.Resolver, host string) (lines []string, err error) {
	list, err := addresses(ctx, r, host)
	for _, a := range list {
		lines = append(lines, a.String())
	}
	return lines, err
}
