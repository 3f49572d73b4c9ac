// Package svscan watches a directory of services and supervises them: every
// subdirectory, and the subdirectory's log, if it has one, with a pipe between
// the two. One process does it all:
//
//	+------------------ svscan ------------------+
//	|  Keeper of NAME  ·  pipe  ·  Keeper of log |
//	+---|-------------------------------------|--+
//	    | fork                                | fork
//	NAME/run   1 ══════════ pipe ══════════> 0  NAME/log/run
//
// The files below NAME/supervise are those of one supervise for each service
// (packages service and supervise), so that nobody sees a difference. A service
// that a supervise of its own keeps is left to it.
//
// Because svscan holds the pipe, what a service wrote is not lost, and the
// service not stopped, while its logger is down. Two names are one service if
// they lead to the same directory (device and inode).
//
// What becomes of a name in the directory, and of its log alike:
//
//	         complete, and quiet          lock acquired
//	filling ────────────────────> wanted ──────────────> kept
//	                               ^ ^ |                  |
//	      a supervise has the lock | | v                  | told to exit, and
//	                               | elsewhere            | down: in 5 seconds
//	                               +──────────────────────+
//
// A directory that appears while svscan runs is filling at first; everything else
// is wanted at once. Of a name that is removed nothing is left when it is neither
// kept nor elsewhere.
//
// How all of them end is in stop.go.
package svscan

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/internal/watch"
	"paperpath/supervise"
)

// Svscan is the program.
var Svscan = proc.Program{Name: "svscan", Usage: "[ dir ]", Run: svscan}

// interval is the time between two looks at the directory that nothing gave
// reason for, and before a service is taken in again that was told to exit.
const interval = 5 * time.Second

func svscan(_ context.Context, env *proc.Env) error {
	sys.CloseOnExecFrom(3)
	sys.IgnoreSIGPIPE()
	env.Files[2] = supervise.NewDropWriter(env.Files[2], env.Name)
	if len(env.Args) > 1 {
		if err := os.Chdir(env.Args[1]); err != nil {
			return strerr.Unable("chdir to", env.Args[1], err)
		}
	}
	// What services leave behind comes to svscan, whether it is process 1 or
	// not: they behave in a container as they do elsewhere.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil && os.Getpid() != 1 {
		env.Warn(strerr.Unable("adopt", "orphans", err))
	}

	s := newScanner(env)
	var err error
	signals := []unix.Signal{
		unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGPWR, // end
		unix.SIGHUP, unix.SIGALRM, // look
		unix.SIGUSR1, unix.SIGUSR2, // nothing: process 1 must not die of them
	}
	if os.Getpid() == 1 {
		// The kernel keeps from process 1 what would end it and has no handler. The
		// first three have the Go runtime's, which it needs; a fault is still a
		// fault, only what another process sends comes as a signal. And the kernel
		// does not keep away the others while a thread is in a handler.
		signals = append(signals, unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE,
			unix.SIGSTKFLT, unix.SIGIO, unix.SIGVTALRM, unix.SIGPROF)
	}
	s.host, err = supervise.NewHost(env, s, interval, s.signal, signals...)
	if err != nil {
		return strerr.Unable("create", "pipe", err)
	}
	for {
		done, wake := s.step(time.Now())
		switch {
		case done && s.abandoned:
			return errors.New("not every service has ended")
		case done:
			return nil
		}
		s.host.Turn(wake)
	}
}

// step does what is due. It reports whether all is over, and else when there is
// something to do again even if nothing happens.
func (s *scanner) step(now time.Time) (done bool, wake time.Time) {
	if s.stopping > 0 {
		return s.stop(now)
	}
	if s.watcher == nil && !now.Before(s.nextScan) {
		s.watch()
	}
	return false, s.keep(now)
}

// signal obeys a signal.
func (s *scanner) signal(sig unix.Signal) {
	switch sig {
	case unix.SIGHUP, unix.SIGALRM:
		s.nextScan = time.Time{}
		for _, v := range s.services { // what went wrong may have been mended
			v.main.next, v.log.next = time.Time{}, time.Time{}
		}
	case unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGPWR:
		s.stopping++
	}
}

// watch asks the kernel to report changes of the directory. If it cannot (other
// programs have all of the user's inotify instances, say) they are noticed by the
// regular scans, each of which is preceded by another attempt. So nothing falls
// between the watch and the scan.
func (s *scanner) watch() {
	w, err := watch.New()
	if err == nil {
		if err = w.Add("."); err == nil {
			err = s.host.Loop().Add(w.FD(), s.changed)
		}
		if err != nil {
			w.Close()
		}
	}
	if err != nil {
		s.warn(strerr.Unable("watch", "directory", err))
		return
	}
	s.watcher = w
}

// changed has the directory scanned after a change. If nothing more will be
// reported the scan brings a new watch.
func (s *scanner) changed() {
	changes, _ := s.watcher.Changes()
	ended := s.watcher.Ended()
	// A directory that is renamed is not watched any longer.
	if ended || slices.Contains(changes, watch.Change{Dir: "."}) {
		s.host.Loop().Remove(s.watcher.FD())
		s.watcher.Close()
		s.watcher = nil
	}
	if !ended { // what fails at once must not be tried all the time
		s.look()
	}
}

// look makes the next scan come soon: at once, but when changes come without
// end, not so often that nothing else is done.
func (s *scanner) look() {
	soon := s.lastScan.Add(10 * s.scanTook)
	if soon.Before(s.nextScan) {
		s.nextScan = soon
	}
}
