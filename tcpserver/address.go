package tcpserver

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"syscall"

	"paperpath/internal/dnsq"
	"paperpath/internal/ipme"
	"paperpath/internal/proc"
	"paperpath/internal/qualify"
	"paperpath/internal/strerr"
)

// lookupHost understands an address, in brackets or not, and a name.
func lookupHost(vars proc.Vars, resolver *dnsq.Resolver, host string) (netip.Addr, error) {
	none := errors.New("no IP address for " + strerr.Clean(host))
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	switch {
	case host == "", host == "0":
		return netip.IPv4Unspecified(), nil
	case host == "localhost": // RFC 6761 section 6.3: needs no DNS
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	case strings.Trim(bare, "0123456789.") == "":
		if ip, ok := ipme.ParseDotted(bare); ok {
			return ip, nil
		}
		return netip.Addr{}, none
	case strings.IndexByte(bare, ':') >= 0:
		ip, err := netip.ParseAddr(bare)
		if err != nil {
			return netip.Addr{}, none
		}
		return ip, nil
	}
	names, err := qualify.Names(vars, host)
	var ips []netip.Addr
	for i := 0; err == nil && len(ips) == 0 && i < len(names); i++ {
		ips, err = addresses(resolver, names[i])
	}
	switch {
	case err != nil:
		return netip.Addr{}, errors.New("temporarily unable to figure out IP address for " + strerr.Clean(host) + ": " + strerr.Text(err))
	case len(ips) == 0:
		return netip.Addr{}, none
	}
	return ips[0], nil
}

// addresses returns those of a complete name, IPv6 ones only if it has no others.
func addresses(resolver *dnsq.Resolver, name string) ([]netip.Addr, error) {
	if ip, ok := ipme.ParseDotted(name); ok { // the rules may say so
		return []netip.Addr{ip}, nil
	}
	if !dnsq.IsName(name) {
		return nil, syscall.EPROTO // C's DNS library cannot ask such a question
	}
	ctx := context.Background()
	ips, err := resolver.A(ctx, name)
	if errors.Is(err, dnsq.ErrNone) {
		ips, err = resolver.AAAA(ctx, name)
	}
	if errors.Is(err, dnsq.ErrNone) {
		return nil, nil
	}
	return ips, err
}
