package chain

import (
	"context"
	"strconv"

	"paperpath/internal/proc"
)

// Envuidgid runs a program with an account's ids in $UID and $GID. It is for
// programs that drop root's rights by themselves (tcpserver -U).
var Envuidgid = proc.Program{Name: "envuidgid", Usage: "account child", Run: envuidgid}

func envuidgid(ctx context.Context, env *proc.Env) error {
	if len(env.Args) < 3 {
		return proc.ErrUsage
	}
	account, err := lookup(env.Args[1], "account")
	if err != nil {
		return err
	}
	put(&env.Vars, "GID", strconv.Itoa(account.GID), true)
	put(&env.Vars, "UID", strconv.Itoa(account.UID), true)
	return env.Next(ctx, env, env.Args[2:])
}
