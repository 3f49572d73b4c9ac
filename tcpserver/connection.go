package tcpserver

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/tcprules"
	"paperpath/tcpserver/ucspi"
)

// connection is one accepted connection on its way to the program.
type connection struct {
	server *server
	fd     int
	ucspi.Connection
	vars    proc.Vars // of the program
	deny    bool
	number  int     // in the log, once the program is known
	process bool    // a process has the connection
	stream  *stream // for programs inside; nil while there was none
}

// Wait statuses of the process that C tcpserver would have had for a
// connection that never came to the program: exit status 100 and 111.
const (
	statusDenied  = proc.StatusPermanent << 8
	statusDropped = proc.StatusTemporary << 8
)

// serve brings the connection to the program and reports whether a process has
// it now.
func (c *connection) serve(remote netip.AddrPort) (started bool) {
	s := c.server
	c.Remote.Addr = remote
	err := c.prepare()
	if err == nil && !c.deny {
		return c.start(context.Background())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	pid := os.Getpid()
	s.logFrom(pid, c)
	if err != nil {
		s.warnDrop(err)
		s.logEnd(pid, statusDropped)
		return false
	}
	s.logVerdict(pid, c)
	s.logEnd(pid, statusDenied)
	return false
}

// prepare finds out about the client and what the rules say of it.
func (c *connection) prepare() (err error) {
	s := c.server
	if s.killOptions {
		unix.SetsockoptString(c.fd, unix.IPPROTO_IP, unix.IP_OPTIONS, "") // source routes
	}
	if !s.delay {
		unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if s.banner != "" {
		if _, err := sys.NewFD(c.fd).Write([]byte(s.banner)); err != nil {
			return strerr.Unable("print", "banner", err)
		}
	}
	if c.Local.Addr, err = localAddr(c.fd); err != nil {
		return strerr.Unable("get", "local address", err)
	}
	c.lookUp(context.Background())
	c.vars = s.env.Vars.Clone()
	c.Set(&c.vars)
	if s.hasRules {
		return c.applyRules()
	}
	return nil
}

// lookUp asks for names. None of them is necessary.
func (c *connection) lookUp(ctx context.Context) {
	s := c.server
	if s.hasLocalHost {
		c.Local.Host, c.Local.HasHost = s.localHost, true
	} else {
		c.Local.Host, c.Local.HasHost = c.hostName(ctx, c.Local.Addr)
	}
	if s.remoteHost {
		c.Remote.Host, c.Remote.HasHost = c.hostName(ctx, c.Remote.Addr)
		if s.paranoid && c.Remote.HasHost && !c.resolvesBack(ctx) {
			c.Remote.Host, c.Remote.HasHost = "", false
		}
	}
	if s.remoteInfo {
		c.Info, c.HasInfo = ident(ctx, c.Local.Addr, c.Remote.Addr, s.timeout)
	}
}

func (c *connection) hostName(ctx context.Context, a netip.AddrPort) (name string, ok bool) {
	names, err := c.server.resolver.PTR(ctx, a.Addr().WithZone(""))
	if err != nil || len(names) == 0 {
		return "", false
	}
	return names[0], names[0] != ""
}

// resolvesBack reports whether the client's name has the client's address:
// anybody may claim any name for his own addresses.
func (c *connection) resolvesBack(ctx context.Context) bool {
	look := c.server.resolver.A
	ip := c.Remote.Addr.Addr().WithZone("")
	if ip.Is6() {
		look = c.server.resolver.AAAA
	}
	ips, err := look(ctx, c.Remote.Host)
	return err == nil && slices.Contains(ips, ip)
}

// applyRules searches the database, which is opened for each connection: a new
// version counts from the next client on.
func (c *connection) applyRules() error {
	s := c.server
	rule, err := tcprules.Find(fsys.OS{Root: s.env.Dir}, s.rules, &tcprules.Client{
		IP:   c.Remote.IP(),
		Host: c.Remote.Host, HasHost: c.Remote.HasHost,
		Info: c.Info, HasInfo: c.HasInfo,
	})
	if errors.Is(err, syscall.ENOENT) && s.allowNoRules {
		return nil
	}
	if err != nil {
		return strerr.Unable("read", s.rules, err)
	}
	if rule == nil {
		return nil
	}
	for do := range rule.All() {
		if do.Deny {
			c.deny = true
		} else if name, value, ok := strings.Cut(do.Set, "="); ok {
			c.vars.Set(name, value)
		}
	}
	return nil
}

func (s *server) logFrom(pid int, c *connection) {
	s.log("pid " + strconv.Itoa(pid) + " from " + c.Remote.IP())
}

func (s *server) logVerdict(pid int, c *connection) {
	verdict := "ok"
	if c.deny {
		verdict = "deny"
	}
	s.log(verdict + " " + strconv.Itoa(pid) +
		" " + logged(c.Local.Host) + ":" + loggedIP(&c.Local) + ":" + c.Local.Port() +
		" " + logged(c.Remote.Host) + ":" + loggedIP(&c.Remote) + ":" + logged(c.Info) + ":" + c.Remote.Port())
}

// loggedMax bounds what a stranger's name server or ident server puts into a
// log line.
const loggedMax = 100

// logged makes text from outside safe for the log: one word, without the colon
// that separates fields, without what a terminal or printf(3) would act on.
func logged(s string) string {
	b := []byte(s[:min(len(s), loggedMax)])
	for i, ch := range b {
		if ch < 33 || ch > 126 || ch == '%' || ch == ':' {
			b[i] = '?'
		}
	}
	if len(s) >= loggedMax {
		return string(b) + "..."
	}
	return string(b)
}

// loggedIP puts an IPv6 address into brackets: its colons are not those
// between the fields.
func loggedIP(e *ucspi.End) string {
	ip := e.IP()
	if strings.IndexByte(ip, ':') >= 0 {
		return "[" + ip + "]"
	}
	return ip
}
