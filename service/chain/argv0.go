package chain

import (
	"context"

	"paperpath/internal/limit"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// Argv0 runs a program under another name.
var Argv0 = proc.Program{Name: "argv0", Usage: "realname program [ arg ... ]", Run: argv0}

// argv0 cannot use Env.Next, which takes the file's name for argument 0.
func argv0(_ context.Context, env *proc.Env) error {
	if len(env.Args) < 3 {
		return proc.ErrUsage
	}
	realName := env.Args[1]
	err := proc.SearchPath(env.Vars, realName, func(file string) error {
		return limit.Exec(file, env.Args[2:], true, env.Vars)
	})
	return strerr.Named("run", realName, err)
}
