package service

import (
	"bytes"
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"paperpath/internal/opt"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Svc sends orders to services. What it cannot reach it warns of; it always
// succeeds.
var Svc = proc.Program{Name: "svc", Usage: "[ -udopchaitkx ] dir ...", Run: svc}

const svcOptions = "svc options: u up, d down, o once, x exit, p pause, c continue, h hup, a alarm, i interrupt, t term, k kill"

func svc(_ context.Context, env *proc.Env) error {
	sys.IgnoreSIGPIPE() // supervise may end between our open and our write

	var orders []byte
	options := opt.Parse(env.Args[1:], "udopchaitkx")
	for options.Next() {
		if options.Letter == '?' {
			env.Say(options.Problem())
			return proc.Verbatim(proc.StatusPermanent, svcOptions)
		}
		if bytes.IndexByte(orders, options.Letter) < 0 {
			orders = append(orders, options.Letter)
		}
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
		return strerr.Unable("chdir to", name, err)
	}
	defer dir.Close()
	err = dir.Control(orders)
	var failed *WriteError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failed):
		return errors.New("error writing commands to " + strerr.Clean(name) + ": " + strerr.Text(failed.Err))
	case errors.Is(err, unix.ENXIO):
		return strerr.Unable("control", name, errors.New("supervise not running"))
	}
	return strerr.Unable("control", name, err)
}
