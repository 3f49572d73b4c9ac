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
	watcher  *watch.Watcher // nil: changes of the directory are not reported

	nextScan, lastScan time.Time
	scanTook           time.Duration

	stopping  int  // how many signals to end have come
	ordered   bool // guard.after is set
	abandoned bool // a service could not be stopped
}

// id identifies a service: names that lead to the same id are one.
type id struct{ dev, ino uint64 }

func newScanner(env *proc.Env) *scanner {
	return &scanner{
		env:    env,
		byID:   map[id]*entry{},
		byName: map[string]*entry{},
		warned: map[string]time.Time{},
	}
}

// warn prints a warning, but the same one at most once a minute: a fault of a
// directory shows up in every scan.
func (s *scanner) warn(err error) {
	if supervise.Rarely(s.warned, err.Error()) {
		s.env.Warn(err)
	}
}

// keep scans the directory, if it is time, and takes in services that are not kept.
// It returns when to do so again.
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

const (
	// fdsPerEntry is the maximum number of descriptors that a service and its
	// logger need while they are taken in: two directories, the pipe, three files
	// of supervise for each of the two, and some more to start them.
	fdsPerEntry = 16
	// batch is how many entries are taken in before the loop handles orders and
	// signals again.
	batch = 256
)

// take takes in services that are not kept, up to a batch of them. The others have
// their turn as soon as the loop has gone round.
func (s *scanner) take(now time.Time) {
	var entries []*entry
	few := max(1, min(batch, s.host.Room()/fdsPerEntry))
	for _, v := range s.services {
		if len(entries) < few && v.wants(now) {
			entries = append(entries, v)
		}
	}
	if len(entries) == 0 {
		return
	}
	s.host.Each(len(entries), func(i int) { entries[i].prepare(s, now) })
	// All services start before the loggers: their output waits in the pipes.
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

// scan reads the directory: it adds new services, and removes those that have no
// name there any more and do not run.
func (s *scanner) scan() {
	names, err := fsys.OS{}.List(".")
	if err != nil {
		s.warn(strerr.Unable("read", "directory", err))
		return // keep the services as they are
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
			v.closeWriter() // the logger reads the rest and ends
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

// see adds the service with this name, or notes that it still exists.
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
	if !v.seen { // if there are two names, the first one is used
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

// directory returns the id of the directory that a name leads to; ENOTDIR if it
// leads to something else.
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

// Status implements [supervise.Siblings].
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

// After implements [supervise.Siblings].
func (s *scanner) After(name string) []string {
	g := s.guard(name)
	if g == nil {
		return nil
	}
	return s.after(g)
}

// after reads the names of the services that this one comes after, even if it is
// not taken in.
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
