package svscan

import (
	"time"

	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/service"
	"paperpath/supervise"
)

// entry is one service and its logger.
type entry struct {
	id   id
	name string
	seen bool // in the last scan; otherwise nothing is started

	logged   bool    // it has a logger
	from, to *sys.FD // the log pipe, if logged
	inode    uint64  // of the log pipe
	main     guard
	log      guard
	failed   error     // why it was not taken in
	filling  bool      // its directory may not be complete yet
	since    time.Time // when it was seen first

	empty time.Time // at the end: since when the pipe has been empty
}

// open opens the directory, finds out whether the service has a logger and makes
// the pipe. While the service or its logger is kept this does not change, because
// the pipe is in use.
func (v *entry) open(s *scanner) error {
	if v.main.dir == nil {
		dir, err := s.open(v.name)
		if err != nil {
			return strerr.Unable("switch to", v.name, err)
		}
		v.main.dir = dir
	}
	logged, err := v.main.dir.HasLog()
	if err != nil {
		return strerr.Unable("stat", v.log.name, err)
	}
	switch {
	case logged && v.from == nil:
		if v.from, v.to, v.inode, err = logPipe(s.host, v.main.dir); err != nil {
			return strerr.Unable("create pipe for", v.name, err)
		}
	case !logged:
		v.closePipe()
	}
	v.logged = logged
	return nil
}

// closeWriter closes our copy of the end that the service writes to.
func (v *entry) closeWriter() {
	if v.to != nil {
		v.to.Close()
		v.to = nil
	}
}

func (v *entry) closePipe() {
	v.closeWriter()
	if v.from != nil {
		v.from.Close()
		v.from, v.inode = nil, 0
	}
}

func (v *entry) close() {
	v.closePipe()
	v.main.close()
	v.log.close()
}

// wants reports whether there is something to take in.
func (v *entry) wants(now time.Time) bool {
	v.main.settle(now)
	v.log.settle(now)
	if v.due(now).After(now) {
		return false
	}
	if id, err := directory(v.name); err != nil || id != v.id {
		v.main.later(now) // the name means another directory now; the next scan sees it
		v.log.later(now)
		return false
	}
	if v.filling {
		ok, again := settled(v.name, v.since, now)
		v.filling = !ok
		v.main.next, v.log.next = again, again
	}
	return !v.filling
}

// prepare opens the directories that are to be taken in, and sets v.failed on
// error. It may run at the same time as that of other entries.
func (v *entry) prepare(s *scanner, now time.Time) {
	v.failed = nil
	if v.idle() {
		if v.failed = v.open(s); v.failed != nil {
			v.main.later(now)
			v.log.later(now)
			v.close() // leave the descriptors to other services
			return
		}
	}
	if !v.logged || !v.log.wanting(now) || !v.log.idle() {
		return
	}
	v.log.close() // it may be another directory than last time
	dir, err := v.openLog(s)
	if err != nil {
		v.failed = strerr.Unable("switch to", v.log.name, err)
		v.log.later(now)
		return
	}
	v.log.dir = dir
}

// openLog opens the logger's directory, if there are descriptors to spare.
func (v *entry) openLog(s *scanner) (*service.Dir, error) {
	dir, err := v.main.dir.Sub("log")
	if err != nil {
		return nil, err
	}
	if err := s.host.Spare(dir.FD()); err != nil {
		dir.Close()
		return nil, err
	}
	return dir, nil
}

// idle reports whether neither the service nor its logger is supervised.
func (v *entry) idle() bool { return v.main.idle() && v.log.idle() }

func (v *entry) mainPlace() supervise.Place {
	p := supervise.Place{Name: v.name, Sibling: v.name, Dir: v.main.dir, Stdout: 1}
	if v.logged && v.to != nil {
		p.Stdout, p.LogPipe = int(v.to.Fd()), v.inode
	}
	return p
}

func (v *entry) logPlace() supervise.Place {
	p := supervise.Place{Name: v.log.name, Sibling: v.log.name, Dir: v.log.dir, Stdout: 1}
	if v.from != nil {
		p.Stdin, p.LogPipe = int(v.from.Fd()), v.inode
	}
	return p
}

// due returns the earliest time at which keep has something to do.
func (v *entry) due(now time.Time) time.Time {
	due := now.Add(interval)
	if !v.seen {
		return due
	}
	if v.main.keeper == nil && v.main.next.Before(due) {
		due = v.main.next
	}
	if v.logged && v.log.keeper == nil && v.log.next.Before(due) {
		due = v.log.next
	}
	return due
}
