package remote

import (
	"net/netip"
	"strings"

	"paperpath/internal/decimal"
	"paperpath/internal/ipme"
	"paperpath/mta/control"
)

const (
	smtpPort = 25
	qmtpPort = 209
)

// routes are the lines of control/smtproutes and control/qmtproutes.
type routes struct{ smtp, qmtp control.Map }

// relay is where a line of them sends a host's mail.
type relay struct {
	host string
	port uint16
	qmtp bool
}

// find finds the line for host: that of the host itself, of what follows one of
// its dots, dot included, the longest first, of "". If both files have it,
// qmtproutes counts. ok is false if there is none, or it says to use the DNS.
func (r routes) find(host string) (to relay, ok bool) {
	value := ""
	for i := 0; i <= len(host); i++ {
		if i > 0 && i < len(host) && host[i] != '.' {
			continue
		}
		if value, ok = r.qmtp.Get(host[i:]); ok {
			to = relay{port: qmtpPort, qmtp: true}
			break
		}
		if value, ok = r.smtp.Get(host[i:]); ok {
			to = relay{port: smtpPort}
			break
		}
	}
	if value == "" {
		return relay{}, false
	}
	// HOST, HOST:PORT; ours: [ADDRESS]:PORT with the colons of IPv6 inside.
	to.host = value
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
