// Package supervise keeps one service running.
//
// The service is a state machine (Service). It owns no process, no descriptor
// and no clock: what it decides is done by a World, and what happens in the
// world is told to it by calling its methods, one at a time. So one process may
// hold one service (supervise) or, one day, all of them.
//
//	         Begin, 'u', 'o', Tick after the pause
//	+------+ -------------------------------------> +----+
//	| down |                                        | up |  'p' 'c' stop and go,
//	+------+ <------------------------------------- +----+  'd' ends it
//	    |        Ended (and up again if want 'u')      |
//	    | 'x'                                          | 'x', then Ended
//	    +------------------> gone <--------------------+
//
// A service is started at most once a second: one that ends at once is down,
// and told to be so, for the rest of that second.
package supervise

import (
	"errors"
	"syscall"
	"time"

	"paperpath/service"
)

// World does what a Service decides.
type World interface {
	// Start starts the service. An error that is ErrFork means that no
	// process could be had; after any other the service counts as having
	// ended at once.
	Start() (pid int, err error)
	// Signal sends a signal to the running service.
	Signal(syscall.Signal)
	// Announce tells the status to everybody.
	Announce(service.Status)
	// Now is the time of day, with the monotonic clock in it.
	Now() time.Time
}

// ErrFork is the error of World.Start if the system lacks what a process needs.
var ErrFork = errors.New("no process to be had")

const (
	pause     = time.Second      // between two starts
	forkPause = 60 * time.Second // after the system was out of processes
)

// Service is the state of one service.
type Service struct {
	world  World
	status service.Status
	exit   bool // 'x' was said: no more once it is down

	wanted  bool      // it is to be started, as soon as due has come
	ordered bool      // and that because somebody said so
	due     time.Time // no start before this
}

// NewService returns a service that is down. up is whether Begin starts it.
func NewService(w World, up bool) *Service {
	want := byte(service.Down)
	if up {
		want = service.Up
	}
	return &Service{world: w, status: service.Status{Want: want, Stamp: w.Now()}}
}

// Adopt makes s take over from a predecessor that left a process running: its
// last status holds on.
func (s *Service) Adopt(last service.Status) { s.status = last }

// Announce tells the status as it is.
func (s *Service) Announce() { s.world.Announce(s.status) }

// Begin starts the service if it is wanted up and not running.
func (s *Service) Begin() {
	if s.status.PID == 0 && s.status.Want != service.Down {
		s.start()
	}
}

// PID is the process of the service, 0 if it is down.
func (s *Service) PID() int { return s.status.PID }

// Gone reports whether the service is down for good.
func (s *Service) Gone() bool { return s.exit && s.status.PID == 0 && !s.wanted }

// Due is when Tick wants to be called; zero: not before something happens.
func (s *Service) Due() time.Time {
	if s.wanted {
		return s.due
	}
	return time.Time{}
}

// Tick starts what is due.
func (s *Service) Tick() {
	if s.wanted && !s.world.Now().Before(s.due) {
		s.start()
	}
}

// start starts the service, now or when the pause since the last start is over.
func (s *Service) start() {
	now := s.world.Now()
	if now.Before(s.due) {
		s.wanted = true
		return
	}
	s.wanted, s.ordered = false, false
	pid, err := s.world.Start()
	if errors.Is(err, ErrFork) {
		// Somebody who said "once" hears of it in the log and may say it again.
		s.due, s.wanted = now.Add(forkPause), s.status.Want == service.Up && !s.exit
		return
	}
	s.due = s.world.Now().Add(pause)
	s.status.Paused = false
	if err != nil {
		s.changed(0)
		s.again()
		return
	}
	s.changed(pid)
}

// Ended tells that the process of the service has ended.
func (s *Service) Ended() {
	s.changed(0)
	s.again()
}

// again follows an end: up again, if that is wanted.
func (s *Service) again() {
	if !s.exit && s.status.Want == service.Up {
		s.start()
	}
}

func (s *Service) changed(pid int) {
	s.status.PID, s.status.Stamp = pid, s.world.Now()
	s.Announce()
}

// Order obeys one letter of supervise/control. Letters that are none of
// supervise's are ignored.
func (s *Service) Order(letter byte) {
	switch letter {
	case service.Up:
		s.status.Want = service.Up
		s.Announce()
		s.startIfDown()
	case service.Once:
		s.status.Want = 0
		s.Announce()
		s.startIfDown()
	case service.Down:
		s.status.Want, s.wanted = service.Down, false
		if s.status.PID != 0 {
			s.signal(syscall.SIGTERM)
			s.signal(syscall.SIGCONT)
			s.status.Paused = false
		}
		s.Announce()
	case service.Exit:
		// "ox" runs it once, even if the pause is not over yet.
		s.exit, s.wanted = true, s.wanted && s.ordered
		s.Announce()
	case service.Pause:
		s.status.Paused = true
		s.Announce()
		s.signal(syscall.SIGSTOP)
	case service.Continue:
		s.status.Paused = false
		s.Announce()
		s.signal(syscall.SIGCONT)
	case service.Hangup:
		s.signal(syscall.SIGHUP)
	case service.Alarm:
		s.signal(syscall.SIGALRM)
	case service.Interrupt:
		s.signal(syscall.SIGINT)
	case service.Terminate:
		s.signal(syscall.SIGTERM)
	case service.Kill:
		s.signal(syscall.SIGKILL)
	}
}

func (s *Service) startIfDown() {
	if s.status.PID == 0 {
		s.ordered = true
		s.start()
	}
}

func (s *Service) signal(sig syscall.Signal) {
	if s.status.PID != 0 {
		s.world.Signal(sig)
	}
}
