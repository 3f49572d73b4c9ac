package chain

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"paperpath/internal/limit"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// Setuser is setuidgid as it was before daemontools 0.60: with other messages, and
// with execvp(3).
var Setuser = proc.Program{Name: "setuser", Usage: "username program [ arg ... ]", Run: setuser}

func setuser(ctx context.Context, env *proc.Env) error {
	if len(env.Args) < 3 {
		return proc.ErrUsage
	}
	account, err := lookup(env.Args[1], "username")
	if err != nil {
		return err
	}
	if err := become(account); err != nil {
		return err
	}
	return execvp(ctx, env, env.Args[2:])
}

// execvp is Env.Next with the rules of execvp(3), for the programs of daemontools
// 0.53: a file that the kernel cannot execute is a script for /bin/sh, and the
// empty name is not searched for.
func execvp(ctx context.Context, env *proc.Env, argv []string) error {
	if argv[0] == "" {
		return strerr.Named("run", "", unix.ENOENT)
	}
	err := env.Next(ctx, env, argv)
	if !errors.Is(err, unix.ENOEXEC) {
		return err
	}
	// Find that file again: it is the first one that may be executed.
	return proc.SearchPath(env.Vars, argv[0], func(file string) error {
		if _, err := limit.KindOf(in(env.Dir, file)); err != nil {
			return err
		}
		return env.Next(ctx, env, slices.Concat([]string{"/bin/sh", file}, argv[1:]))
	})
}
