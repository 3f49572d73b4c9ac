package dns

import (
	"context"
	"net/netip"
	"slices"

	"paperpath/internal/ipme"
	"paperpath/internal/proc"
)

// Ipmeprint is the program ipmeprint(1): it prints the addresses that the mail
// system takes for its own, the IPv4 ones first.
var Ipmeprint = proc.Program{Name: "ipmeprint", Run: ipmeprint}

func ipmeprint(_ context.Context, env *proc.Env) error {
	list, err := ipme.Addresses()
	if err != nil {
		return proc.Verbatim(proc.StatusPermanent, "hard error")
	}
	slices.SortStableFunc(list, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	var lines []string
	for _, a := range list {
		lines = append(lines, a.String())
	}
	return put(env, lines)
}
