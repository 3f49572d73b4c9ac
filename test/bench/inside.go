package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
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

// listenSMTP starts a tcpserver with our qmail-smtpd.
func (t *turn) listenSMTP(who family, limit int, options ...string) (pid int, addr netip.AddrPort, err error) {
	home, err := t.smtpHome()
	if err != nil {
		return 0, addr, err
	}
	args := append(options, "-c", strconv.Itoa(limit), "--", "qmail-smtpd")
	return t.listen(who, []string{home}, args...)
}

// inside compares a program that is a function with one that is executed.
func inside(n *sizes) *contest {
	const executed = "a program of one system call, executed"
	one := &metric{"1 client", "connections/s", timesOne(10, executed)}
	many := &metric{fmt.Sprintf("%d clients", n.clients), "connections/s", timesOne(10, executed)}
	measure := func(t *turn, addr netip.AddrPort, talk dialogue) error {
		rate, err := hammer(addr, 1, n.hammer, talk)
		if err != nil {
			return err
		}
		t.add(one, rate)
		if rate, err = hammer(addr, n.clients, n.hammer, talk); err == nil {
			t.add(many, rate)
		}
		return err
	}
	smtp := func(who family, options ...string) func(*turn) error {
		return func(t *turn) error {
			_, addr, err := t.listenSMTP(who, 1000, options...)
			if err != nil {
				return err
			}
			return measure(t, addr, quits)
		}
	}
	needs := []string{"tcpserver"}
	return &contest{
		name: "inside", title: "connections to qmail-smtpd that say QUIT", metrics: []*metric{one, many},
		contenders: []contender{
			{"paperpath -i", needs, ours, smtp(ours, "-i")},
			{"paperpath, executed", needs, ours, smtp(ours)},
			{"ucspi-tcp, executed", needs, theirs, smtp(theirs)},
			{executed, needs, ours, func(t *turn) error {
				program, err := say.make(t.dir)
				if err != nil {
					return err
				}
				_, addr, err := t.listen(ours, nil, "-c", "1000", "--", program)
				if err != nil {
					return err
				}
				return measure(t, addr, hears)
			}},
		},
	}
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
		next[i] = &metric{fmt.Sprintf("%d held, until the next one is greeted", count), "ms", nil}
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
		return fmt.Errorf("%d descriptors are too few for %d connections (ulimit -n)", l.Cur, count)
	}
	pid, addr, err := t.listenSMTP(ours, count+more, "-i")
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
