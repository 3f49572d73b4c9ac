package svscan

import (
	"slices"
	"time"

	"paperpath/internal/child"
	"paperpath/service"
)

const (
	stopInterval = 100 * time.Millisecond // between two looks at what other supervises keep
	logGrace     = 5 * time.Second        // for a logger to read its pipe to the end
)

// stop does the next step of an orderly end and reports whether nothing runs any
// more, and else when to come again.
//
// A service is told to go down, and not to come back, when those that come after
// it are gone. Then nobody writes to its pipe any more; svscan lets go of that
// end, and the logger reads what is left and ends by itself.
//
// Told once more, svscan waits for nobody and kills the services; a third time,
// the loggers too.
func (s *scanner) stop(now time.Time) (done bool, wake time.Time) {
	for s.stopSome(now) {
	}
	wake = now.Add(time.Minute)
	done = true
	for _, v := range s.services {
		done = done && v.stopped
		if v.main.elsewhere || v.log.elsewhere || v.main.scarce || v.log.scarce ||
			!v.stopped && v.log.told == readOn {
			wake = now.Add(stopInterval)
		}
	}
	return done, wake
}

// stopSome does the next step for those whose turn it is, and reports whether
// another one's turn may have come by that.
func (s *scanner) stopSome(now time.Time) (progress bool) {
	needed := map[string]bool{} // by a service that is not gone yet
	for _, v := range s.services {
		if v.after == nil && v.main.dir != nil {
			v.after = append([]string{}, v.main.dir.After()...)
		}
		if !v.mainGone {
			for _, name := range v.after {
				needed[name] = true
			}
		}
	}
	// In a circle everybody is needed.
	anyhow := s.stopping >= 2 || !slices.ContainsFunc(s.services, func(v *entry) bool {
		return !v.mainGone && (v.main.told != "" || !needed[v.name])
	})
	for _, v := range s.services {
		if !v.stopped && (v.mainGone || v.main.told != "" || anyhow || !needed[v.name]) {
			gone := v.mainGone
			v.stop(s, now)
			progress = progress || v.mainGone != gone
		}
	}
	return progress
}

// readOn has a logger go on to its own end, and not again.
const readOn = "cox"

// stop does the next step for one service and its logger.
func (v *entry) stop(s *scanner, now time.Time) {
	if !v.mainGone {
		if !v.main.reach(s, func() (*service.Dir, error) { return s.open(v.name) }) {
			return
		}
		if !v.main.gone(s, now, v.mainPlace()) {
			orders := "dx"
			if s.stopping >= 2 {
				orders = "dxk"
			}
			v.main.tell(s, now, orders)
		}
		v.mainGone = v.main.gone(s, now, v.mainPlace())
		if !v.mainGone {
			return
		}
	}
	v.closeWriter()
	if v.main.dir != nil && !v.log.reach(s, func() (*service.Dir, error) { return v.openLog(s) }) {
		return
	}
	if !v.log.gone(s, now, v.logPlace()) {
		orders := v.log.told
		switch {
		case s.stopping >= 3:
			orders = "dxk"
		case orders == "":
			orders = "dx"
			if status := v.log.status(); status.PID != 0 || status.Want == service.Up {
				orders = readOn
			}
		case orders == readOn && now.Sub(v.log.toldAt) > logGrace:
			orders = "dx" // somebody else holds the pipe open
		}
		v.log.tell(s, now, orders)
	}
	if v.stopped = v.log.gone(s, now, v.logPlace()); v.stopped {
		v.close()
	}
}

// reach opens the directory of what was not taken in: a predecessor that could
// have more descriptors may have left it running. It reports false if there are
// none to spare before others have given theirs back.
func (g *guard) reach(s *scanner, open func() (*service.Dir, error)) bool {
	g.scarce = false
	if g.dir != nil {
		return true
	}
	dir, err := open()
	switch {
	case err == nil:
		g.dir = dir
	case child.Exhausted(err):
		g.scarce = slices.ContainsFunc(s.services, func(v *entry) bool { return v.main.dir != nil })
	}
	return !g.scarce
}
