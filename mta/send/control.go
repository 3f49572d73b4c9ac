package send

import (
	"errors"
	"time"

	"paperpath/internal/proc"
	"paperpath/mta/control"
)

// settings are the control files that qmail-send reads.
type settings struct {
	lifetime    int64 // seconds that a message stays in the queue
	concurrency [channels]int
	held        [channels]bool // no delivery is started

	bounceMaxBytes         int64          // of the message in a bounce; < 0: all of it
	zone                   *time.Location // of dates in bounces
	bounceFrom, bounceHost string
	doubleBounceTo         string // with its host

	rules
}

// rules are the part of them that HUP reads again, and what belongs with it.
type rules struct {
	envNoAtHost string
	percentHack control.Map
	locals      control.Map
	virtual     control.Map
}

var concurrencyFiles = [channels]string{"concurrencylocal", "concurrencyremote"}
var concurrencyDefaults = [channels]int{10, 20}
var holdFiles = [channels]string{"holdlocal", "holdremote"}

// readSettings is getcontrols of qmail-send.c. Without control/me the names
// that it stands for become the literal names of the files, except in locals,
// which qmail-send cannot do without.
func readSettings(dir *control.Dir, vars proc.Vars) (s settings, err error) {
	r := reader{dir: dir}
	s.lifetime = int64(r.number("queuelifetime", 604800))
	for c, name := range concurrencyFiles {
		s.concurrency[c] = r.number(name, concurrencyDefaults[c])
		s.held[c] = r.number(holdFiles[c], 0) != 0
	}
	s.bounceMaxBytes = int64(r.number("bouncemaxbytes", -1))
	s.envNoAtHost = r.host("envnoathost")
	s.bounceFrom = r.line("bouncefrom", "MAILER-DAEMON")
	s.bounceHost = r.host("bouncehost")
	doubleBounceHost := r.host("doublebouncehost")
	s.doubleBounceTo = r.line("doublebounceto", "postmaster") + "@" + doubleBounceHost
	s.percentHack = control.Set(r.list("percenthack"))
	zone, err := dir.DateZone(vars)
	r.keep(err)
	s.zone = zone
	if r.err == nil {
		s.locals, s.virtual, err = readDomains(dir)
	}
	return s, errors.Join(r.err, err)
}

// readDomains reads what HUP reads again.
func readDomains(dir *control.Dir) (locals, virtual control.Map, err error) {
	names, err := dir.ListOrMe("locals")
	if err != nil {
		return nil, nil, errLocals
	}
	lines, _, err := dir.List("virtualdomains")
	if err != nil {
		return nil, nil, errVirtual
	}
	return control.Set(names), control.Colon(lines), nil
}

var (
	errLocals  = errors.New("unable to reread control/locals")
	errVirtual = errors.New("unable to reread control/virtualdomains")
)

// reader remembers the first error of many reads.
type reader struct {
	dir *control.Dir
	err error
}

func (r *reader) keep(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) number(name string, def int) int {
	n, err := r.dir.Int(name, def)
	r.keep(err)
	return n
}

func (r *reader) line(name, def string) string {
	s, err := r.dir.LineOr(name, def)
	r.keep(err)
	return s
}

func (r *reader) host(name string) string {
	s, err := r.dir.LineOrMe(name)
	if errors.Is(err, control.ErrNoMe) {
		return name
	}
	r.keep(err)
	return s
}

func (r *reader) list(name string) []string {
	lines, _, err := r.dir.List(name)
	r.keep(err)
	return lines
}
