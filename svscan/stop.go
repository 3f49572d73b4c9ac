package svscan

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/strerr"
	"paperpath/service"
	"paperpath/supervise"
)

const (
	stopInterval = 100 * time.Millisecond // between two looks at things that cause no event
	logGrace     = 5 * time.Second        // how long a log pipe stays empty before the logger is told to end
	writerGrace  = 15 * time.Second       // how long a logger may read while another process can still write
	killGrace    = 5 * time.Second        // for another supervise to kill its service
)

// Orders at the end.
const (
	end         = "dx"
	endKilled   = "dxk"
	drainOrders = "cox" // a logger reads to the end of the pipe and is not restarted
)

// stop takes the next step of an orderly end. It reports whether nothing runs any
// more, and if not, when to call it again.
//
// A service is told to go down, and not to come back, when all services that come
// after it have ended:
//
//	             those after the service have ended      those after the logger, too
//	service, logger ──────> service is told ──> it ends ──────> pipe is closed
//	                                                                  |
//	                                 logger ends <──── reads what is in the pipe
//
// After a second signal, svscan kills the services, all at once; after a third one,
// the loggers too.
func (s *scanner) stop(now time.Time) (done bool, wake time.Time) {
	if !s.ordered {
		s.order()
		s.ordered = true
	}
	for s.stopSome(now) {
	}
	wake = now.Add(time.Minute)
	done = true
	for _, v := range s.services {
		done = done && v.log.over
		for _, g := range []*guard{&v.main, &v.log} {
			if !g.over && (g.scarce || g.orders != "" && g.keeper == nil || g.orders == drainOrders) {
				wake = now.Add(stopInterval)
			}
		}
	}
	return done, wake
}

// order finds out for each guard which others it comes after.
func (s *scanner) order() {
	for _, v := range s.services {
		if s.byName[v.name] == nil {
			s.byName[v.name] = v // its name was removed; others may still come after it
		}
	}
	for _, v := range s.services {
		v.main.after = s.guards(s.after(&v.main))
		v.log.after = s.guards(s.after(&v.log))
	}
}

func (s *scanner) guards(names []string) (guards []*guard) {
	for _, name := range names {
		if g := s.guard(name); g != nil {
			guards = append(guards, g)
		}
	}
	return guards
}

// stopSome takes the next step for those whose turn it is. It reports whether that
// may have made it another one's turn.
func (s *scanner) stopSome(now time.Time) (progress bool) {
	needed := map[*guard]bool{} // by a guard that is not over yet
	for _, v := range s.services {
		for _, g := range []*guard{&v.main, &v.log} {
			if !g.over {
				for _, before := range g.after {
					needed[before] = true
				}
			}
		}
	}
	// A logger always outlives its service.
	turn := func(v *entry, g *guard, anyhow bool) bool {
		return !g.over && (g == &v.main || v.main.over) && (anyhow || g.orders != "" || !needed[g])
	}
	// If it is nobody's turn, the rest form a cycle: it is everybody's turn.
	anyhow := s.stopping >= 2 || !slices.ContainsFunc(s.services, func(v *entry) bool {
		return turn(v, &v.main, false) || turn(v, &v.log, false)
	})
	for _, v := range s.services {
		if turn(v, &v.main, anyhow) {
			v.main.stop(s, now, v.openAll, v.mainPlace, v.mainOrders)
			progress = progress || v.main.over
		}
		if turn(v, &v.log, anyhow) {
			v.closeWriter()
			v.log.stop(s, now, v.reopenLog, v.logPlace, v.logOrders)
			progress = progress || v.log.over
			if v.log.over {
				v.close()
			}
		}
	}
	return progress
}

// stop takes the next step for one service directory.
func (g *guard) stop(s *scanner, now time.Time, open func(*scanner) error,
	place func() supervise.Place, orders func(*scanner, time.Time) string) {
	// The service was not taken in, but a predecessor may have left it running.
	g.scarce = false
	if g.dir == nil {
		if err := open(s); child.Exhausted(err) {
			// Others free their descriptors when they have ended.
			g.scarce = slices.ContainsFunc(s.services, func(v *entry) bool { return v.main.dir != nil })
			if g.scarce {
				return
			}
		}
	}
	if g.over = g.gone(s, now, place); g.over {
		return
	}
	g.tell(s, now, orders(s, now))
	if g.over = g.gone(s, now, place); g.over {
		return
	}
	if g.keeper == nil && g.orders == endKilled && now.Sub(g.since) > killGrace {
		s.env.Warn(strerr.Unable("stop", g.name, errors.New("what supervises it does not obey")))
		g.over, s.abandoned = true, true
	}
}

func (v *entry) mainOrders(s *scanner, _ time.Time) string {
	if s.stopping >= 2 {
		return endKilled
	}
	return end
}

// logOrders lets the logger first read the rest of the pipe and end by itself.
//
// If another process has the writing end too, there is no end of file. So the logger
// is told to end when the pipe has been empty for a while, or after writerGrace, as
// such a process may write for ever. Otherwise the logger may take its time as long
// as there is something in the pipe, up to the timeout-kill in its directory.
func (v *entry) logOrders(s *scanner, now time.Time) string {
	g := &v.log
	status := g.status()
	switch {
	case s.stopping >= 3:
		return endKilled
	case g.orders == "":
		if status.PID == 0 && status.Want != service.Up {
			return end
		}
		g.killAfter = g.dir.Rules(func(error) {}).KillAfter
		return drainOrders
	case g.orders != drainOrders:
		return g.orders
	case g.killAfter > 0 && now.Sub(g.since) >= g.killAfter:
		return endKilled
	}
	// The service has ended, so the writer is another process.
	if now.Sub(g.since) >= writerGrace && v.writable() {
		return end
	}
	if status.PID != 0 && v.unread() {
		v.empty = time.Time{}
		return drainOrders
	}
	if v.empty.IsZero() {
		v.empty = now
	}
	if now.Sub(v.empty) < logGrace {
		return drainOrders
	}
	return end
}

// unread reports whether the log pipe holds unread bytes.
func (v *entry) unread() bool {
	if v.from == nil {
		return false
	}
	n, err := unix.IoctlGetInt(int(v.from.Fd()), unix.TIOCINQ)
	return err == nil && n > 0
}

// writable reports whether a process has the writing end of the log pipe.
func (v *entry) writable() bool {
	if v.from == nil {
		return false
	}
	poll := []unix.PollFd{{Fd: int32(v.from.Fd()), Events: unix.POLLIN}}
	_, err := unix.Poll(poll, 0)
	return err == nil && poll[0].Revents&unix.POLLHUP == 0
}

// openAll opens the service directory, and the log pipe.
func (v *entry) openAll(s *scanner) error {
	err := v.open(s)
	if child.Exhausted(err) {
		v.close()
	}
	return err
}

func (v *entry) reopenLog(s *scanner) (err error) {
	if v.main.dir != nil {
		v.log.dir, err = v.openLog(s)
	}
	return err
}
