package remote

import (
	"net/netip"
	"strings"

	"paperpath/mta/control"
)

const smtpPort = 25

// relay is where control/smtproutes sends a host's mail.
type relay struct {
	host string
	port uint16
}

// route finds the line of smtproutes for host: that of the host itself, of
// what follows one of its dots, dot included, the longest first, of "". ok is
// false if there is none, or it says to use the DNS.
func route(routes control.Map, host string) (to relay, ok bool) {
	value := ""
	for i := 0; i <= len(host); i++ {
		if i == 0 || i == len(host) || host[i] == '.' {
			if value, ok = routes.Get(host[i:]); ok {
				break
			}
		}
	}
	if value == "" {
		return relay{}, false
	}
	// HOST, HOST:PORT; ours: [ADDRESS]:PORT with the colons of IPv6 inside.
	to = relay{host: value, port: smtpPort}
	from := 0
	if value[0] == '[' {
		from = strings.IndexByte(value, ']') + 1
	}
	if i := strings.IndexByte(value[from:], ':'); i >= 0 {
		to.host = value[:from+i]
		if n, digits := control.Digits(value[from+i+1:]); digits > 0 {
			to.port = uint16(n)
		}
	}
	return to, true
}

// literal reads an address that stands for a host: 192.0.2.1, [192.0.2.1],
// [IPv6:2001:db8::1] (RFC 5321 section 4.1.3), [2001:db8::1].
func literal(host string) (netip.Addr, bool) {
	inner := host
	bracketed := len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']'
	if bracketed {
		inner = host[1 : len(host)-1]
		if len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:") {
			inner = inner[5:]
		}
	}
	if strings.Contains(inner, ":") {
		ip, err := netip.ParseAddr(inner)
		return ip.Unmap(), err == nil && bracketed && ip.Zone() == ""
	}
	return dotted(inner)
}

// dotted reads an IPv4 address as ip_scan.c does, where 010 is ten.
func dotted(s string) (netip.Addr, bool) {
	var ip [4]byte
	for i := range ip {
		n, digits := control.Digits(s)
		if digits == 0 || n > 255 {
			return netip.Addr{}, false
		}
		ip[i], s = byte(n), s[digits:]
		if i < 3 {
			if s == "" || s[0] != '.' {
				return netip.Addr{}, false
			}
			s = s[1:]
		}
	}
	return netip.AddrFrom4(ip), s == ""
}
