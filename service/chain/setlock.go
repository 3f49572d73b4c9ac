package chain

import (
	"context"

	"golang.org/x/sys/unix"

	"paperpath/internal/opt"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Setlock runs a program while it holds a lock on a file.
var Setlock = proc.Program{Name: "setlock", Usage: "[ -nNxX ] file program [ arg ... ]", Run: setlock}

func setlock(ctx context.Context, env *proc.Env) error {
	wait, quiet := true, false
	options := opt.Parse(env.Args[1:], "nNxX")
	for options.Next() {
		switch options.Letter {
		case 'n', 'N':
			wait = options.Letter == 'N'
		case 'x', 'X':
			quiet = options.Letter == 'x'
		default:
			return refuse(env, options)
		}
	}
	words := options.Rest()
	if len(words) < 2 {
		return proc.ErrUsage
	}
	file := words[0]
	// The lock belongs to the open file: it lasts as long as the program, or a
	// child that it leaves behind, holds the descriptor. So exec must not close it.
	fd, err := unix.Open(in(env.Dir, file), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_APPEND|unix.O_CREAT, 0o600)
	if err != nil {
		return missed(quiet, strerr.Named("open", file, err))
	}
	if err := sys.Lock(fd, wait); err != nil {
		unix.Close(fd)
		return missed(quiet, strerr.Named("lock", file, err))
	}
	err = env.Next(ctx, env, words[1:])
	unix.Close(fd)
	return err
}

// missed returns the result of setlock without the lock: with -x that is no
// failure.
func missed(quiet bool, err error) error {
	if quiet {
		return nil
	}
	return err
}
