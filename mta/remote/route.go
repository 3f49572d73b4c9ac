package remote

import (
	"net/netip"
	"strings"

	"paperpath/internal/decimal"
	"paperpath/internal/ipme"
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
		if n, digits := decimal.Int(value[from+i+1:]); digits > 0 {
			to.port = uint16(n)
		}
	}
	return to, true
}

// literal reads an address that stands for a host, with or without brackets.
func literal(host string) (netip.Addr, bool) {
	if ip, ok := ipme.ParseDotted(host); ok {
		return ip, true
	}
	return ipme.ParseLiteral(host)
}
