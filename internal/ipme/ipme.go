// Package ipme knows which addresses are this machine's own: those of its
// network interfaces, and the unspecified ones, which always mean "this host"
// (RFC 1122 section 3.2.1.3; ipme.c).
//
// It asks the kernel over netlink rather than through package net, which the
// programs started for each connection do not link.
package ipme

import (
	"net/netip"
	"slices"
	"syscall"
)

// Addresses returns the machine's addresses, IPv4 and IPv6, without zones.
func Addresses() ([]netip.Addr, error) {
	list := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	table, err := syscall.NetlinkRIB(syscall.RTM_GETADDR, syscall.AF_UNSPEC)
	if err != nil {
		return nil, err
	}
	messages, err := syscall.ParseNetlinkMessage(table)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		if messages[i].Header.Type != syscall.RTM_NEWADDR {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(&messages[i])
		if err != nil {
			return nil, err
		}
		for _, a := range attrs {
			// IFA_LOCAL differs from IFA_ADDRESS on point-to-point links,
			// where the latter is the peer's; IPv6 has IFA_ADDRESS alone.
			if a.Attr.Type == syscall.IFA_LOCAL || a.Attr.Type == syscall.IFA_ADDRESS && len(a.Value) == 16 {
				if ip, ok := netip.AddrFromSlice(a.Value); ok {
					list = append(list, ip.Unmap())
				}
			}
		}
	}
	return list, nil
}

// Is reports whether ip is one of the machine's own.
func Is(ip netip.Addr) (bool, error) {
	list, err := Addresses()
	return slices.Contains(list, ip.Unmap().WithZone("")), err
}
