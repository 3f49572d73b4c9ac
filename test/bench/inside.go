package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// smtpHome makes a home for qmail-smtpd and returns the variable that names it.
func (t *turn) smtpHome() (variable string, err error) {
	home := filepath.Join(t.dir, "home")
	if err := os.MkdirAll(filepath.Join(home, "control"), 0o755); err != nil {
		return "", err
	}
	return "QMAILHOME=" + home, os.WriteFile(filepath.Join(home, "control", "me"), []byte("bench.example\n"), 0o644)
}

// listenSMTP starts a tcpserver with our qmail-smtpd at the end of a chain.
func (t *turn) listenSMTP(who family, limit int, chain []string, options ...string) (pid int, addr netip.AddrPort, err error) {
	home, err := t.smtpHome()
	if err != nil {
		return 0, addr, err
	}
	args := append(slices.Clone(options), "-c", strconv.Itoa(limit), "--")
	args = append(append(args, chain...), "qmail-smtpd")
	return t.listen(who, []string{home, "RBLSMTPD="}, args...)
}

// inside compares a program that is a function with one that is executed. The
// last two show the limits: what executing costs at the least, and what the
// dialogue costs a server that does nothing else.
func inside(n *sizes) *contest {
	m := insideMetrics(n)
	c := insideContest("inside", "connections to qmail-smtpd that say QUIT", n, m, nil)
	c.contenders = append(c.contenders,
		contender{"one system call, executed", []string{"tcpserver"}, ours, func(t *turn) error {
			program, err := say.make(t.dir)
			if err != nil {
				return err
			}
			_, addr, err := t.listen(ours, nil, "-c", "1000", "--", program)
			if err != nil {
				return err
			}
			return t.hammerBoth(n, m, addr, hears)
		}},
		contender{"the dialogue alone", nil, ours, func(t *turn) error {
			addr, end, err := sayGoodbye(n.clients)
			if err != nil {
				return err
			}
			defer end()
			return t.hammerBoth(n, m, addr, quits)
		}})
	return c
}

// insideChain is a chain of two programs: rblsmtpd, told by the rules (here, the
// environment) not to ask anybody, and qmail-smtpd.
func insideChain(n *sizes) *contest {
	return insideContest("inside-chain", "connections to qmail-smtpd behind rblsmtpd, with $RBLSMTPD empty", n, insideMetrics(n),
		func(t *turn, who family) []string { return []string{t.find(who, "rblsmtpd")} })
}

// insideMetrics are rates with one client and with several.
func insideMetrics(n *sizes) [2]*metric {
	return [2]*metric{
		{"1 client", "connections/s", timesOne(10, "ucspi-tcp")},
		{fmt.Sprintf("%d clients", n.clients), "connections/s", timesOne(10, "ucspi-tcp")},
	}
}

// insideContest runs qmail-smtpd, behind what before returns, if anything.
func insideContest(name, title string, n *sizes, m [2]*metric, before func(*turn, family) []string) *contest {
	smtp := func(who family, options ...string) func(*turn) error {
		return func(t *turn) error {
			var chain []string
			if before != nil {
				chain = before(t, who)
			}
			_, addr, err := t.listenSMTP(who, 1000, chain, options...)
			if err != nil {
				return err
			}
			return t.hammerBoth(n, m, addr, quits)
		}
	}
	needs := []string{"tcpserver"}
	if before != nil {
		needs = append(needs, "rblsmtpd")
	}
	return &contest{name: name, title: title, metrics: m[:], contenders: []contender{
		{"paperpath -i", needs, ours, smtp(ours, "-i")},
		{"paperpath", needs, ours, smtp(ours)},
		{"ucspi-tcp", needs, theirs, smtp(theirs)},
	}}
}

// hammerBoth adds the rates of one client and of several.
func (t *turn) hammerBoth(n *sizes, m [2]*metric, addr netip.AddrPort, talk dialogue) error {
	for i, clients := range []int{1, n.clients} {
		rate, err := hammer(addr, clients, n.hammer, talk)
		if err != nil {
			return err
		}
		t.add(m[i], rate)
	}
	return nil
}

// insideIdle holds connections to functions.
func insideIdle(n *sizes) *contest {
	c := &contest{name: "inside-idle", title: "idle connections to qmail-smtpd within tcpserver -i, greeted"}
	each := make([]*metric, len(n.idle))
	total := make([]*metric, len(n.idle))
	next := make([]*metric, len(n.idle))
	for i, count := range n.idle {
		each[i] = &metric{fmt.Sprintf("%d held, PSS per connection", count), "kB", atMost(60)}
		total[i] = &metric{fmt.Sprintf("%d held, PSS of the server", count), "MB", atMost(700)}
		next[i] = &metric{fmt.Sprintf("%d held, until the next one is greeted", count), "ms", atMost(10)}
		c.metrics = append(c.metrics, each[i], total[i], next[i])
	}
	c.contenders = []contender{{"paperpath -i", []string{"tcpserver"}, ours, func(t *turn) error {
		for i, count := range n.idle {
			if err := t.holdIdle(count, each[i], total[i], next[i]); err != nil {
				return err
			}
			endAll()
		}
		return nil
	}}}
	return c
}

// holdIdle measures a fresh server with so many idle connections.
func (t *turn) holdIdle(count int, each, total, next *metric) error {
	const more = 50 // connections, and a reserve of descriptors for each side
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	// tcpserver keeps 4 descriptors for each that is being prepared.
	if l.Cur < uint64(count+4*more) {
		return leftOut(fmt.Sprintf("%d descriptors are too few for %d connections (ulimit -n)", l.Cur, count))
	}
	pid, addr, err := t.listenSMTP(ours, count+more, nil, "-i")
	if err != nil {
		return err
	}
	before, err := weigh(tree(pid))
	if err != nil {
		return err
	}
	release, err := t.hold(addr, count)
	if err != nil {
		return err
	}
	defer release()
	after, err := weigh(tree(pid))
	if err != nil {
		return err
	}
	t.add(each, float64(after-before)/float64(count))
	t.add(total, float64(after)/1e3)
	for range more {
		began := time.Now()
		c, err := dial(addr, perHolder) // a source that no holder has
		if err != nil {
			return err
		}
		err = greeted(c)
		t.milliseconds(next, time.Since(began))
		c.close()
		if err != nil {
			return err
		}
	}
	return nil
}
