package client

import (
	"context"
	"math"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/decimal"
	"paperpath/internal/dnsq"
	"paperpath/internal/opt"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/tcp"
	"paperpath/tcpserver/ident"
	"paperpath/tcpserver/ucspi"
)

// Tcpclient is tcpclient(1).
var Tcpclient = proc.Program{
	Name: "tcpclient",
	Usage: "[ -hHrRdDqQv ] [ -i localip ] [ -p localport ] [ -T timeoutconn ] [ -l localname ] " +
		"[ -t timeoutinfo ] host port program",
	Run: tcpclient,
}

// Descriptors of the connection in the program (UCSPI): to read and to write.
const (
	readFD  = 6
	writeFD = 7
)

// identMax is how much of an answer counts (remoteinfo.c).
const identMax = 257

type settings struct {
	verbosity    int // 0: nothing, 1: errors, 2: the connection too
	delay        bool
	remoteInfo   bool
	remoteHost   bool
	identTimeout time.Duration
	localHost    string
	hasLocalHost bool
}

func tcpclient(ctx context.Context, env *proc.Env) error {
	reserve(readFD, writeFD)
	d := newDialer(env)
	set, args, err := parse(env, d)
	if err != nil {
		return err
	}
	if set.verbosity == 0 {
		env.Files[2] = proc.Closed{}
	}
	if len(args) < 3 {
		return proc.ErrUsage
	}
	conn, err := d.dial(ctx, args[0], args[1])
	if err != nil {
		return err
	}
	fd := -1
	raw, err := conn.SyscallConn()
	if err == nil {
		err = raw.Control(func(n uintptr) { fd = int(n) })
	}
	if err != nil {
		return strerr.Unable("use", "socket", err)
	}
	if !set.delay {
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // if it fails, bummer
	}
	var c ucspi.Connection
	if c.Local.Addr, err = tcp.Local(fd); err != nil {
		return strerr.Unable("get", "local address", err)
	}
	if c.Remote.Addr, err = tcp.Remote(fd); err != nil {
		return strerr.Unable("get", "remote address", err)
	}
	if set.verbosity >= 2 {
		env.Say("connected to " + c.Remote.IP() + " port " + c.Remote.Port())
	}
	set.lookUp(ctx, &c, d.resolver)
	c.Set(&env.Vars)
	if err := tcp.Handover(conn, readFD, writeFD); err != nil {
		return strerr.Unable("set up", "descriptors 6 and 7", err)
	}
	return env.Next(ctx, env, args[2:])
}

// lookUp asks for names. None of them is necessary.
func (s *settings) lookUp(ctx context.Context, c *ucspi.Connection, resolver *dnsq.Resolver) {
	if s.hasLocalHost {
		c.Local.Host, c.Local.HasHost = s.localHost, true
	} else {
		c.Local.Host, c.Local.HasHost = hostName(ctx, resolver, c.Local.Addr)
	}
	if s.remoteHost {
		c.Remote.Host, c.Remote.HasHost = hostName(ctx, resolver, c.Remote.Addr)
	}
	if s.remoteInfo {
		c.Info, c.HasInfo = ident.Ask(ctx, c.Local.Addr, c.Remote.Addr, s.identTimeout, identMax)
	}
}

// hostName returns the name of an address. One that certainly has none has the
// empty name; tcpserver, of the same package, says that it has none.
func hostName(ctx context.Context, resolver *dnsq.Resolver, a netip.AddrPort) (name string, ok bool) {
	names, err := resolver.PTR(ctx, a.Addr().WithZone(""))
	if isNone(err) {
		return "", true
	}
	if err != nil || len(names) == 0 {
		return "", false
	}
	return names[0], true
}

// reserve takes the descriptors, which C closes at the start: whoever waits for
// their end gets it, and nothing that is opened meanwhile gets their numbers.
// What the Go runtime has opened before is left alone.
func reserve(fds ...int) {
	for _, fd := range fds {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			unix.Dup3(2, fd, unix.O_CLOEXEC)
		}
	}
}

func parse(env *proc.Env, d *dialer) (*settings, []string, error) {
	s := &settings{verbosity: 1, delay: true, remoteInfo: true, remoteHost: true, identTimeout: 26 * time.Second}
	var ip netip.Addr
	var port uint16
	o := opt.Parse(env.Args[1:], "dDvqQhHrRi:p:t:T:l:")
	for o.Next() {
		switch o.Letter {
		case 'd', 'D':
			s.delay = o.Letter == 'd'
		case 'v':
			s.verbosity = 2
		case 'q':
			s.verbosity = 0
		case 'Q':
			s.verbosity = 1
		case 'l':
			s.localHost, s.hasLocalHost = o.Arg, true
		case 'h', 'H':
			s.remoteHost = o.Letter == 'h'
		case 'r', 'R':
			s.remoteInfo = o.Letter == 'r'
		case 't':
			s.identTimeout, _ = seconds(o.Arg)
		case 'T':
			var rest string
			d.timeouts[0], rest = seconds(o.Arg)
			d.timeouts[1], _ = seconds(strings.TrimPrefix(rest, "+"))
		case 'i':
			var ok bool
			if ip, ok = localIP(o.Arg); !ok {
				return nil, nil, proc.ErrUsage
			}
		case 'p':
			n, _ := decimal.Prefix(o.Arg)
			if n > math.MaxUint16 {
				return nil, nil, proc.ErrUsage
			}
			port = uint16(n)
		default:
			env.Say(o.Problem())
			return nil, nil, proc.ErrUsage
		}
	}
	d.local = netip.AddrPortFrom(ip, port)
	return s, o.Rest(), nil
}

// localIP reads the address for -i. The unspecified one is like none at all.
func localIP(s string) (ip netip.Addr, ok bool) {
	if strings.IndexByte(s, ':') >= 0 {
		ip, err := netip.ParseAddr(strings.Trim(s, "[]"))
		return ip, err == nil
	}
	var b [4]byte
	for i := range b {
		n, digits := decimal.Prefix(s)
		if digits == 0 {
			return ip, false
		}
		b[i], s = byte(n), s[digits:]
		if i < 3 {
			if !strings.HasPrefix(s, ".") {
				return ip, false
			}
			s = s[1:]
		}
	}
	if b == [4]byte{} {
		return netip.Addr{}, true
	}
	return netip.AddrFrom4(b), true // what follows does not count (ip4_scan.c)
}

// seconds reads a number of seconds and returns what follows it.
func seconds(s string) (d time.Duration, rest string) {
	d, digits := decimal.Seconds(s)
	return d, s[digits:]
}
