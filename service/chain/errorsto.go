package chain

import (
	"context"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
)

// Errorsto runs a program with its stderr appended to a file. It never prints a
// message, even if it fails.
var Errorsto = proc.Program{Name: "errorsto", Usage: "file program [ arg ... ]", Run: errorsto}

func errorsto(ctx context.Context, env *proc.Env) error {
	if len(env.Args) < 3 {
		return proc.Exit(proc.StatusPermanent)
	}
	fd, err := unix.Open(in(env.Dir, env.Args[1]), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err == nil {
		err = moveTo(2, fd)
	}
	if err != nil {
		return proc.Exit(proc.StatusTemporary)
	}
	// O_NONBLOCK was only for the open, which must not wait for a fifo's reader.
	unix.SetNonblock(2, false)
	execvp(ctx, env, env.Args[2:])
	return proc.Exit(proc.StatusTemporary)
}

func moveTo(to, fd int) error {
	if to == fd {
		return nil
	}
	defer unix.Close(fd)
	return unix.Dup3(fd, to, 0)
}
