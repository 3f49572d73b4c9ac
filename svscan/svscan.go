// Package svscan watches a directory of services and supervises them: every
// subdirectory, and that subdirectory's log, if it has one, with a pipe between
// the two. One process does it all:
//
//	+------------------ svscan ------------------+
//	|  Keeper of NAME  ·  pipe  ·  Keeper of log |
//	+---|-------------------------------------|--+
//	    | fork                                | fork
//	NAME/run   1 ══════════ pipe ══════════> 0  NAME/log/run
//
// The files below NAME/supervise are the same as with one supervise for each
// service (packages service and supervise), so that other programs see no
// difference. A service that a separate supervise keeps is left alone.
//
// Because svscan holds the pipe open, no output of a service is lost, and the
// service is not stopped, while its logger is down. Two names are one service if
// they lead to the same directory (device and inode).
//
// The states of a name in the directory, and likewise of its log:
//
//	         complete, and quiet          lock acquired
//	filling ────────────────────> wanted ──────────────> kept
//	                               ^ ^ |                  |
//	      a supervise has the lock | | v                  | told to exit, and
//	                               | elsewhere            | down: in 5 seconds
//	                               +──────────────────────+
//
// A directory that appears while svscan runs is filling at first; everything else
// is wanted at once. A name that has been removed is forgotten when it is neither
// kept nor elsewhere.
//
// The orderly end is described at scanner.stop.
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

// interval is the time between two regular scans of the directory, and before a
// service that was told to exit is taken in again.
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
	// Orphaned processes of services become children of svscan, whether it is
	// process 1 or not: services behave in a container as they do elsewhere.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil && os.Getpid() != 1 {
		env.Warn(strerr.Unable("adopt", "orphans", err))
	}

	s := newScanner(env)
	var err error
	signals := []unix.Signal{
		unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGPWR, // end
		unix.SIGHUP, unix.SIGALRM, // scan
		unix.SIGUSR1, unix.SIGUSR2, // ignored: process 1 must not die of them
	}
	if os.Getpid() == 1 {
		// The kernel discards signals that would end process 1 if it has no handler
		// for them. The first three of these have the Go runtime's handler, which it
		// needs: a fault of our own is still a fault, and only one that another
		// process sends is delivered here. The others are here because the kernel
		// does not discard them while a thread is in a handler.
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

// step does what is due. It reports whether svscan can end, and if not, when to
// call it again even if nothing happens.
func (s *scanner) step(now time.Time) (done bool, wake time.Time) {
	if s.stopping > 0 {
		return s.stop(now)
	}
	if s.watcher == nil && !now.Before(s.nextScan) {
		s.watch()
	}
	return false, s.keep(now)
}

// signal handles a signal.
func (s *scanner) signal(sig unix.Signal) {
	switch sig {
	case unix.SIGHUP, unix.SIGALRM:
		s.nextScan = time.Time{}
		for _, v := range s.services { // a fault may have been mended
			v.main.next, v.log.next = time.Time{}, time.Time{}
		}
	case unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGPWR:
		s.stopping++
	}
}

// watch asks the kernel to report changes of the directory. If that fails (for
// example because other programs use all of the user's inotify instances), the
// regular scans notice changes, and another attempt is made before each of them.
// Because the watch comes before the scan, no change is missed between the two.
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

// changed schedules a scan after a change. If this watcher will report nothing
// more, the scan is preceded by a new watch.
func (s *scanner) changed() {
	changes, _ := s.watcher.Changes()
	ended := s.watcher.Ended()
	// A directory that is renamed is not watched any longer.
	if ended || slices.Contains(changes, watch.Change{Dir: "."}) {
		s.host.Loop().Remove(s.watcher.FD())
		s.watcher.Close()
		s.watcher = nil
	}
	if !ended { // a watch that fails at once must not be renewed all the time
		s.look()
	}
}

// look makes the next scan come soon: at once, but if changes never stop, not so
// often that there is no time for anything else.
func (s *scanner) look() {
	soon := s.lastScan.Add(10 * s.scanTook)
	if soon.Before(s.nextScan) {
		s.nextScan = soon
	}
}
