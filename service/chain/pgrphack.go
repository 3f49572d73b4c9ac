package chain

import (
	"context"
	"syscall"

	"paperpath/internal/proc"
)

// Pgrphack runs a program in a session and process group of its own, so that a
// signal that it sends to its group does not reach its supervisor.
var Pgrphack = proc.Program{Name: "pgrphack", Usage: "child", Run: pgrphack}

func pgrphack(ctx context.Context, env *proc.Env) error {
	if len(env.Args) < 2 {
		return proc.ErrUsage
	}
	// This fails if we lead a process group already, which is as good.
	syscall.Setsid()
	return env.Next(ctx, env, env.Args[1:])
}
