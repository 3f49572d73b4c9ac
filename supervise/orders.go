package supervise

import (
	"syscall"
	"time"

	"paperpath/service"
)

// Order obeys one letter from supervise/control. Unknown letters are ignored.
func (s *machine) Order(letter byte) {
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
		s.stop()
	case service.Exit:
		// After "ox" it runs once, even if the pause is not over yet.
		s.status.Exit, s.wanted = true, s.wanted && s.ordered
		if !s.running() && !s.wanted && s.status.Phase != service.PhaseFailed {
			s.status.Phase, s.status.Due = service.PhaseDown, time.Time{}
		}
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
		// KILL is the only order that reaches finish, too.
		if s.running() {
			s.world.Signal(syscall.SIGKILL)
		}
	}
}

// startIfDown starts the service because of an order, which does not wait out a
// pause that has grown.
func (s *machine) startIfDown() {
	if s.status.PID != 0 {
		return
	}
	s.ordered, s.again, s.delay = true, false, pause
	if soon := s.began.Add(pause); s.due.After(soon) && !s.scarce {
		s.due = soon
	}
	s.start()
}

func (s *machine) stop() {
	s.status.Want, s.wanted, s.ordered = service.Down, false, false
	switch {
	case s.status.PID != 0:
		s.rules = s.world.Rules() // they may have changed since the start
		s.signal(s.rules.DownSignal)
		s.signal(syscall.SIGCONT)
		s.status.Paused = false
		s.status.Phase = service.PhaseStopping
		if s.killAt.IsZero() {
			s.limit(s.rules.KillAfter)
		}
	case s.status.FinishPID == 0:
		s.status.Phase, s.status.Due = service.PhaseDown, time.Time{}
	}
	s.Announce()
}

func (s *machine) signal(sig syscall.Signal) {
	if s.status.PID != 0 {
		s.world.Signal(sig)
	}
}
