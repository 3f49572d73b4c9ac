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

// Svc sends orders to services, and warns of those that it cannot reach. Unless it
// is asked to wait, it always succeeds.
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

// unableToEnter is the error for a directory that cannot be opened. (Verb and name
// are one string, because strerr.Unable leaves out an empty name.)
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

// orderAndWait looks at all services before it sends the first order, so that it
// misses none of the changes that follow.
func orderAndWait(env *proc.Env, names []string, orders []byte, g goal, until time.Time) error {
	w, err := newWait(env, g, names)
	if err != nil {
		return err
	}
	defer w.close()
	w.until = until
	// A service that is down now counts as down only after supervise has read the
	// order to go down, and, if it is to run once, only after it has run. A service
	// that is up now and is told to end does not count as up.
	var last byte
	if i := bytes.LastIndexAny(orders, string([]byte{Up, Down, Once})); i >= 0 {
		last = orders[i]
	}
	ends := bytes.ContainsAny(orders, string([]byte{Down, Kill}))
	for _, s := range w.services {
		s.ordered = true
		if g.isDown() {
			s.downPending, s.coming = last == Down, last == Once && s.first.PID == 0
		} else {
			s.coming = ends && s.first.PID != 0
		}
		switch err := control(s.dir, s.name, orders); {
		case errors.Is(err, errNotRunning), errors.Is(err, unix.ENOENT):
			env.Warn(err) // the service may be down, and that may be the goal
		case err != nil:
			return err
		}
	}
	return w.run()
}
