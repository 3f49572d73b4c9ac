package service

import (
	"errors"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/internal/watch"
)

// Exit statuses of a wait, those of s6-svwait. A status from 1 to statusFailed is
// the number of services that failed.
const (
	statusFailed   = 98
	statusTimedOut = 99
	statusDied     = 102
)

// goal is the state that is waited for, by its letter.
type goal byte

const (
	goalUp        goal = 'u' // its process runs
	goalReady     goal = 'U' // and is ready, if it announces that, and was not told to end
	goalDown      goal = 'd' // its process has ended
	goalFinished  goal = 'D' // and so has ./finish
	goalRestarted goal = 'r' // it was down at some time since the wait began, and is up
	goalRenewed   goal = 'R' // and ready
)

const goals = "uUdDrR"

func (g goal) isDown() bool { return g == goalDown || g == goalFinished }

// reached reports whether a service has reached the goal. first and last are its
// status when the wait began and at the previous look. Looking from time to time
// can miss short-lived states, but a changed label shows that the process changed.
func (g goal) reached(first, last, now *Status) bool {
	finished := now.PID == 0 && now.Phase != PhaseFinishing
	changed := !now.Stamp.Equal(last.Stamp)
	switch g {
	case goalUp:
		return now.PID != 0 || changed && last.PID == 0 && now.ranOnce()
	case goalReady:
		return now.Up()
	case goalDown:
		return now.PID == 0 || changed && last.PID != 0
	case goalFinished:
		return finished || changed && now.PID > 0 && (last.PID != 0 || last.Phase == PhaseFinishing)
	}
	if first.PID != 0 && now.Stamp.Equal(first.Stamp) {
		return false
	}
	if g == goalRestarted {
		return now.PID != 0 || first.PID == 0 && !now.Stamp.Equal(first.Stamp) && now.ranOnce()
	}
	return now.Up()
}

// ranOnce reports whether a service that was down, and is down with another label,
// has run in between and will not run again.
func (s *Status) ranOnce() bool {
	return s.PID == 0 && s.Want == 0 && (s.Phase == PhaseDown || s.Phase == PhaseFinishing)
}

// wait is one wait for services.
type wait struct {
	env      *proc.Env
	goal     goal
	any      bool      // one of them is enough
	until    time.Time // zero: for ever
	watcher  *watch.Watcher
	services []*waited
}

// waited is one of the services.
type waited struct {
	name        string
	dir         *Dir
	ok          *sys.FD // supervise/ok, which breaks when supervise exits; nil: no supervise
	first, last Status
	reached     bool
	ordered     bool // orders were sent: a failure from before them means nothing
	downPending bool // an order to go down was sent, and is not in the status yet
	coming      bool // the orders make it start or end, and it has not done so yet
	failed      bool // it is down for good
}

// Without inotify, the pause between two looks is a tenth of the time waited so
// far, within these bounds. (A user has only 128 inotify instances. If there are
// more waiters than that, they should not use up the processor by looking.)
const (
	leastPause = 100 * time.Millisecond
	mostPause  = time.Second
)

// newWait starts watching services: no change from now on will be missed. The
// caller must call close.
func newWait(env *proc.Env, g goal, names []string) (*wait, error) {
	w := &wait{env: env, goal: g}
	// Without a watcher, run looks from time to time.
	w.watcher, _ = watch.New()
	for _, name := range names {
		s, err := w.open(name)
		if err != nil {
			w.close()
			return nil, err
		}
		w.services = append(w.services, s)
	}
	return w, nil
}

func (w *wait) open(name string) (_ *waited, err error) {
	s := &waited{name: name}
	if s.dir, err = Open(w.env, name); err != nil {
		return nil, unableToEnter(name, err)
	}
	if s.ok, err = s.dir.openOK(); err != nil && err != unix.ENXIO && err != unix.ENOENT {
		s.dir.Close()
		return nil, strerr.Unable("open", name+"/supervise/ok", err)
	}
	// Watch first, then look. Without supervise there will be no more changes.
	if s.ok != nil && w.watcher != nil && w.watcher.Add(w.files(s)) != nil {
		w.unwatch()
	}
	s.last.PID = -1 // neither up nor down
	if s.last, err = s.status(); err != nil {
		s.close()
		return nil, err
	}
	s.first = s.last
	return s, nil
}

// files returns the path of the directory of the status file.
func (w *wait) files(s *waited) string {
	if filepath.IsAbs(s.dir.files) {
		return s.dir.files
	}
	if w.env.Dir != "" && !filepath.IsAbs(s.name) {
		return w.env.Dir + "/" + s.name + "/" + s.dir.files
	}
	return s.name + "/" + s.dir.files
}

// openOK opens supervise/ok as OK does. The descriptor breaks when supervise, its
// reader, exits.
func (d *Dir) openOK() (*sys.FD, error) {
	return sys.OpenAt(d.at(), d.file("ok"), unix.O_WRONLY|unix.O_NONBLOCK, 0)
}

func (w *wait) unwatch() {
	if w.watcher != nil {
		w.watcher.Close()
		w.watcher = nil
	}
}

func (w *wait) close() {
	w.unwatch()
	for _, s := range w.services {
		s.close()
	}
}

func (s *waited) close() {
	s.dir.Close()
	if s.ok != nil {
		s.ok.Close()
	}
}

// status reads the status. If supervise has gone and the file with it, the last
// status read still counts.
func (s *waited) status() (Status, error) {
	status, err := s.dir.Status()
	if err != nil && s.ok == nil {
		return s.last, nil
	}
	if err != nil {
		return Status{}, strerr.Unable("read", s.name+"/supervise/status", err)
	}
	return status, nil
}

// run waits until the goal is reached; otherwise the error says why not.
func (w *wait) run() error {
	began := time.Now()
	for {
		wake, timeout := w.until, true
		if w.watcher == nil {
			next := time.Now().Add(min(max(time.Since(began)/10, leastPause), mostPause))
			if wake.IsZero() || next.Before(wake) {
				wake, timeout = next, false
			}
		}
		if done, err := w.look(); done || err != nil {
			return err
		}
		changed, err := w.sleep(wake)
		if err != nil {
			return err
		}
		if !changed && timeout {
			return w.timedOut()
		}
	}
}

// sleep waits until something changes, or until wake.
func (w *wait) sleep(wake time.Time) (changed bool, err error) {
	var fds []*sys.FD
	if w.watcher != nil {
		fds = append(fds, w.watcher.FD())
	}
	for _, s := range w.services {
		if s.ok != nil {
			fds = append(fds, s.ok)
		}
	}
	ready, err := sys.Poll(wake, fds...)
	if err != nil {
		return false, strerr.Unable("poll", "", err)
	}
	for i := range ready {
		changed = changed || ready[i]
	}
	if w.watcher != nil {
		// A look looks at all services, whichever changed. If there are many, more
		// of them are about to change: wait a moment, so that one look sees several
		// changes.
		time.Sleep(time.Duration(len(w.services)-1) * 50 * time.Microsecond)
		w.watcher.Changes()
		if w.watcher.Ended() {
			w.unwatch()
		}
	}
	return changed, nil
}

// look looks at every service. done means that the goal is reached, an error that
// it cannot be reached any more.
func (w *wait) look() (done bool, err error) {
	var reached, failed, dead int
	for _, s := range w.services {
		if err := s.look(w.goal); err != nil {
			return false, err
		}
		switch {
		case s.reached:
			reached++
		case s.ok == nil:
			dead++
		case s.failed:
			failed++
		}
	}
	all := len(w.services)
	switch {
	case w.any && reached > 0 || reached == all:
		return true, nil
	case failed+dead == 0 || w.any && failed+dead < all:
		return false, nil
	}
	return false, w.hopeless(failed, dead > 0)
}

func (s *waited) look(g goal) error {
	// supervise writes its last status before it exits. To see that one, look for
	// the exit first and then read the status.
	if s.ok != nil {
		if ended, err := sys.Poll(time.Now(), s.ok); err != nil {
			return strerr.Unable("poll", "", err)
		} else if ended[0] {
			s.ok.Close()
			s.ok = nil
		}
	}
	now, err := s.status()
	if err != nil {
		return err
	}
	s.downPending = s.downPending && now.Want != Down && s.ok != nil
	s.coming = s.coming && now.Stamp.Equal(s.first.Stamp)
	s.reached = g.reached(&s.first, &s.last, &now) && !s.downPending && !s.coming
	s.failed = !g.isDown() && now.Phase == PhaseFailed && !(s.ordered && now.Stamp.Equal(s.first.Stamp))
	if s.ok == nil && !g.isDown() {
		s.reached = false // a service that is not supervised does not count as up
	}
	s.last = now
	return nil
}

var errNotRunning = errors.New("supervise not running")

// hopeless reports the services that keep the goal from being reached.
func (w *wait) hopeless(failed int, dead bool) error {
	var first error
	for _, s := range w.services {
		var err error
		switch {
		case s.reached:
		case s.ok == nil:
			err = strerr.Unable("watch", s.name, errNotRunning)
		case s.failed:
			err = errors.New(strerr.Clean(s.name) + " failed permanently")
		}
		switch {
		case err == nil:
		case first == nil:
			first = err
		default:
			w.env.Warn(err)
		}
	}
	status := min(failed, statusFailed)
	if dead {
		status = statusDied
	}
	return &proc.Failure{Status: status, Err: first}
}

func (w *wait) timedOut() error {
	for _, s := range w.services {
		if !s.reached {
			w.env.Warn(errors.New(strerr.Clean(s.name) + " is " + s.last.Phase.String()))
		}
	}
	return &proc.Failure{Status: statusTimedOut, Err: errors.New("timed out")}
}
