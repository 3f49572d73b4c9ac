package dns

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"

	"paperpath/internal/dnsq"
	"paperpath/internal/proc"
)

// Dnsmxip is the program dnsmxip(1).
var Dnsmxip = proc.Program{Name: "dnsmxip", Usage: "domain", Run: asked(dnsmxip)}

// maxHosts is how many exchangers are looked up, the best, as by qmail-remote.
const maxHosts = 32

// dnsmxip returns the addresses of a domain's exchangers and their preferences,
// best first and equal ones in any order (dns_mxip in dns.c). A domain without
// exchangers is its own.
func dnsmxip(ctx context.Context, r *dnsq.Resolver, domain string) (lines []string, err error) {
	var mx []dnsq.MX
	if _, ok := literal(domain); !ok {
		if mx, err = r.MX(ctx, domain); err != nil && !errors.Is(err, dnsq.ErrNone) {
			return nil, err
		}
	}
	if len(mx) == 0 {
		list, err := addresses(ctx, r, domain)
		for _, a := range list {
			lines = append(lines, a.String()+" 0")
		}
		return lines, err
	}
	rand.Shuffle(len(mx), func(i, j int) { mx[i], mx[j] = mx[j], mx[i] })
	slices.SortStableFunc(mx, func(a, b dnsq.MX) int { return cmp.Compare(a.Pref, b.Pref) })
	var doubt error
	for _, m := range mx[:min(len(mx), maxHosts)] {
		list, err := addresses(ctx, r, m.Host)
		if err != nil && !errors.Is(err, dnsq.ErrNone) {
			doubt = err
		}
		for _, a := range list {
			lines = append(lines, a.String()+" "+strconv.Itoa(int(m.Pref)))
		}
	}
	if len(lines) == 0 {
		return nil, doubt
	}
	return lines, nil
}
