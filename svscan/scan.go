package svscan

import (
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/watch"
	"paperpath/service"
	"paperpath/supervise"
)

// maxServices bounds what a directory full of rubbish can do.
const maxServices = 1000

// scanner is the state of the program. One goroutine has it.
type scanner struct {
	env      *proc.Env
	host     *supervise.Host
	services []*entry // in the order in which they came
	byID     map[id]*entry
	byName   map[string]*entry
	warned   map[string]time.Time
	watcher  *watch.Watcher // nil: nothing tells of changes of the directory

	nextScan, lastScan time.Time
	scanTook           time.Duration

	stopping  int  // how often it was told to end
	ordered   bool // what comes after what is known
	abandoned bool // a service could not be stopped
}

// id is what makes two names one service.
type id struct{ dev, ino uint64 }

func newScanner(env *proc.Env) *scanner {
	return &scanner{
		env:    env,
		byID:   map[id]*entry{},
		byName: map[string]*entry{},
		warned: map[string]time.Time{},
	}
}

// warn prints a warning, but the same one at most once a minute: what is wrong
// with a directory is so at every scan.
func (s *scanner) warn(err error) {
	if supervise.Rarely(s.warned, err.Error()) {
		s.env.Warn(err)
	}
}

// keep looks at the directory, if it is time, and takes in what is not kept. It
// returns when to do so again.
func (s *scanner) keep(now time.Time) time.Time {
	if !now.Before(s.nextScan) {
		s.scan()
		s.lastScan = time.Now()
		s.scanTook = s.lastScan.Sub(now)
		s.nextScan = now.Add(interval)
	}
	s.take(now)
	wake := s.nextScan
	for _, v := range s.services {
		if due := v.due(now); due.Before(wake) {
			wake = due
		}
	}
	return wake
}

// each is how many descriptors a service and its logger need at the most while
// they are taken in: two directories, the pipe, three files of supervise twice,
// and what a start needs. After most of them orders and signals are heard again.
const (
	each  = 16
	batch = 256
)

// take takes in what is not kept, or some of it: the rest has its turn at once.
func (s *scanner) take(now time.Time) {
	var entries []*entry
	few := max(1, min(batch, s.host.Room()/each))
	for _, v := range s.services {
		if len(entries) < few && v.wants(now) {
			entries = append(entries, v)
		}
	}
	if len(entries) == 0 {
		return
	}
	s.host.Each(len(entries), func(i int) { entries[i].prepare(s, now) })
	// All services before the loggers: what they say waits in the pipes.
	var guards []*guard
	var places []supervise.Place
	for _, v := range entries {
		if v.failed != nil {
			s.warn(v.failed)
		}
		if v.main.dir != nil && v.main.wanting(now) {
			guards, places = append(guards, &v.main), append(places, v.mainPlace())
		}
	}
	for _, v := range entries {
		if v.logged && v.log.dir != nil && v.log.wanting(now) {
			guards, places = append(guards, &v.log), append(places, v.logPlace())
		}
	}
	keepers, errs := s.host.KeepAll(places)
	for i, g := range guards {
		g.kept(s, now, keepers[i], errs[i])
	}
	for _, v := range entries {
		if v.idle() {
			v.close()
		}
	}
}

// scan looks at the directory: new services come in, those that are gone and
// not running go out.
func (s *scanner) scan() {
	names, err := fsys.OS{}.List(".")
	if err != nil {
		s.warn(strerr.Unable("read", "directory", err))
		return // nobody knows; what was, is
	}
	for _, v := range s.services {
		v.seen = false
	}
	clear(s.byName)
	slices.Sort(names)
	for _, name := range names {
		if name[0] != '.' {
			s.see(name)
		}
	}
	s.services = slices.DeleteFunc(s.services, func(v *entry) bool {
		if v.seen {
			return false
		}
		v.main.forget()
		if v.main.idle() && v.main.dir != nil && v.main.dir.Removed() {
			v.closeWriter() // the logger reads what is left and ends
		}
		v.log.forget()
		if !v.idle() {
			return false
		}
		delete(s.byID, v.id)
		v.close()
		return true
	})
}

// see makes name known.
func (s *scanner) see(name string) {
	id, err := directory(name)
	if err == unix.ENOTDIR {
		return
	}
	if err != nil {
		s.warn(strerr.Unable("stat", name, err))
		return
	}
	v := s.byID[id]
	if v == nil {
		if len(s.services) >= maxServices {
			s.warn(strerr.Unable("start", name, errors.New("running too many services")))
			return
		}
		v = &entry{id: id, filling: s.fills(name), since: time.Now()}
		s.byID[id] = v
		s.services = append(s.services, v)
	}
	s.byName[name] = v
	if !v.seen { // of two names the first one stands
		v.name, v.seen = name, true
		v.main.name, v.log.name = name, name+"/log"
	}
}

// open opens a service directory, if there are descriptors to spare.
func (s *scanner) open(name string) (*service.Dir, error) {
	dir, err := service.Open(&proc.Env{Vars: s.env.Vars}, name)
	if err != nil {
		return nil, err
	}
	if err := s.host.Spare(dir.FD()); err != nil {
		dir.Close()
		return nil, err
	}
	return dir, nil
}

// directory returns what a name leads to; ENOTDIR if that is no directory.
func directory(name string) (id, error) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return id{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return id{}, unix.ENOTDIR
	}
	return id{uint64(st.Dev), st.Ino}, nil
}

// guard finds a service, or the logger of one, by name.
func (s *scanner) guard(name string) *guard {
	name, log, _ := strings.Cut(name, "/")
	v := s.byName[name]
	switch {
	case v == nil:
		return nil
	case log != "":
		return &v.log
	}
	return &v.main
}

// Status is for services that come after others.
func (s *scanner) Status(name string) (status service.Status, ok bool) {
	g := s.guard(name)
	switch {
	case g == nil || g.dir == nil:
		return status, false
	case g.keeper != nil:
		return g.keeper.Status(), true
	case g.elsewhere:
		status, err := g.dir.Status()
		return status, err == nil
	}
	return status, false
}

// After is for services that come after others.
func (s *scanner) After(name string) []string {
	g := s.guard(name)
	if g == nil {
		return nil
	}
	return s.after(g)
}

// after reads what a service comes after, whether it is taken in or not.
func (s *scanner) after(g *guard) []string {
	dir := g.dir
	if dir == nil {
		var err error
		if dir, err = s.open(g.name); err != nil {
			return nil
		}
		defer dir.Close()
	}
	return dir.After()
}
