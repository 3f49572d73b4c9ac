package remote

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"paperpath/internal/dnsq"
)

const (
	maxHosts   = 32              // exchangers of a domain that are looked up, the best
	maxAddrs   = 16              // addresses of one host that are tried
	lookupTime = 5 * time.Minute // for all questions about one domain
)

// resolver is what is used of dnsq.Resolver.
type resolver interface {
	MX(ctx context.Context, name string) ([]dnsq.MX, error)
	Addrs(ctx context.Context, name string) ([]netip.Addr, error)
}

// exchanger is an address that takes a domain's mail.
type exchanger struct {
	addr netip.Addr
	pref uint16
	// other means that the same host has an address of the other kind, next
	// in the list: a reason not to wait long for this one.
	other bool
}

// mxps reports whether a preference says that the host takes mail by QMTP, too:
// 12801, 12817, … 13041 (https://cr.yp.to/im/mxps.html).
func mxps(pref uint16) bool { return pref >= 12800 && pref <= 13055 && pref%16 == 1 }

// relayAddrs returns the addresses of a host that the administrator named.
func relayAddrs(ctx context.Context, dns resolver, host string) ([]exchanger, error) {
	if ip, ok := literal(host); ok { // and no timer is started, which costs
		return []exchanger{{addr: ip}}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	return hostAddrs(ctx, dns, host, 0)
}

// exchangers returns the addresses for a domain's mail, those to be tried
// first in front (RFC 5321 section 5.1; dns_mxip in dns.c): by preference, at
// random among equals. An error is a report, or a temporary one with what was
// found nevertheless: then something better may exist that is not in the list.
func exchangers(ctx context.Context, dns resolver, domain string) (list []exchanger, err error) {
	if ip, ok := literal(domain); ok {
		return []exchanger{{addr: ip}}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()

	mx, err := dns.MX(ctx, domain)
	if errors.Is(err, dnsq.ErrNone) {
		return hostAddrs(ctx, dns, domain, 0) // the domain itself is the exchanger
	}
	if err != nil {
		return nil, dnsTemporary
	}
	if len(mx) == 1 && mx[0].Host == "." {
		return nil, nullMX(domain)
	}
	rand.Shuffle(len(mx), func(i, j int) { mx[i], mx[j] = mx[j], mx[i] })
	slices.SortStableFunc(mx, func(a, b dnsq.MX) int { return cmp.Compare(a.Pref, b.Pref) })

	var doubt error
	if len(mx) > maxHosts {
		mx, doubt = mx[:maxHosts], dnsTemporary
	}
	for _, m := range mx {
		found, err := hostAddrs(ctx, dns, m.Host, m.Pref)
		if err == dnsTemporary {
			doubt = dnsTemporary
		}
		list = append(list, found...) // an exchanger that does not exist is passed over
	}
	if len(list) == 0 && doubt == nil {
		return nil, noExchanger
	}
	return list, doubt
}

// hostAddrs returns the addresses of one host, IPv6 and IPv4 in turn, as long
// as there are both: a dead network costs one attempt, not one for each of a
// host's addresses on it (RFC 8305 section 4).
func hostAddrs(ctx context.Context, dns resolver, host string, pref uint16) ([]exchanger, error) {
	if ip, ok := literal(host); ok {
		return []exchanger{{addr: ip, pref: pref}}, nil
	}
	addrs, err := dns.Addrs(ctx, host)
	switch {
	case errors.Is(err, dnsq.ErrNone):
		return nil, noSuchHost(host)
	case err != nil:
		return nil, dnsTemporary
	}
	var six, four []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	var list []exchanger
	for i := 0; i < max(len(six), len(four)) && len(list) < maxAddrs; i++ {
		if i < len(six) {
			list = append(list, exchanger{six[i], pref, i < len(four)})
		}
		if i < len(four) {
			list = append(list, exchanger{four[i], pref, false})
		}
	}
	return list, nil
}

// better keeps of a list what is preferred to this machine itself: sending to
// ourselves, or to one who would send to us, is a loop (RFC 5321 section 5.1).
func better(list []exchanger, own []netip.Addr) []exchanger {
	for i, x := range list {
		if slices.Contains(own, x.addr) {
			return slices.DeleteFunc(slices.Clone(list), func(y exchanger) bool { return y.pref >= list[i].pref })
		}
	}
	return list // sorted: the first of our own is the best of them
}
