// Package ucspi owns the environment in which a TCP server runs a program for
// a connection (tcp-environ(5), https://cr.yp.to/proto/ucspi.txt):
//
//	PROTO            TCP
//	TCPLOCALIP       address of the local host, 10.0.0.1 or 2001:db8::1
//	TCPLOCALPORT     decimal
//	TCPLOCALHOST     name, unset if not known
//	TCPREMOTEIP      the same of the remote host
//	TCPREMOTEPORT
//	TCPREMOTEHOST
//	TCPREMOTEINFO    what the remote host's ident server says, unset if nothing
//
// PROTO is TCP over IPv6 too: programs look at the address for themselves, and
// those that look at PROTO know no other value. An IPv4 client of an IPv6
// socket has its IPv4 address.
package ucspi

import (
	"net/netip"
	"strconv"

	"paperpath/internal/proc"
)

// End is one end of a connection.
type End struct {
	Addr    netip.AddrPort
	Host    string // if HasHost
	HasHost bool
}

// IP returns the address as text, without an interface's name.
func (e *End) IP() string { return e.Addr.Addr().Unmap().WithZone("").String() }

// Port returns the port as text.
func (e *End) Port() string { return strconv.Itoa(int(e.Addr.Port())) }

// Connection is what is known of a connection.
type Connection struct {
	Local, Remote End
	Info          string // if HasInfo
	HasInfo       bool
}

// Set writes c into vars.
func (c *Connection) Set(vars *proc.Vars) {
	vars.Set("PROTO", "TCP")
	c.Local.set(vars, "TCPLOCAL")
	c.Remote.set(vars, "TCPREMOTE")
	setIf(vars, "TCPREMOTEINFO", c.Info, c.HasInfo)
}

func (e *End) set(vars *proc.Vars, prefix string) {
	vars.Set(prefix+"IP", e.IP())
	vars.Set(prefix+"PORT", e.Port())
	setIf(vars, prefix+"HOST", e.Host, e.HasHost)
}

// setIf sets or unsets name: what the server inherited from another server is
// not about this connection.
func setIf(vars *proc.Vars, name, value string, ok bool) {
	if ok {
		vars.Set(name, value)
	} else {
		vars.Unset(name)
	}
}
