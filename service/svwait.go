package service

import (
	"context"
	"strconv"
	"strings"
	"time"

	"paperpath/internal/opt"
	"paperpath/internal/proc"
)

// Svwait waits until services are up, ready or down.
var Svwait = proc.Program{
	Name:  "svwait",
	Usage: "[ -u | -U | -d | -D | -r | -R ] [ -a | -o ] [ -t milliseconds ] dir ...",
	Run:   svwait,
}

func svwait(_ context.Context, env *proc.Env) error {
	g, any := goalUp, false
	var until time.Time
	options := opt.Parse(env.Args[1:], goals+"aot:")
	for options.Next() {
		switch letter := options.Letter; {
		case letter == 'a':
			any = false
		case letter == 'o':
			any = true
		case letter == 't':
			var err error
			if until, err = deadline(options.Arg); err != nil {
				return proc.ErrUsage
			}
		case strings.IndexByte(goals, letter) >= 0:
			g = goal(letter)
		default:
			return proc.ErrUsage
		}
	}
	w, err := newWait(env, g, options.Rest())
	if err != nil {
		return err
	}
	defer w.close()
	w.any, w.until = any, until
	return w.run()
}

// deadline reads a timeout in milliseconds; 0 is none.
func deadline(text string) (time.Time, error) {
	ms, err := strconv.ParseUint(text, 10, 32)
	if err != nil || ms == 0 {
		return time.Time{}, err
	}
	return time.Now().Add(time.Duration(ms) * time.Millisecond), nil
}
