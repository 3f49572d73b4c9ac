package chain

import (
	"context"
	"errors"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Setuidgid runs a program as another user: with the account's uid and gid, and
// no group beside that.
var Setuidgid = proc.Program{Name: "setuidgid", Usage: "account child", Run: setuidgid}

// Setuser is what setuidgid was called before daemontools 0.60.
var Setuser = proc.Program{Name: "setuser", Usage: "account child", Run: setuidgid}

func setuidgid(ctx context.Context, env *proc.Env) error {
	if len(env.Args) < 3 {
		return proc.ErrUsage
	}
	account, err := lookup(env.Args[1])
	if err != nil {
		return err
	}
	if err := sys.BecomeGroup(account.GID); err != nil {
		return strerr.Unable("setgid", "", err)
	}
	if err := sys.BecomeUser(account.UID); err != nil {
		return strerr.Unable("setuid", "", err)
	}
	return env.Next(ctx, env, env.Args[2:])
}

func lookup(name string) (*sys.Account, error) {
	account, err := sys.LookupAccount(name)
	if errors.Is(err, sys.ErrNoAccount) {
		return nil, errors.New("unknown account " + strerr.Clean(name))
	}
	if err != nil {
		return nil, strerr.Unable("look up account", name, err)
	}
	return account, nil
}
