// Package client holds the programs that make TCP connections:
//
//	tcpclient host port program    the connection becomes descriptors 6 and 7
//	mconnect host port             talk to a server (mconnect-io: over 6 and 7)
//	tcpcat host port               what a server says, as it is
//	who@ date@ finger@ http@ host  what it says, for people
//	tcp-env program                the same environment from inetd's socket
//
// A connection is made to one address of the host after the other, with two
// timeouts, x and y:
//
//	each address, x seconds each → each that timed out, y seconds each → 111
//	a host with one address: x+y seconds
//
// tcpclient says what goes wrong, in its name even where another of these
// programs is its user, as when they were scripts.
package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/dnsq"
	"paperpath/internal/proc"
	"paperpath/internal/qualify"
	"paperpath/internal/strerr"
	"paperpath/internal/tcp"
)

// dialer makes connections.
type dialer struct {
	env      *proc.Env
	resolver *dnsq.Resolver
	timeouts [2]time.Duration
	local    netip.AddrPort // invalid address: any, of the family that is needed
}

func newDialer(env *proc.Env) *dialer {
	return &dialer{
		env:      env,
		resolver: dnsq.New(env.Vars),
		timeouts: [2]time.Duration{2 * time.Second, 58 * time.Second},
	}
}

// dial connects to a host, given by name or address, and a port, given by name
// or number.
func (d *dialer) dial(ctx context.Context, host, service string) (*os.File, error) {
	if host == "" || host == "0" {
		host = "127.0.0.1"
	}
	port, ok := tcp.Port(service)
	if !ok {
		return nil, errors.New("unable to figure out port number for " + strerr.Clean(service))
	}
	addrs, err := d.addresses(ctx, host)
	if err != nil {
		return nil, errors.New("temporarily unable to figure out IP address for " + strerr.Clean(host) + ": " + strerr.Text(err))
	}
	addrs = d.sameFamily(addrs)
	if len(addrs) == 0 {
		return nil, errors.New("no IP address for " + strerr.Clean(host))
	}
	timeouts := d.timeouts
	if len(addrs) == 1 {
		timeouts[0], timeouts[1] = timeouts[0]+timeouts[1], 0
	}
	for round, timeout := range timeouts {
		var again []netip.Addr
		for _, addr := range addrs {
			conn, err := d.connect(ctx, netip.AddrPortFrom(addr, port), timeout)
			if err == nil {
				return conn, nil
			}
			var fatal *strerr.Error
			if errors.As(err, &fatal) {
				return nil, err
			}
			if round == 0 && timeouts[1] > 0 && timedOut(err) {
				again = append(again, addr)
				continue
			}
			d.env.Say("unable to connect to " + addr.String() + " port " + strconv.Itoa(int(port)) + ": " + strerr.Text(err))
		}
		addrs = again
	}
	return nil, proc.Exit(proc.StatusTemporary) // all has been said
}

func timedOut(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT)
}

// connect tries one address. A *strerr.Error means that no other address would
// fare better.
func (d *dialer) connect(ctx context.Context, remote netip.AddrPort, timeout time.Duration) (*os.File, error) {
	fd, err := tcp.Socket(remote.Addr())
	if err == unix.EAFNOSUPPORT {
		return nil, err
	}
	if err != nil {
		return nil, strerr.Unable("create", "socket", err)
	}
	local := d.local.Addr()
	if !local.IsValid() {
		local = netip.IPv4Unspecified()
		if remote.Addr().Is6() {
			local = netip.IPv6Unspecified()
		}
	}
	if err := tcp.Bind(fd, netip.AddrPortFrom(local, d.local.Port())); err != nil {
		unix.Close(fd)
		return nil, strerr.Unable("bind", "socket", err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return tcp.Connect(ctx, fd, remote)
}

// sameFamily leaves the addresses that the local one can reach.
func (d *dialer) sameFamily(addrs []netip.Addr) (list []netip.Addr) {
	for _, a := range addrs {
		if local := d.local.Addr(); !local.IsValid() || local.Is4() == a.Is4() {
			list = append(list, a)
		}
	}
	return list
}

// addresses returns the addresses of a host, none if there is no such host.
func (d *dialer) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if bare := strings.Trim(host, "[]"); strings.IndexByte(bare, ':') >= 0 {
		addr, err := netip.ParseAddr(bare)
		if err != nil {
			return nil, nil
		}
		return []netip.Addr{addr}, nil
	}
	if host == "localhost" { // RFC 6761 section 6.3: needs no DNS
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	}
	names, err := qualify.Names(d.env.Vars, host)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if addrs, ok := literal(name); ok {
			return addrs, nil
		}
		addrs, err := d.lookUp(ctx, name)
		if err != nil || len(addrs) > 0 {
			return addrs, err
		}
	}
	return nil, nil
}

// literal reads digits and dots, with or without brackets, as dns_ip4 does: leading
// zeros are decimal, and 127.0.0.1.127.0.0.2 is two addresses.
func literal(name string) (addrs []netip.Addr, ok bool) {
	var bytes []byte
	var b byte
	for _, c := range []byte(name + ".") {
		switch {
		case c == '[' || c == ']':
		case c == '.':
			bytes = append(bytes, b)
			b = 0
		case '0' <= c && c <= '9':
			b = b*10 + c - '0'
		default:
			return nil, false
		}
	}
	for ; len(bytes) >= 4; bytes = bytes[4:] {
		addrs = append(addrs, netip.AddrFrom4([4]byte(bytes)))
	}
	return addrs, true
}

// patience is how long IPv4 addresses wait for the answer about IPv6 ones. A
// name server that chokes on that question must not delay what C would do.
const patience = 500 * time.Millisecond

// lookUp asks for both kinds of addresses at the same time; the IPv4 ones come
// first, each kind in an order drawn by lot (dns_sortip.c).
func (d *dialer) lookUp(ctx context.Context, name string) ([]netip.Addr, error) {
	// Of several dots in a row djb's library sees one (dns_dfd.c).
	name = strings.Join(strings.FieldsFunc(name, func(c rune) bool { return c == '.' }), ".") + "."
	if !dnsq.IsName(name) {
		return nil, syscall.EPROTO
	}
	type answer struct {
		addrs []netip.Addr
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		addrs, err := d.resolver.AAAA(ctx, name)
		answered <- answer{addrs, err}
	}()
	four, err := d.resolver.A(ctx, name)
	none := make(<-chan time.Time)
	if len(four) > 0 {
		none = time.After(patience)
	}
	var six answer
	select {
	case six = <-answered:
	case <-none:
	}
	shuffle(four)
	shuffle(six.addrs)
	addrs := append(four, six.addrs...)
	switch {
	case len(addrs) > 0:
		return addrs, nil
	case err != nil && !errors.Is(err, dnsq.ErrNone):
		return nil, err
	case six.err != nil && !errors.Is(six.err, dnsq.ErrNone):
		return nil, six.err
	}
	return nil, nil
}

func shuffle(addrs []netip.Addr) {
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
}
