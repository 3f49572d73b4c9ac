package users

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/mta/control"
	"paperpath/mta/layout"
)

// QmailGetpw is the program.
var QmailGetpw = proc.Program{Name: "qmail-getpw", Usage: "local", Run: getpw}

// Exit statuses that qmail-lspawn has a report for (qlx.h).
const (
	exitNFS     = proc.Exit(115)
	exitNoAlias = proc.Exit(116)
	exitSys     = proc.Exit(118)
)

// maxName is one more than the longest account name that is looked for.
const maxName = 32

func getpw(_ context.Context, env *proc.Env) error {
	if len(env.Args) < 2 {
		return proc.Exit(proc.StatusPermanent)
	}
	local := env.Args[1]
	account, dash, ext, err := passwdUser(sys.LookupAccount, fsys.OS{}, local)
	if err != nil {
		return err
	}
	record := strings.Join([]string{
		account.Name, strconv.Itoa(account.UID), strconv.Itoa(account.GID), account.Home, dash, ext, "",
	}, "\x00")
	if _, err := io.WriteString(env.Files[1], record); err != nil {
		return exitSys
	}
	return nil
}

// lookup is sys.LookupAccount.
type lookup func(name string) (*sys.Account, error)

// passwdUser finds the account in charge of local: the one of that name, else
// the one whose name with a hyphen is the longest beginning of local, else
// alias. A database that cannot be read is no reason to give somebody's mail
// to alias.
func passwdUser(lookup lookup, fs fsys.FS, local string) (account *sys.Account, dash, ext string, err error) {
	for end := len(local); end > 0; end-- {
		if end >= maxName || end < len(local) && local[end] != layout.Break {
			continue
		}
		account, err := lookup(control.Lower(local[:end]))
		if err != nil {
			if errors.Is(err, sys.ErrNoAccount) {
				continue
			}
			return nil, "", "", exitSys
		}
		isUser, err := ownsHome(fs, account)
		switch {
		case err != nil:
			return nil, "", "", err
		case !isUser:
			continue
		case end == len(local):
			return account, "", "", nil
		}
		return account, "-", local[end+1:], nil
	}
	account, err = lookup(layout.UserAlias)
	switch {
	case errors.Is(err, sys.ErrNoAccount):
		return nil, "", "", exitNoAlias
	case err != nil:
		return nil, "", "", exitSys
	}
	return account, "-", local, nil
}

// ownsHome reports whether the account is a user: not root, and the owner of
// its home directory.
func ownsHome(fs fsys.FS, account *sys.Account) (bool, error) {
	if account.UID == 0 {
		return false, nil
	}
	info, err := fs.Stat(account.Home)
	if err != nil {
		if strerr.Temporary(err) {
			return false, exitNFS
		}
		return false, nil
	}
	return int(info.UID) == account.UID, nil
}
