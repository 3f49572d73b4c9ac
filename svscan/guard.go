package svscan

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/strerr"
	"paperpath/service"
	"paperpath/supervise"
)

// guard is one supervise: a service's, or its logger's.
type guard struct {
	name      string         // of the directory, for messages
	dir       *service.Dir   // the directory it guards
	command   *child.Command // how to start it; nil: it has not run yet
	pid       int            // 0: not running as a child
	elsewhere bool           // it runs, but some other svscan started it
	started   time.Time      // by this svscan, the last time
	next      time.Time      // no start before this

	// At the end:
	told   string    // the orders it got
	toldAt time.Time // and when
}

func (g *guard) idle() bool { return g.pid == 0 && !g.elsewhere }

func (g *guard) close() {
	if g.dir != nil {
		g.dir.Close()
		g.dir = nil
	}
}

// start starts the supervise, unless it runs already. One that ended at once, or
// did not even begin, is not tried again for some time.
func (g *guard) start(s *scanner, now time.Time, name string, c *child.Command) {
	if g.pid != 0 || now.Before(g.next) {
		return
	}
	g.name, g.next = name, now.Add(interval)
	// The supervises of an svscan that was killed go on. Theirs is the lock;
	// another supervise could but complain of that every five seconds.
	if g.dir.Locked() {
		if !g.elsewhere {
			g.elsewhere, g.command = true, c
			s.env.Warn(errors.New(strerr.Clean(name) + " is supervised already"))
		}
		return
	}
	g.elsewhere = false
	g.run(s, c)
}

// ended tells that the process is no more.
func (g *guard) ended(now time.Time) {
	g.pid = 0
	if now.Sub(g.started) >= time.Second {
		g.next = now
	}
}

func (g *guard) run(s *scanner, c *child.Command) {
	c.Vars = s.env.Vars
	p, err := child.Start(c)
	switch {
	case err == nil:
		g.pid, g.command, g.started = p.PID, c, time.Now()
		s.processes[p.PID] = g
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOMEM),
		errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		s.warn(strerr.Unable("fork for", g.name, err))
	default:
		s.warn(strerr.Unable("start supervise", g.name, err))
	}
}

// gone reports, at the end, whether the supervise is no more. One that was
// killed and left its service behind is started again: it takes the service
// over and can be told.
func (g *guard) gone(s *scanner, now time.Time) bool {
	if g.elsewhere {
		g.elsewhere = g.dir.Locked()
	}
	if !g.idle() {
		return false
	}
	if g.command == nil {
		return true
	}
	status, err := g.dir.Status()
	// A number that belongs to something else by now is no reason: the supervise
	// would start the service, just before the end.
	if err != nil || !supervise.Orphaned(g.dir, status) {
		return true
	}
	if !now.Before(g.next) {
		g.next, g.told = now.Add(interval), ""
		g.run(s, g.command)
	}
	return false
}

// tell gives a supervise its last orders. One that is just beginning cannot
// hear yet: there is another turn soon.
func (g *guard) tell(s *scanner, now time.Time, orders string) {
	if s.hurry {
		orders = "dxk"
	}
	if g.told == orders {
		return
	}
	switch err := g.dir.Control([]byte(orders)); {
	case err == nil:
		g.told, g.toldAt = orders, now
	case !errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.ENOENT):
		s.warn(strerr.Unable("control", g.name, err))
	}
}
