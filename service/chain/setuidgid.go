package chain

import (
	"context"
	"errors"
	"syscall"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Setuidgid runs a program as another user: with the account's uid and gid, and
// no group beside that.
var Setuidgid = proc.Program{Name: "setuidgid", Usage: "account child", Run: setuidgid}

func setuidgid(ctx context.Context, env *proc.Env) error {
	if len(env.Args) < 3 {
		return proc.ErrUsage
	}
	name := env.Args[1]
	account, err := sys.LookupAccount(name)
	if errors.Is(err, sys.ErrNoAccount) {
		return errors.New("unknown account " + strerr.Clean(name))
	}
	if err != nil {
		return strerr.Unable("look up account", name, err)
	}
	// Groups first: afterwards nobody may set them any more. The syscall
	// package changes all threads.
	err = syscall.Setgroups([]int{account.GID})
	if err == nil {
		err = syscall.Setgid(account.GID)
	}
	if err != nil {
		return strerr.Unable("setgid", "", err)
	}
	if err := syscall.Setuid(account.UID); err != nil {
		return strerr.Unable("setuid", "", err)
	}
	if account.UID != 0 && syscall.Setuid(0) == nil {
		return strerr.Unable("setuid", "", syscall.EPERM)
	}
	return env.Next(ctx, env, env.Args[2:])
}
