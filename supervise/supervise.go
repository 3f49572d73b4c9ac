package supervise

import (
	"context"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/service"
)

// Supervise is the program: one process for one service.
var Supervise = proc.Program{Name: "supervise", Usage: "dir", Run: supervise}

func supervise(_ context.Context, env *proc.Env) error {
	if len(env.Args) != 2 {
		return proc.ErrUsage
	}
	name := env.Args[1]
	sys.CloseOnExecFrom(3) // a service gets 0, 1 and 2
	sys.IgnoreSIGPIPE()    // a log that went away must not end the supervision

	signals, err := sys.Signals(unix.SIGCHLD, unix.SIGTERM, unix.SIGINT)
	if err != nil {
		return strerr.Unable("create pipe for", name, err)
	}
	// The service begins where supervise is.
	if err := os.Chdir(name); err != nil {
		return strerr.Unable("chdir to", name, err)
	}
	dir, err := service.Open(&proc.Env{}, ".")
	if err != nil {
		return strerr.Unable("chdir to", name, err)
	}
	down, err := dir.Down()
	if err != nil {
		return strerr.Unable("stat", name+"/down", err)
	}
	owner, err := dir.Acquire(name)
	if err != nil {
		return err
	}
	last, err := dir.Status()
	w := &world{env: env, name: name, owner: owner}
	s := NewService(w, !down)
	if err == nil && w.adopt(dir, last) {
		if last.Want != service.Up && last.Want != service.Down && last.Want != 0 {
			last.Want = service.Up
		}
		s.Adopt(last)
	}
	s.Announce()
	if err := owner.Ready(); err != nil {
		return err
	}
	s.Begin()
	s.Announce()
	w.watch(s, signals)
	s.Announce()
	return nil
}

// watch is the life of the service: what happens to it and what is ordered,
// until it is down and told to exit.
func (w *world) watch(s *Service, signals *sys.FD) {
	control := w.owner.Control()
	for !s.Gone() {
		fds := []*sys.FD{signals, control}
		if w.orphan != nil {
			fds = append(fds, w.orphan.fd)
		}
		// An hour, as the original has it: should anything be missed, it is
		// not missed for ever.
		until := time.Now().Add(time.Hour)
		if due := s.Due(); !due.IsZero() && due.Before(until) {
			until = due
		}
		ready, err := sys.Poll(until, fds...)
		if err != nil {
			time.Sleep(time.Second) // out of memory: nothing else can be wrong
			continue
		}
		if ready[0] {
			for _, sig := range read(signals) {
				if sig != byte(unix.SIGCHLD) {
					// Dying would leave the service alone in the world.
					s.Order(service.Down)
					s.Order(service.Exit)
				}
			}
		}
		if w.ended(s.PID()) {
			s.Ended()
		}
		if ready[1] {
			for _, letter := range read(control) {
				if s.Gone() {
					return
				}
				s.Order(letter)
			}
		}
		s.Tick()
	}
}

// read returns what fd, which is readable, has.
func read(fd *sys.FD) []byte {
	var b [512]byte
	n, err := fd.Read(b[:])
	if err != nil && err != io.EOF {
		return nil
	}
	return b[:n]
}
