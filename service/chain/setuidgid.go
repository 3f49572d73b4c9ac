package chain

import (
	"context"
	"errors"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Setuidgid runs a program as another user: with the account's uid and gid, and
// no other groups.
var Setuidgid = proc.Program{Name: "setuidgid", Usage: "account child", Run: setuidgid}

func setuidgid(ctx context.Context, env *proc.Env) error {
	if len(env.Args) < 3 {
		return proc.ErrUsage
	}
	account, err := lookup(env.Args[1], "account")
	if err != nil {
		return err
	}
	if err := become(account); err != nil {
		return err
	}
	return env.Next(ctx, env, env.Args[2:])
}

func become(account *sys.Account) error {
	if err := sys.BecomeGroup(account.GID); err != nil {
		return strerr.Unable("setgid", "", err)
	}
	if err := sys.BecomeUser(account.UID); err != nil {
		return strerr.Unable("setuid", "", err)
	}
	return nil
}

// lookup finds an account. word is the program's word for an account's name.
func lookup(name, word string) (*sys.Account, error) {
	account, err := sys.LookupAccount(name)
	if errors.Is(err, sys.ErrNoAccount) {
		return nil, errors.New("unknown " + word + " " + strerr.Clean(name))
	}
	if err != nil {
		return nil, strerr.Unable("look up account", name, err)
	}
	return account, nil
}
