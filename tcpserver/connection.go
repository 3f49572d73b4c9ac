package tcpserver

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/internal/tcp"
	"paperpath/tcprules"
	"paperpath/tcpserver/ident"
	"paperpath/tcpserver/proxy"
	"paperpath/tcpserver/ucspi"
)

// connection is one accepted connection on its way to the program.
type connection struct {
	server *server
	fd     int
	ucspi.Connection
	serving
	vars    proc.Vars // of the program
	rule    *tcprules.Rule
	verdict verdict
	over    string  // the limit, if refused
	pid     int     // of the process that has the connection, if one has
	ran     bool    // a function had it
	stream  *stream // where the runtime waits for the client; nil while there was none
}

// serving is what remains of a connection while a program has it.
type serving struct {
	number  int // in the log, once the program is known
	began   time.Time
	held    []usageKey // what it counts for
	summary string     // for -L, but for the end
}

// verdict is what becomes of a connection.
type verdict int

const (
	allowed verdict = iota
	denied          // by a rule
	refused         // by a limit
)

// Wait statuses of the process that C tcpserver would have had for a
// connection that never came to the program: exit status 100 and 111.
const (
	statusDenied  = proc.StatusPermanent << 8
	statusDropped = proc.StatusTemporary << 8
)

// serve brings the connection to the program. It returns the number of the
// process that has the connection now, 0 if none has.
func (c *connection) serve(remote netip.AddrPort) (pid int) {
	s := c.server
	c.Remote.Addr = remote
	err := c.prepare()
	if err == nil && c.verdict == allowed {
		return c.start(context.Background())
	}
	if err == nil && c.verdict == refused {
		c.sayWhy()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.number = os.Getpid()
	s.logFrom(c)
	if err != nil {
		s.drop(c, err)
		s.logEnd(&c.serving, statusDropped)
		return 0
	}
	s.logVerdict(c)
	s.logEnd(&c.serving, statusDenied)
	return 0
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
	if c.Local.Addr, err = tcp.Local(c.fd); err != nil {
		return strerr.Unable("get", "local address", err)
	}
	ctx := context.Background()
	proxied := false
	if s.isProxy(c.Remote.Addr.Addr()) {
		if proxied, err = c.readProxy(); err != nil {
			return strerr.Unable("read", "PROXY header", err)
		}
	}
	if s.banner != "" {
		if _, err := sys.NewFD(c.fd).Write([]byte(s.banner)); err != nil {
			return strerr.Unable("print", "banner", err)
		}
	}
	c.lookUp(ctx, proxied)
	c.vars = s.env.Vars.Clone()
	c.Set(&c.vars)
	if err := c.applyRules(); err != nil {
		return err
	}
	return c.applyLimits()
}

// proxyTimeout bounds the time until a proxy has said for whom it connects. It
// should have that in hand.
const proxyTimeout = 10 * time.Second

// isProxy reports whether connections from ip begin with a PROXY header.
func (s *server) isProxy(ip netip.Addr) bool {
	ip = ip.WithZone("")
	return slices.ContainsFunc(s.proxies, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// readProxy reads the header and reports whether it names a client; if not, the
// proxy is the client.
func (c *connection) readProxy() (named bool, err error) {
	if err := c.poll(); err != nil {
		return false, err
	}
	c.stream.SetReadDeadline(time.Now().Add(proxyTimeout))
	h, err := proxy.Read(c.stream)
	if err != nil || !h.Source.IsValid() {
		return false, err
	}
	c.Local.Addr, c.Remote.Addr = h.Destination, h.Source
	return true, c.stream.SetReadDeadline(time.Time{})
}

// identMax is how much of the ident server's answer counts (remoteinfo.c).
const identMax = 257

// lookUp asks for names. None of them is necessary.
func (c *connection) lookUp(ctx context.Context, proxied bool) {
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
	if s.remoteInfo && !proxied { // only the proxy could ask
		c.Info, c.HasInfo = ident.Ask(ctx, c.Local.Addr, c.Remote.Addr, s.timeout, identMax)
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

func openRules(env *proc.Env, name string) *tcprules.Database {
	return tcprules.NewDatabase(fsys.OS{Root: env.Dir}, name)
}

// applyRules does what the rule for the client says.
func (c *connection) applyRules() (err error) {
	s := c.server
	if !s.hasRules {
		return nil
	}
	c.rule, err = s.db.Find(&tcprules.Client{
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
	if c.rule == nil {
		return nil
	}
	for do := range c.rule.All() {
		if do.Deny {
			c.verdict = denied
		} else if name, value, ok := strings.Cut(do.Set, "="); ok {
			c.vars.Set(name, value)
		}
	}
	return nil
}
