// Package svscan watches a directory of services: it runs one supervise for
// every subdirectory, and one more for the subdirectory's log, if it has one,
// with a pipe between the two:
//
//	NAME/       supervise NAME      1 ──pipe──> 0      supervise log (in NAME)
//	                 │                 ║   ║                │
//	             NAME/run          both ends are        NAME/log/run
//	                               svscan's too
//
// Because svscan holds the pipe, what a service wrote is not lost, and the
// service not stopped, while its logger is down, or either supervise. Two names
// are one service if they lead to the same directory (device and inode).
package svscan

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Svscan is the program.
var Svscan = proc.Program{Name: "svscan", Usage: "[ dir ]", Run: svscan}

// interval is the time between two looks at the directory, and between two
// starts of a supervise that does not stay.
const interval = 5 * time.Second

func svscan(_ context.Context, env *proc.Env) error {
	sys.CloseOnExecFrom(3)
	sys.IgnoreSIGPIPE()
	if len(env.Args) > 1 {
		if err := os.Chdir(env.Args[1]); err != nil {
			return strerr.Unable("chdir to", env.Args[1], err)
		}
	}
	signals, err := sys.Signals(unix.SIGCHLD, unix.SIGHUP, unix.SIGTERM, unix.SIGINT)
	if err != nil {
		return strerr.Unable("create", "pipe", err)
	}
	s := &scanner{env: env, processes: map[int]*guard{}}
	for !s.run(signals) {
	}
	return nil
}

// run is one turn: do what is due, sleep until something happens. It reports
// whether all is over.
func (s *scanner) run(signals *sys.FD) (done bool) {
	now := time.Now()
	var wake time.Time
	if s.stopping {
		if s.stop(now) {
			return true
		}
		wake = now.Add(stopInterval)
	} else {
		wake = s.keep(now)
	}
	ready, err := sys.Poll(wake, signals)
	if err != nil {
		time.Sleep(time.Second) // out of memory: try again rather than give up
		return false
	}
	if ready[0] {
		s.signals(signals)
	}
	s.reap()
	return false
}

// keep looks at the directory, if it is time, and starts what should run and
// does not. It returns when to do so again.
func (s *scanner) keep(now time.Time) time.Time {
	if !now.Before(s.nextScan) {
		s.scan()
		s.nextScan = now.Add(interval)
	}
	wake := s.nextScan
	for _, v := range s.services {
		v.start(s, now)
		if due := v.due(now); due.Before(wake) {
			wake = due
		}
	}
	return wake
}

// stop reports whether nothing runs any more.
func (s *scanner) stop(now time.Time) (done bool) {
	done = true
	for _, v := range s.services {
		if !v.stop(s, now) {
			done = false
		}
	}
	return done
}

// signals sees what came.
func (s *scanner) signals(fd *sys.FD) {
	var b [64]byte
	n, err := fd.Read(b[:])
	if err != nil {
		return
	}
	for _, sig := range b[:n] {
		switch unix.Signal(sig) {
		case unix.SIGHUP:
			s.nextScan = time.Time{}
		case unix.SIGTERM, unix.SIGINT:
			if s.stopping {
				s.hurry = true
			}
			s.stopping = true
		}
	}
}

// reap collects every child that ended, those that svscan inherited as the
// parent of orphans (process 1) too.
func (s *scanner) reap() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if g := s.processes[pid]; g != nil {
			g.ended(time.Now())
			delete(s.processes, pid)
		}
	}
}
