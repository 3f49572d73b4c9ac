package svscan

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/strerr"
	"paperpath/service"
)

// guard is one supervise: a service's, or its logger's.
type guard struct {
	name      string         // of the directory, for messages
	dir       *service.Dir   // the directory it guards
	command   *child.Command // how it was started last; nil: not by this svscan
	pid       int            // 0: not running as a child
	elsewhere bool           // it runs, but some other svscan started it
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

// start starts the supervise, unless it runs already. It does so once in
// interval at the most; so one that lived longer is back at once, and one that
// cannot run is not tried all the time.
func (g *guard) start(s *scanner, now time.Time, name string, c *child.Command) {
	if g.pid != 0 || now.Before(g.next) {
		return
	}
	g.name, g.next = name, now.Add(interval)
	// The supervises of an svscan that was killed go on. Theirs is the lock;
	// another supervise could but complain of that every five seconds.
	if g.dir.Locked() {
		if !g.elsewhere {
			g.elsewhere = true
			s.env.Warn(errors.New(strerr.Clean(name) + " is supervised already"))
		}
		return
	}
	g.elsewhere = false
	g.run(s, c)
}

func (g *guard) run(s *scanner, c *child.Command) {
	c.Vars = s.env.Vars
	p, err := child.Start(c)
	switch {
	case err == nil:
		g.pid, g.command = p.PID, c
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
	switch {
	case g.pid != 0:
		return false
	case g.elsewhere:
		g.elsewhere = g.dir.Locked()
		return !g.elsewhere
	case g.command == nil:
		return true
	}
	status, err := g.dir.Status()
	if err != nil || status.PID == 0 || unix.Kill(status.PID, 0) != nil {
		return true
	}
	if !now.Before(g.next) {
		g.next, g.told = now.Add(time.Second), ""
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
