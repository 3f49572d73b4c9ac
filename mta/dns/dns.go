// Package dns asks the DNS what the mail system asks it, for administrators and
// for the script config: who this host is, where a host is, and where mail for a
// domain goes.
//
//	host ──dnsip──▶ addresses        host ──dnsfq──▶ its name in the DNS
//	address ──dnsptr──▶ name         alias ──dnscname──▶ name
//	domain ──dnsmxip──▶ addresses and preferences
//	hostname, ipmeprint: this host's name and addresses
//
// What there is not, as the DNS says, is a "hard error", exit status 100. If the
// DNS says nothing, that is a "soft error", 111 (dnsdoe.c).
package dns

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"paperpath/internal/dnsq"
	"paperpath/internal/ipme"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// patience is how long the answer about IPv6 addresses is waited for when there
// are others. There are servers that never give one.
const patience = 3 * time.Second

// asked makes a program of what it does with its first argument. The C programs
// have nothing to say to somebody who gives none.
func asked(answer func(ctx context.Context, r *dnsq.Resolver, what string) (lines []string, err error)) func(context.Context, *proc.Env) error {
	return func(ctx context.Context, env *proc.Env) error {
		if len(env.Args) < 2 {
			return proc.Exit(proc.StatusPermanent)
		}
		lines, err := answer(ctx, dnsq.New(env.Vars), env.Args[1])
		switch {
		case err == nil:
			return put(env, lines)
		case errors.Is(err, dnsq.ErrNone):
			return proc.Verbatim(proc.StatusPermanent, "hard error")
		}
		return proc.Verbatim(proc.StatusTemporary, "soft error")
	}
}

// put prints the lines.
func put(env *proc.Env, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	_, err := env.Files[1].Write([]byte(strings.Join(lines, "\n") + "\n"))
	switch {
	case errors.Is(err, syscall.EPIPE):
		return proc.BrokenPipe
	case err != nil:
		return strerr.Unable("write", "output", err)
	}
	return nil
}

// literal reads an address that stands where a name might.
func literal(s string) (netip.Addr, bool) {
	if a, ok := ipme.ParseDotted(s); ok {
		return a, true
	}
	if a, ok := ipme.ParseLiteral(s); ok {
		return a, true
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap(), err == nil && a.Zone() == ""
}

// addresses returns those of a host, IPv4 first: who takes the first line, as
// scripts for the C programs do, gets what he had.
func addresses(ctx context.Context, r *dnsq.Resolver, host string) ([]netip.Addr, error) {
	if a, ok := literal(host); ok {
		return []netip.Addr{a}, nil
	}
	four, err := r.A(ctx, host)
	if err == nil {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	} else if !errors.Is(err, dnsq.ErrNone) {
		return nil, err
	}
	six, err := r.AAAA(ctx, host)
	if len(four) == 0 && err != nil {
		return nil, err
	}
	return append(four, six...), nil
}
