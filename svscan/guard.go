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

// guard is what svscan has to do with one service directory: a service's, or its
// logger's.
type guard struct {
	name      string            // for messages
	dir       *service.Dir      // held open
	keeper    *supervise.Keeper // nil: not kept here
	elsewhere bool              // a supervise of its own keeps it
	next      time.Time         // no try before this
	tries     int               // in vain, since it is elsewhere

	// At the end:
	after     []*guard      // those that it comes after
	orders    string        // what it is to be told
	since     time.Time     // and since when
	told      bool          // it has been
	killAfter time.Duration // for a logger to read the rest; 0: for ever
	asked     bool          // it is known whether
	foreign   bool          // another svscan keeps it
	scarce    bool          // there are no descriptors for it before others have ended
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

// forget gives up a service that is down, and of which the directory has been
// removed: nothing can be started there any more, nor an order be given.
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

// kept notes what came of trying to take the service in.
func (g *guard) kept(s *scanner, now time.Time, keeper *supervise.Keeper, err error) {
	switch {
	case err == nil:
		g.keeper, g.elsewhere, g.tries = keeper, false, 0
	case errors.Is(err, unix.EWOULDBLOCK):
		// A supervise of its own: of an older svscan that was killed, say. Or it
		// is only the last child of such a one, which is about to execute.
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
		// What another svscan has is none of our business: somebody has started
		// a second one for the directory.
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
	// A number that belongs to something else by now is no reason: the service
	// would be started, just before the end.
	if err != nil || !s.host.Orphaned(g.dir, status) {
		return true
	}
	p := place()
	p.TakeOver = true
	keeper, err := s.host.Keep(p)
	g.kept(s, now, keeper, err)
	g.told, g.scarce = false, child.Exhausted(err)
	return false
}

// tell gives its last orders to a service. One whose supervise is just beginning
// cannot hear yet, and one that has stopped may have a fifo that is full: then
// there is another turn soon.
func (g *guard) tell(s *scanner, now time.Time, orders string) {
	if g.orders != orders {
		g.orders, g.since, g.told = orders, now, false
	}
	if g.told {
		return
	}
	if g.keeper != nil {
		g.told = true
		g.keeper.End(orders)
		return
	}
	switch err := g.dir.TryControl([]byte(orders)); {
	case err == nil:
		g.told = true
	case !errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EAGAIN):
		s.warn(strerr.Unable("control", g.name, err))
	}
}

// status is what the service is like, as far as it can be known.
func (g *guard) status() service.Status {
	if g.keeper != nil {
		return g.keeper.Status()
	}
	status, _ := g.dir.Status()
	return status
}
