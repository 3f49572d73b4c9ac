package svscan

import (
	"time"

	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/supervise"
)

// entry is one service and its logger.
type entry struct {
	id   id
	name string
	seen bool // in the last scan: only then is anything started

	logged   bool    // it has a logger
	from, to *sys.FD // the log pipe, if logged
	inode    uint64  // of it
	main     guard
	log      guard

	// At the end:
	after             []string // what is stopped after this service only
	mainGone, stopped bool     // the service alone; its logger too
}

// open opens the directory, finds out whether the service has a logger and makes
// the pipe. While either of the two is kept nothing can change about that: the
// pipe is where it is.
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

// closeWriter lets go of the end that the service writes to.
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

// keep takes in what is not kept.
func (v *entry) keep(s *scanner, now time.Time) {
	v.main.settle(now)
	v.log.settle(now)
	if v.due(now).After(now) {
		return
	}
	if id, err := directory(v.name); err != nil || id != v.id {
		return // another directory by now; the next scan will tell
	}
	if v.idle() {
		if err := v.open(s); err != nil {
			s.warn(err)
			v.main.later(now)
			v.log.later(now)
			v.close() // others may have more use for the descriptors
			return
		}
	}
	v.main.keep(s, now, v.mainPlace())
	if v.logged {
		v.keepLog(s, now)
	}
	if v.idle() {
		v.close()
	}
}

func (v *entry) keepLog(s *scanner, now time.Time) {
	if now.Before(v.log.next) {
		return
	}
	if v.log.idle() { // it may be another directory than last time
		v.log.close()
		dir, err := v.main.dir.Sub("log")
		if err == nil {
			if err = s.host.Spare(dir.FD()); err != nil {
				dir.Close()
			}
		}
		if err != nil {
			s.warn(strerr.Unable("switch to", v.log.name, err))
			v.log.later(now)
			return
		}
		v.log.dir = dir
	}
	v.log.keep(s, now, v.logPlace())
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

// due is when keep has something to do at the earliest.
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
