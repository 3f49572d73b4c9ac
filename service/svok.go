package service

import (
	"context"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// Svok shows by its exit status whether supervise runs: 0 yes, 100 no.
var Svok = proc.Program{Name: "svok", Usage: "dir", Run: svok}

func svok(_ context.Context, env *proc.Env) error {
	if len(env.Args) < 2 {
		return proc.ErrUsage
	}
	name := env.Args[1]
	dir, err := Open(env, name)
	if err != nil {
		return unableToEnter(name, err)
	}
	defer dir.Close()
	switch err := dir.OK(); err {
	case nil:
		return nil
	case unix.ENOENT, unix.ENXIO:
		return proc.Exit(proc.StatusPermanent)
	default:
		return strerr.Unable("open", name+"/supervise/ok", err)
	}
}
