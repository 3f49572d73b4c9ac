package user

import (
	"context"
	"errors"
	"io"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Except is the program except(1): success becomes a permanent failure, so that
// |except PROGRAM bounces what PROGRAM likes, and a failure becomes success.
var Except = proc.Program{Name: "except", Usage: "program [ arg ... ]", Run: except}

func except(_ context.Context, env *proc.Env) error {
	if len(env.Args) < 2 {
		return proc.ErrUsage
	}
	yes, err := ask(env, env.Args[1:])
	if err == nil && yes {
		return proc.Exit(proc.StatusPermanent)
	}
	return err
}

// Bouncesaying is the program bouncesaying(1).
var Bouncesaying = proc.Program{Name: "bouncesaying", Usage: "error [ program [ arg ... ] ]", Run: bouncesaying}

func bouncesaying(_ context.Context, env *proc.Env) error {
	if len(env.Args) < 2 {
		return proc.ErrUsage
	}
	if len(env.Args) > 2 {
		if yes, err := ask(env, env.Args[2:]); err != nil || !yes {
			return err
		}
	}
	return proc.Verbatim(proc.StatusPermanent, env.Args[1])
}

// Condredirect is the program condredirect(1).
var Condredirect = proc.Program{Name: "condredirect", Usage: "newaddress program [ arg ... ]", Run: condredirect}

func condredirect(_ context.Context, env *proc.Env) error {
	if len(env.Args) < 3 {
		return proc.ErrUsage
	}
	if yes, err := ask(env, env.Args[2:]); err != nil || !yes {
		return err
	}
	// The program may have read some of the message.
	message, ok := env.Files[0].(io.Seeker)
	if !ok {
		return errors.New("unable to rewind: the message is not a file")
	}
	if _, err := message.Seek(0, io.SeekStart); err != nil {
		return strerr.Unable("rewind", "", err)
	}
	sys.IgnoreSIGPIPE()
	sender, err := required(env, "SENDER")
	if err != nil {
		return err
	}
	delivered, err := required(env, "DTLINE")
	if err != nil {
		return err
	}
	qp, err := requeue(env, delivered, sender, env.Args[1])
	if err != nil {
		return err
	}
	return proc.Verbatim(statusStop, env.Name+": "+qp)
}
