package ipme

import (
	"net/netip"
	"strconv"
	"strings"
)

// ParseDotted reads an IPv4 address as ip_scan.c does, where 010 is ten.
func ParseDotted(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 4 {
		return netip.Addr{}, false
	}
	var ip [4]byte
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return netip.Addr{}, false
		}
		ip[i] = byte(n)
	}
	return netip.AddrFrom4(ip), true
}

// ParseLiteral reads an address that stands for a host: [192.0.2.1],
// [IPv6:2001:db8::1] (RFC 5321 section 4.1.3), [2001:db8::1].
func ParseLiteral(host string) (netip.Addr, bool) {
	if len(host) < 2 || host[0] != '[' || host[len(host)-1] != ']' {
		return netip.Addr{}, false
	}
	inner := host[1 : len(host)-1]
	if len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:") {
		inner = inner[5:]
	}
	if !strings.Contains(inner, ":") {
		return ParseDotted(inner)
	}
	ip, err := netip.ParseAddr(inner)
	if err != nil || ip.Zone() != "" {
		return netip.Addr{}, false
	}
	return ip.Unmap(), true
}
