package service

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/opt"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Svc sends orders to services. What it cannot reach it warns of. Unless it is
// asked to wait it always succeeds.
var Svc = proc.Program{
	Name:  "svc",
	Usage: "[ -udopchaitkx ] [ -w u | U | d | D | r | R ] [ -T milliseconds ] dir ...",
	Run:   svc,
}

const svcOptions = "svc options: u up, d down, o once, x exit, p pause, c continue, h hup, a alarm, i interrupt, t term, k kill"

func svc(_ context.Context, env *proc.Env) error {
	sys.IgnoreSIGPIPE() // supervise may end between our open and our write

	var orders []byte
	var g goal
	var until time.Time
	options := opt.Parse(env.Args[1:], "udopchaitkxw:T:")
	for options.Next() {
		switch options.Letter {
		case '?':
			env.Say(options.Problem())
			return proc.Verbatim(proc.StatusPermanent, svcOptions)
		case 'w':
			if len(options.Arg) != 1 || !strings.Contains(goals, options.Arg) {
				return proc.ErrUsage
			}
			g = goal(options.Arg[0])
		case 'T':
			var err error
			if until, err = deadline(options.Arg); err != nil {
				return proc.ErrUsage
			}
		default:
			if bytes.IndexByte(orders, options.Letter) < 0 {
				orders = append(orders, options.Letter)
			}
		}
	}
	if g != 0 {
		return orderAndWait(env, options.Rest(), orders, g, until)
	}
	for _, name := range options.Rest() {
		if err := order(env, name, orders); err != nil {
			env.Warn(err)
		}
	}
	return nil
}

func order(env *proc.Env, name string, orders []byte) error {
	dir, err := Open(env, name)
	if err != nil {
		return unableToEnter(name, err)
	}
	defer dir.Close()
	return control(dir, name, orders)
}

// unableToEnter is for a directory that cannot be opened. (Verb and name are
// one, because an empty name is told too.)
func unableToEnter(name string, err error) error {
	return strerr.Unable("chdir to "+strerr.Clean(name), "", err)
}

func control(dir *Dir, name string, orders []byte) error {
	err := dir.Control(orders)
	var failed *WriteError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failed):
		return errors.New("error writing commands to " + strerr.Clean(name) + ": " + strerr.Text(failed.Err))
	case errors.Is(err, unix.ENXIO):
		return strerr.Unable("control", name, errNotRunning)
	}
	return strerr.Unable("control", name, err)
}

// orderAndWait looks at all services before it gives the first order, so that
// nothing that follows from one is missed.
func orderAndWait(env *proc.Env, names []string, orders []byte, g goal, until time.Time) error {
	w, err := newWait(env, g, names)
	if err != nil {
		return err
	}
	defer w.close()
	w.until = until
	// What is down now is not down for good before it has heard that it should
	// be; nor before it has run, if it is to run once. And what is up now and is
	// told to end is not what is waited for.
	var last byte
	if i := bytes.LastIndexAny(orders, string([]byte{Up, Down, Once})); i >= 0 {
		last = orders[i]
	}
	ends := bytes.ContainsAny(orders, string([]byte{Down, Kill}))
	for _, s := range w.services {
		s.told = true
		if g.isDown() {
			s.unheard, s.coming = last == Down, last == Once && s.first.PID == 0
		} else {
			s.coming = ends && s.first.PID != 0
		}
		switch err := control(s.dir, s.name, orders); {
		case errors.Is(err, errNotRunning), errors.Is(err, unix.ENOENT):
			env.Warn(err) // it may be as it is wanted all the same: down
		case err != nil:
			return err
		}
	}
	return w.run()
}
