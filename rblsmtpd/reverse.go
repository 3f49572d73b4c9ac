package rblsmtpd

import (
	"net/netip"
	"slices"
	"strings"

	"paperpath/internal/dnsq"
)

// reverse returns an address as the front part of its name in a list, with a
// dot at the end: 4.3.2.1. for 1.2.3.4, and nibbles for an IPv6 address (RFC
// 5782 sections 2.1 and 2.4). What is no IPv6 address is turned around at its
// dots, whatever it is, as the original does.
func reverse(ip string) string {
	if a, err := netip.ParseAddr(ip); err == nil && a.Is6() {
		return dnsq.Reversed(a) + "."
	}
	if ip == "" {
		return ""
	}
	words := strings.Split(ip, ".")
	if words[0] == "" {
		words = words[1:] // ip_init stops at a dot in front
	}
	slices.Reverse(words)
	return strings.Join(words, ".") + "."
}
