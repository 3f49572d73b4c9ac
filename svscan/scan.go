package svscan

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/service"
)

// maxServices bounds what a directory full of rubbish can do.
const maxServices = 1000

// scanner is the state of the program. One goroutine has it.
type scanner struct {
	env       *proc.Env
	services  []*entry
	processes map[int]*guard // the supervises that run, by process
	warned    map[string]time.Time

	nextScan time.Time
	stopping bool
	hurry    bool // told a second time
}

// entry is one service and its logger.
type entry struct {
	name     string
	dev, ino uint64
	seen     bool // in the last scan: only then is anything started

	logged   bool
	from, to *sys.FD // the log pipe, if logged
	main     guard
	log      guard
}

// warn prints a warning, but the same one at most once a minute: what is wrong
// with a directory is so at every scan.
func (s *scanner) warn(err error) {
	text, now := err.Error(), time.Now()
	if last, ok := s.warned[text]; ok && now.Sub(last) < time.Minute {
		return
	}
	if s.warned == nil || len(s.warned) >= maxServices {
		s.warned = map[string]time.Time{}
	}
	s.warned[text] = now
	s.env.Warn(err)
}

// scan looks at the directory: new services come in, those that are gone and
// not running go out.
func (s *scanner) scan() {
	for _, v := range s.services {
		v.seen = false
	}
	names, err := fsys.OS{}.List(".")
	if err != nil {
		s.warn(strerr.Unable("read", "directory", err))
		for _, v := range s.services {
			v.seen = true // nobody knows; what was, is
		}
		return
	}
	slices.Sort(names)
	for _, name := range names {
		if name[0] != '.' {
			s.see(name)
		}
	}
	s.services = slices.DeleteFunc(s.services, func(v *entry) bool {
		if v.seen || !v.main.idle() || !v.log.idle() {
			return false
		}
		v.closePipe()
		v.main.close()
		v.log.close()
		return true
	})
}

// see makes name known.
func (s *scanner) see(name string) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		s.warn(strerr.Unable("stat", name, err))
		return
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return
	}
	for _, v := range s.services {
		if v.ino == st.Ino && v.dev == uint64(st.Dev) {
			if !v.seen { // of two names the first one stands
				v.name, v.seen = name, true
				if err := v.findLog(); err != nil {
					s.warn(err)
				}
			}
			return
		}
	}
	if len(s.services) >= maxServices {
		s.warn(strerr.Unable("start", name, errors.New("running too many services")))
		return
	}
	dir, err := service.Open(&proc.Env{}, name)
	if err != nil {
		s.warn(strerr.Unable("switch to", name, err))
		return
	}
	v := &entry{name: name, dev: uint64(st.Dev), ino: st.Ino, seen: true}
	v.main.dir = dir
	if err := v.findLog(); err != nil {
		s.warn(err)
		dir.Close()
		return
	}
	s.services = append(s.services, v)
}

// findLog finds out whether the service has a logger and makes the pipe. While
// either supervise runs nothing can change about that: the pipe is where it is.
func (v *entry) findLog() error {
	if !v.main.idle() || !v.log.idle() {
		return nil
	}
	logged, err := v.main.dir.HasLog()
	if err != nil {
		return strerr.Unable("stat", v.name+"/log", err)
	}
	switch {
	case logged && v.from == nil:
		if v.from, v.to = inheritedPipe(v.main.dir); v.from == nil {
			if v.from, v.to, err = sys.Pipe(); err != nil {
				return strerr.Unable("create pipe for", v.name, err)
			}
		}
	case !logged:
		v.closePipe()
	}
	v.logged = logged
	return nil
}

// closePipe gives the log pipe up. Whatever is started afterwards, at the end,
// has no use for it.
func (v *entry) closePipe() {
	if v.from == nil {
		return
	}
	v.from.Close()
	v.to.Close()
	v.from, v.to = nil, nil
	for _, g := range []*guard{&v.main, &v.log} {
		if g.command != nil {
			g.command.Files = []int{0, 1, 2}
		}
	}
}

// start starts what should run and does not.
func (v *entry) start(s *scanner, now time.Time) {
	if !v.seen || v.due(now).After(now) {
		return
	}
	var st unix.Stat_t
	if unix.Stat(v.name, &st) != nil || st.Ino != v.ino || uint64(st.Dev) != v.dev {
		return // another directory by now; the next scan will tell
	}
	out := 1
	if v.logged {
		out = int(v.to.Fd())
	}
	v.main.start(s, now, v.name, &child.Command{
		Argv: []string{"supervise", v.name}, Files: []int{0, out, 2},
	})
	if !v.logged {
		return
	}
	if v.log.idle() { // it may be another directory than last time
		v.log.close()
		dir, err := v.main.dir.Sub("log")
		if err != nil {
			s.warn(strerr.Unable("switch to", v.name+"/log", err))
			v.log.next = now.Add(interval)
			return
		}
		v.log.dir = dir
	}
	v.log.start(s, now, v.name+"/log", &child.Command{
		Argv: []string{"supervise", "log"}, Dir: v.name, Files: []int{int(v.from.Fd()), 1, 2},
	})
}

// due is when start has something to do at the earliest.
func (v *entry) due(now time.Time) time.Time {
	due := now.Add(interval)
	if !v.seen {
		return due
	}
	if v.main.pid == 0 && v.main.next.Before(due) {
		due = v.main.next
	}
	if v.logged && v.log.pid == 0 && v.log.next.Before(due) {
		due = v.log.next
	}
	return due
}
