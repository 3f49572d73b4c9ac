// Package supervise keeps services running.
//
// A service is a state machine (machine). It owns no process, no descriptor
// and no clock: a world carries out its decisions, and reports events to it by
// calling its methods, one at a time. A Keeper is the world of one service; a Host
// runs any number of Keepers in one event loop: one in the program supervise, all
// of them in svscan.
//
//	           start: Begin, 'u', 'o', or a restart
//	     +------------------------------------------------+
//	     |                                                v
//	+--------+  due       +---------+  others up    +----------+  Ready   +----+
//	| down   |----------->| waiting |-------------->| starting |--------->| up |
//	| delayed|            +---------+               +----------+          +----+
//	+--------+                                            | 'd'            'd' |
//	  ^    ^              +-----------+     Ended         v                   v
//	  |    +--------------| finishing |<------------ +--------------------------+
//	  |     FinishEnded   +-----------+              | stopping: KILL in time   |
//	  |                      | exit code 125         +--------------------------+
//	  |                      | of finish, 100 of run
//	  |  'u', 'o'            v
//	  +------------------ failed
//
// A process may also end by itself, while starting or up: the next state is
// finishing, or if there is no ./finish, the one after it. A service whose directory
// has none of these files goes from down to up at once, and when it ends, to down or
// delayed, as with daemontools. After 'x' a service is given up as soon as it is down
// or failed.
//
// A service is started at most once a second: one that ends at once is down, and
// its status says so, for the rest of that second.
package supervise

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/service"
)

// world carries out the decisions of a machine.
type world interface {
	// Start starts ./run. The error errFork means that the system could not make a
	// process; errLater, that Started will be called later; after any other error
	// the service counts as having ended at once.
	Start(service.Rules) (pid int, err error)
	// Finish starts ./finish for a process that has ended; 0 if there is none.
	Finish(pid int, how service.Ending) (int, error)
	// Signal sends a signal to ./run, or to ./finish if that runs.
	Signal(syscall.Signal)
	// Late reports that ./finish has taken too long and will be killed.
	Late()
	// Announce publishes the status.
	Announce(service.Status)
	// Rules returns the settings in the service directory, as they are now.
	Rules() service.Rules
	// Blocked reports whether the start has to wait for other services.
	Blocked(service.Rules) bool
	// Now returns the time of day, with a monotonic clock reading.
	Now() time.Time
}

var (
	// errFork is the error of world.Start if the system lacks what a process needs.
	errFork = errors.New("no process to be had")
	// errLater is not an error.
	errLater = errors.New("started later")
)

const (
	pause     = time.Second      // between two starts
	forkPause = 60 * time.Second // after the system could not make a process
	stable    = 10 * time.Second // a service that has run for this long did not fail at once
	killAgain = 5 * time.Second  // after a KILL that has had no effect yet

	statusNoRun   = 111 // of the C program's child when it cannot execute run
	statusFailed  = 100 // of run: do not restart
	finishFailure = 125 // of finish: do not restart (s6)
)

// machine is the state of one service.
type machine struct {
	world  world
	rules  service.Rules
	status service.Status

	wanted  bool          // it is to be started as soon as possible
	ordered bool          // wanted because of an order
	began   time.Time     // the last start
	due     time.Time     // no start before this
	delay   time.Duration // from that start to the next
	again   bool          // the next start is a restart
	scarce  bool          // the system could not make a process: even an order waits for due
	killAt  time.Time     // when the running process is killed; zero: never
}

// newMachine returns the machine of a service that is down. up is whether Begin starts it.
func newMachine(w world, up bool) *machine {
	want := byte(service.Down)
	if up {
		want = service.Up
	}
	return &machine{world: w, delay: pause, status: service.Status{Want: want, Stamp: w.Now()}}
}

// Adopt makes s take over from a predecessor that left a process running: its
// last status remains valid. But a predecessor that was told to exit would not have
// started the service again. Whether to do that is decided as if nothing had run.
func (s *machine) Adopt(last service.Status) {
	if last.Exit {
		last.Exit, last.Want = false, s.status.Want
	}
	s.status, s.rules = last, s.world.Rules()
	switch {
	case last.FinishPID != 0:
		s.limit(s.rules.FinishWithin)
	case last.Phase == service.PhaseStopping:
		s.limit(s.rules.KillAfter)
	}
	s.began, s.again = s.world.Now(), true
}

// Resume makes s continue for a predecessor that was killed and left no process
// running: it takes over whether the service is wanted up or down, that it has
// failed, or when it is to be started next.
func (s *machine) Resume(last service.Status) {
	s.rules = s.world.Rules()
	now, ran, finished := s.world.Now(), last.PID != 0, last.FinishPID != 0
	last.PID, last.FinishPID, last.Paused, last.Ready = 0, 0, false, time.Time{}
	if ran {
		last.Stamp, last.Last = now, service.Ending{}
	}
	s.status, s.again = last, true
	switch {
	case finished && s.failed() && last.Want != service.Down:
		s.status.Want, s.status.Phase = service.Down, service.PhaseFailed
	case ran, finished:
		s.status.Phase = service.PhaseDown
	case last.Phase == service.PhaseDelayed:
		// Bounded, in case the clock has been set in the meantime.
		s.due = now.Add(min(last.Due.Sub(now), max(forkPause, s.rules.MaxDelay)))
		fallthrough
	case last.Phase == service.PhaseStarting, last.Phase == service.PhaseWaiting:
		s.wanted, s.ordered = true, last.Want == 0
	}
}

// Announce publishes the present status.
func (s *machine) Announce() { s.world.Announce(s.status) }

// Status returns the present status.
func (s *machine) Status() service.Status { return s.status }

// Begin starts the service if it is wanted up and not running.
func (s *machine) Begin() {
	if !s.running() && (s.wanted || s.status.Want == service.Up) {
		s.start()
	}
}

// Gone reports whether the service is down for good.
func (s *machine) Gone() bool { return s.status.Exit && !s.running() && !s.wanted }

func (s *machine) running() bool { return s.status.PID != 0 || s.status.FinishPID != 0 }

// Due returns when Tick is to be called next; zero: not before the next event.
func (s *machine) Due() time.Time {
	switch {
	case s.running():
		return s.killAt
	case s.wanted && s.status.Phase != service.PhaseWaiting:
		return s.due
	}
	return time.Time{}
}

// Tick does what is due. If the service waits for others, Tick must also be called
// whenever one of them may have come up.
func (s *machine) Tick() {
	now := s.world.Now()
	if s.running() {
		if !s.killAt.IsZero() && !now.Before(s.killAt) {
			if s.status.FinishPID != 0 {
				s.world.Late()
			}
			s.world.Signal(unix.SIGKILL)
			s.world.Signal(unix.SIGCONT)
			s.limit(killAgain)
		}
		return
	}
	if s.wanted && !now.Before(s.due) {
		s.start()
	}
}

// limit sets killAt to d from now; 0 is never.
func (s *machine) limit(d time.Duration) {
	s.killAt = time.Time{}
	if d > 0 {
		s.killAt = s.world.Now().Add(d)
	}
}

// start starts the service, now or as soon as it may be started.
func (s *machine) start() {
	s.wanted = true
	if s.running() {
		return // finish first
	}
	if now := s.world.Now(); now.Before(s.due) {
		s.down(service.PhaseDelayed, s.due)
		return
	}
	s.rules = s.world.Rules()
	if s.world.Blocked(s.rules) {
		if s.status.Phase != service.PhaseWaiting {
			s.down(service.PhaseWaiting, time.Time{})
		}
		return
	}
	s.run()
}

func (s *machine) run() {
	s.wanted, s.ordered, s.scarce = false, false, false
	// Announced before the start, and again after it: if this process is killed in
	// between, the next one knows that there may be a process to look for.
	s.down(service.PhaseStarting, s.world.Now())
	if pid, err := s.world.Start(s.rules); err != errLater {
		s.Started(pid, err)
	}
}

// Started reports the result of world.Start.
func (s *machine) Started(pid int, err error) {
	s.began = s.world.Now()
	if errors.Is(err, errFork) {
		// The order "once" is not tried again: the log shows the failure, and the
		// order can be repeated.
		s.due, s.wanted, s.scarce = s.began.Add(forkPause), s.status.Want == service.Up && !s.status.Exit, true
		if s.wanted {
			s.down(service.PhaseDelayed, s.due)
		} else {
			s.down(service.PhaseDown, time.Time{})
		}
		return
	}
	s.due = s.began.Add(s.delay)
	if s.again {
		s.status.Restarts++
	}
	s.again = true
	s.status.Paused = false
	s.status.Stamp = s.began
	if err != nil {
		s.ended(service.Ending{Known: true, Code: statusNoRun})
		s.settle(false)
		return
	}
	s.killAt = time.Time{}
	s.status.PID, s.status.Due, s.status.Phase = pid, time.Time{}, service.PhaseUp
	if s.rules.NotifyFD != 0 || s.rules.NotifySocket {
		s.status.Phase = service.PhaseStarting
	}
	s.Announce()
}

// down sets the phase of a service that does not run.
func (s *machine) down(p service.Phase, due time.Time) {
	s.status.Phase, s.status.Due = p, due
	s.Announce()
}

// Ready reports that the service has announced that it is ready.
func (s *machine) Ready() {
	if s.status.PID != 0 && s.status.Ready.IsZero() {
		s.status.Ready = s.world.Now()
		if s.status.Phase == service.PhaseStarting {
			s.status.Phase = service.PhaseUp
		}
		s.Announce()
	}
}

// Stopping reports that the service has announced that it is about to end.
func (s *machine) Stopping() {
	if s.status.PID != 0 {
		s.status.Phase = service.PhaseStopping
		s.Announce()
	}
}

// Ended reports that the process of the service has ended, and how.
func (s *machine) Ended(how service.Ending) {
	pid := s.status.PID
	s.ended(how)
	finish, err := s.world.Finish(pid, how)
	if err == nil && finish != 0 {
		s.status.FinishPID, s.status.Phase = finish, service.PhaseFinishing
		s.limit(s.rules.FinishWithin)
		s.Announce()
		return
	}
	s.settle(false)
}

// ended records an end, and the pause before the next start.
func (s *machine) ended(how service.Ending) {
	now := s.world.Now()
	s.status.PID, s.status.Stamp, s.status.Ready, s.status.Last = 0, now, time.Time{}, how
	if now.Sub(s.began) >= stable {
		s.due, s.delay = s.began.Add(pause), pause
	} else {
		s.delay = max(pause, min(2*s.delay, s.rules.MaxDelay))
	}
}

// FinishEnded reports that ./finish has ended.
func (s *machine) FinishEnded(how service.Ending) {
	s.status.FinishPID = 0
	s.settle(how.Known && how.Signal == 0 && how.Code == finishFailure)
}

// settle is called after an end, and starts the service again if it is wanted up.
func (s *machine) settle(failed bool) {
	s.killAt = time.Time{}
	switch failed = failed || s.failed(); {
	case failed && !s.ordered && s.status.Want != service.Down:
		s.wanted, s.status.Want = false, service.Down
		s.down(service.PhaseFailed, time.Time{})
	case s.wanted, !s.status.Exit && s.status.Want == service.Up:
		s.start()
	default:
		s.down(service.PhaseDown, time.Time{})
	}
}

// failed reports whether run ended in a way that means: do not restart.
func (s *machine) failed() bool {
	last := s.status.Last
	return s.rules.Permafail && last.Known && last.Signal == 0 && last.Code == statusFailed
}
