package client

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"paperpath/internal/dnsq"
	"paperpath/internal/opt"
	"paperpath/internal/proc"
	"paperpath/internal/tcp"
	"paperpath/tcpserver/ident"
	"paperpath/tcpserver/ucspi"
)

// TcpEnv is qmail's tcp-env(1): it finds out about the connection that
// descriptor 0 is, for programs that inetd starts. It never says anything.
var TcpEnv = proc.Program{Name: "tcp-env", Usage: "[ -rR ] [ -ttimeout ] program [ arg ... ]", Run: tcpEnv}

// tcpEnvIdentMax is how much of an ident server's answer counts (qmail's
// remoteinfo.c).
const tcpEnvIdentMax = 998

func tcpEnv(ctx context.Context, env *proc.Env) error {
	remoteInfo, timeout := true, 30*time.Second
	options := opt.Parse(env.Args[1:], "rRt:")
	for options.Next() {
		switch options.Letter {
		case 'r', 'R':
			remoteInfo = options.Letter == 'r'
		case 't':
			timeout, _ = seconds(options.Arg)
		}
	}
	const silent = proc.Exit(proc.StatusTemporary)
	if len(options.Rest()) == 0 {
		return silent
	}
	if env.Vars.Value("PROTO") != "TCP" {
		c, err := inspect(ctx, env)
		if err != nil {
			return silent
		}
		if remoteInfo {
			c.Info, c.HasInfo = ident.Ask(ctx, c.Local.Addr, c.Remote.Addr, timeout, tcpEnvIdentMax)
		}
		c.Set(&env.Vars)
	}
	env.Next(ctx, env, options.Rest())
	return silent
}

// inspect finds out about descriptor 0.
func inspect(ctx context.Context, env *proc.Env) (c ucspi.Connection, err error) {
	fd, ok := proc.Descriptor(env.Files[0])
	if !ok {
		return c, errors.New("no descriptor")
	}
	if c.Local.Addr, err = tcp.Local(fd); err != nil {
		return c, err
	}
	if c.Remote.Addr, err = tcp.Remote(fd); err != nil {
		return c, err
	}
	resolver := dnsq.New(env.Vars)
	c.Local.Host, c.Local.HasHost = nameOrSoft(ctx, resolver, c.Local.Addr)
	c.Remote.Host, c.Remote.HasHost = nameOrSoft(ctx, resolver, c.Remote.Addr)
	return c, nil
}

// nameOrSoft returns the name of an address, or what qmail puts in its place if
// nobody knows at the moment.
func nameOrSoft(ctx context.Context, resolver *dnsq.Resolver, a netip.AddrPort) (name string, ok bool) {
	names, err := resolver.PTR(ctx, a.Addr().WithZone(""))
	switch {
	case isNone(err):
		return "", false
	case err != nil || len(names) == 0:
		return "softdnserror", true
	}
	return strings.ToLower(names[0]), true
}

func isNone(err error) bool { return errors.Is(err, dnsq.ErrNone) }
