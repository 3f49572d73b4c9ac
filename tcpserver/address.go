package tcpserver

import (
	"bufio"
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"paperpath/internal/decimal"
	"paperpath/internal/dnsq"
	"paperpath/internal/strerr"
)

// lookupPort understands a number and a name of /etc/services.
func lookupPort(service string) (port uint16, ok bool) {
	if strings.Trim(service, "0123456789") == "" {
		n, _ := decimal.Prefix(service)
		return uint16(n), n <= math.MaxUint16
	}
	f, err := os.Open("/etc/services")
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		text, _, _ := strings.Cut(s.Text(), "#")
		words := strings.Fields(text) // name port/protocol alias…
		if len(words) < 2 {
			continue
		}
		n, protocol, _ := strings.Cut(words[1], "/")
		words[1] = words[0]
		for _, name := range words[1:] {
			if name == service && protocol == "tcp" {
				u, err := strconv.ParseUint(n, 10, 16)
				return uint16(u), err == nil
			}
		}
	}
	return 0, false
}

// lookupHost understands an address, in brackets or not, and a name.
func lookupHost(resolver *dnsq.Resolver, host string) (netip.Addr, error) {
	none := errors.New("no IP address for " + strerr.Clean(host))
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	switch {
	case host == "", host == "0":
		return netip.IPv4Unspecified(), nil
	case host == "localhost": // RFC 6761 section 6.3: needs no DNS
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	case strings.Trim(bare, "0123456789.") == "":
		if ip, ok := parseIPv4(bare); ok {
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
	ctx := context.Background()
	ips, err := resolver.A(ctx, host)
	if errors.Is(err, dnsq.ErrNone) {
		ips, err = resolver.AAAA(ctx, host)
	}
	switch {
	case errors.Is(err, dnsq.ErrNone):
		return netip.Addr{}, none
	case err != nil:
		return netip.Addr{}, errors.New("temporarily unable to figure out IP address for " + strerr.Clean(host) + ": " + strerr.Text(err))
	case len(ips) == 0:
		return netip.Addr{}, none
	}
	return ips[0], nil
}

// parseIPv4 takes leading zeros for decimal, as djb's ip4_scan does:
// 127.000.000.001.
func parseIPv4(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	var b [4]byte
	if len(parts) != len(b) {
		return netip.Addr{}, false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 8)
		if err != nil {
			return netip.Addr{}, false
		}
		b[i] = byte(n)
	}
	return netip.AddrFrom4(b), true
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	if zone := a.Addr().Zone(); zone != "" {
		if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
			sa.ZoneId = uint32(n)
		} else if i, err := net.InterfaceByName(zone); err == nil {
			sa.ZoneId = uint32(i.Index)
		}
	}
	return sa
}

// addrPort is the inverse. The zone of a link-local address is its number.
func addrPort(sa unix.Sockaddr) (netip.AddrPort, bool) {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), true
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 {
			ip = ip.WithZone(strconv.FormatUint(uint64(sa.ZoneId), 10))
		}
		return netip.AddrPortFrom(ip, uint16(sa.Port)), true
	}
	return netip.AddrPort{}, false
}

func localAddr(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	a, ok := addrPort(sa)
	if !ok {
		return a, unix.EAFNOSUPPORT
	}
	return a, nil
}
