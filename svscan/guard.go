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

// guard is svscan's state for one service directory, a service's or its logger's.
type guard struct {
	name      string            // for messages
	dir       *service.Dir      // held open
	keeper    *supervise.Keeper // nil: not kept here
	elsewhere bool              // a separate supervise keeps it
	next      time.Time         // no attempt before this
	tries     int               // failed attempts since it is elsewhere

	// At the end:
	after     []*guard      // the guards that it comes after
	orders    string        // the orders that it is to get
	since     time.Time     // when orders was set
	sent      bool          // orders have been sent
	killAfter time.Duration // how long a logger may read the rest; 0: for ever
	asked     bool          // foreign is known
	foreign   bool          // another svscan keeps it
	scarce    bool          // it needs descriptors that others free when they have ended
	over      bool          // nothing runs any more, or it was given up
}

func (g *guard) idle() bool { return g.keeper == nil && !g.elsewhere }

func (g *guard) later(now time.Time) { g.next = now.Add(interval) }

func (g *guard) close() {
	if g.dir != nil {
		g.dir.Close()
		g.dir = nil
	}
}

// forget gives up a service that is down and whose directory has been removed:
// nothing can be started there any more, and no order can be sent.
func (g *guard) forget() {
	if g.keeper == nil || g.keeper.Closed() || !g.dir.Removed() {
		return
	}
	if status := g.keeper.Status(); status.PID == 0 && status.FinishPID == 0 {
		g.keeper.End("dx")
		g.settle(time.Now())
	}
}

// settle notices that the service was told to exit.
func (g *guard) settle(now time.Time) {
	if g.keeper != nil && g.keeper.Closed() {
		g.keeper = nil
		g.later(now)
	}
}

// wanting reports whether to try to take the service in.
func (g *guard) wanting(now time.Time) bool { return g.keeper == nil && !now.Before(g.next) }

// kept records the result of an attempt to take the service in.
func (g *guard) kept(s *scanner, now time.Time, keeper *supervise.Keeper, err error) {
	switch {
	case err == nil:
		g.keeper, g.elsewhere, g.tries = keeper, false, 0
	case errors.Is(err, unix.EWOULDBLOCK):
		// A separate supervise has the lock, perhaps one of a C svscan that was
		// killed. Or it is only the last child of a supervisor that was killed,
		// which holds the lock until its execve.
		g.tries++
		g.next = now.Add(min(interval, time.Duration(g.tries*g.tries)*50*time.Millisecond))
		g.elsewhere = true
		if g.tries == 4 {
			s.env.Warn(errors.New(strerr.Clean(g.name) + " is supervised already"))
		}
	default:
		s.host.Failed(err)
		g.elsewhere = false
		g.later(now)
	}
}

// gone reports, at the end, whether nothing runs any more. If a separate supervise
// was killed, its service is taken over so that it can be stopped.
func (g *guard) gone(s *scanner, now time.Time, place func() supervise.Place) bool {
	g.settle(now)
	if g.keeper != nil {
		return false
	}
	if g.dir == nil {
		return true
	}
	if g.dir.Locked() {
		// If another svscan has the service, leave it alone: a second svscan has
		// been started for the directory.
		if !g.asked {
			g.asked, g.foreign = true, keptBySvscan(g.dir)
		}
		g.elsewhere = !g.foreign
		return g.foreign
	}
	g.elsewhere = false
	status, err := g.dir.Status()
	if child.Exhausted(err) {
		g.scarce = true
		return false
	}
	// A number in the status that belongs to another process by now does not
	// count.
	if err != nil || !s.host.Orphaned(g.dir, status) {
		return true
	}
	p := place()
	p.TakeOver = true
	keeper, err := s.host.Keep(p)
	g.kept(s, now, keeper, err)
	g.sent, g.scarce = false, child.Exhausted(err)
	return false
}

// tell sends a service its last orders. A supervise that is just starting does not
// read its fifo yet, and one that has been stopped may have a full fifo: then tell
// is called again soon.
func (g *guard) tell(s *scanner, now time.Time, orders string) {
	if g.orders != orders {
		g.orders, g.since, g.sent = orders, now, false
	}
	if g.sent {
		return
	}
	if g.keeper != nil {
		g.sent = true
		g.keeper.End(orders)
		return
	}
	switch err := g.dir.TryControl([]byte(orders)); {
	case err == nil:
		g.sent = true
	case !errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EAGAIN):
		s.warn(strerr.Unable("control", g.name, err))
	}
}

// status returns the status of the service, as far as it is known.
func (g *guard) status() service.Status {
	if g.keeper != nil {
		return g.keeper.Status()
	}
	status, _ := g.dir.Status()
	return status
}
