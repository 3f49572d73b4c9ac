package svscan

import (
	"time"

	"golang.org/x/sys/unix"
)

// quiet is how long nothing must have changed in a new directory.
const quiet = time.Second

// A directory that appears may be one that somebody is still filling: cp -r, or
// mkdir and then one file after the other. Taken in at once it would have no run
// yet, or would stay without its logger. So it is left alone until it has what it
// is to run and has been quiet for a moment; without that, as long as the C
// svscan may take to see it. A link leads to what is there already, and what is
// there when svscan starts is as it should be: these do not wait.

// fills reports whether the new directory name may be in the making.
func (s *scanner) fills(name string) bool {
	var st unix.Stat_t
	return !s.lastScan.IsZero() && unix.Lstat(name, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// settled reports whether the directory is complete, and if not, when to look
// again.
func settled(name string, now time.Time) (ok bool, again time.Time) {
	var newest time.Time
	seen := func(file string) bool {
		var st unix.Stat_t
		if unix.Stat(name+file, &st) != nil {
			return false
		}
		if changed := time.Unix(st.Ctim.Unix()); changed.After(newest) {
			newest = changed
		}
		return true
	}
	seen("")
	ready := seen("/run")
	if seen("/log") {
		ready = seen("/log/run") && ready
	}
	wait := interval
	if ready {
		wait = quiet
	}
	age := now.Sub(newest)
	if age >= wait || age < 0 { // of the future: the clock was set
		return true, now
	}
	return false, newest.Add(wait)
}
