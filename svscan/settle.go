package svscan

import (
	"time"

	"golang.org/x/sys/unix"
)

// quiet is how long a new directory must stay unchanged before it is started.
const quiet = time.Second

// A directory that appears may be one that somebody is still filling: cp -r, or
// mkdir and then one file after the other. Taken in at once it would have no run
// yet, or would stay without its logger. So it is left alone until it has what it
// is to run and has been quiet for a moment, or until the C svscan would have seen
// it at the latest; without what it is to run, until it has been quiet for as long.
//
// One that was renamed into the directory is complete, as is what a symbolic link
// leads to, and everything that is there when svscan starts: these do not wait.

// fills reports whether the new directory name may be in the making.
func (s *scanner) fills(name string) bool {
	var st unix.Stat_t
	return !s.lastScan.IsZero() && unix.Lstat(name, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// settled reports whether the directory, which is known since a moment, is
// complete, and if not, when to look again.
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
	// A rename changes the directory itself, after all that is in it. (So does
	// chmod, which those who copy a tree do last, too.)
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
