package svscan

import (
	"time"

	"golang.org/x/sys/unix"
)

// quiet is how long a new directory must stay unchanged before it is started.
const quiet = time.Second

// A directory that appears may still be being filled, by cp -r, or by mkdir and
// then one file after the other. If it were taken in at once it would have no run
// yet, or would stay without its logger. So svscan waits until the directory has
// run (and log/run, if it has a log), and then until it has been unchanged for a
// moment, or was first seen five seconds ago, the interval of the C svscan. A
// directory without run is taken in when it has been unchanged for five seconds.
//
// A directory that was renamed into place is assumed complete, and so are the
// target of a symbolic link and everything that exists when svscan starts: these
// do not wait.

// fills reports whether the new directory name may not be complete yet.
func (s *scanner) fills(name string) bool {
	var st unix.Stat_t
	return !s.lastScan.IsZero() && unix.Lstat(name, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// settled reports whether the directory, first seen at since, is complete, and if
// not, when to look again.
func settled(name string, since, now time.Time) (ok bool, again time.Time) {
	var dir unix.Stat_t
	if unix.Stat(name, &dir) != nil {
		return false, now.Add(interval)
	}
	var inside time.Time // the last change in it
	seen := func(file string) bool {
		var st unix.Stat_t
		if unix.Stat(name+file, &st) != nil {
			return false
		}
		inside = later(inside, st.Ctim)
		return true
	}
	ready := seen("/run")
	if seen("/log") {
		ready = seen("/log/run") && ready
	}
	// A rename changes the directory itself, later than everything in it. (So does
	// chmod, which is also the last thing that programs that copy a tree do.)
	changed := later(time.Time{}, dir.Ctim)
	if ready && changed.After(later(inside, dir.Mtim)) {
		return true, now
	}
	wait := interval
	if ready {
		wait = quiet
	}
	age := now.Sub(later(inside, dir.Ctim))
	if age >= wait || age < 0 || ready && now.Sub(since) >= interval { // age < 0: the clock was set
		return true, now
	}
	return false, now.Add(wait - age)
}

func later(t time.Time, ts unix.Timespec) time.Time {
	if u := time.Unix(ts.Unix()); u.After(t) {
		return u
	}
	return t
}
