// Package checkpassword has the programs that judge a login for others:
// qmail-popup, or qmail-smtpd with AUTH, starts one of them and writes on its
// descriptor 3, up to 512 bytes to the end of file,
//
//	login NUL password NUL timestamp NUL …
//
// where the password may be a digest made of the real one and the timestamp.
// The program ends with 1 if it is not right, 2 if it was called wrongly, 111 if
// nobody can tell now, or becomes the program that its arguments name, as the user
// (the interface: https://cr.yp.to/checkpwd/interface.html).
//
// checkpassword knows the accounts of the system, or those of a password file of
// its own (passwordfile.go), which checkpassword-set writes; hash.go compares.
// cmd5checkpw knows passwords in clear, which digests need.
package checkpassword

import (
	"context"
	"errors"
	"os"
	"syscall"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Checkpassword is the program checkpassword(8).
var Checkpassword = proc.Program{Name: "checkpassword", Usage: "prog", UsageStatus: 2, Run: func(ctx context.Context, env *proc.Env) error {
	return check(ctx, env, systemAccounts, become)
}}

// account is somebody who may log in, and what the program that follows gets.
type account struct {
	name     string
	password string // hashed; what can be no hash fits nothing
	closed   bool   // not to be let in, whatever the password
	uid, gid int    // -1: those that this process has
	home     string
	shell    string
}

// accounts is where to look for an account.
type accounts interface {
	// find returns nil if there is none of that name.
	find(login string) (*account, error)
	// decoy returns the password of somebody, so that asking for nobody
	// takes as long as asking for one that exists.
	decoy() (string, error)
}

// check judges a login and goes on as that user.
func check(ctx context.Context, env *proc.Env, in accounts, become func(uid, gid int) error) error {
	if len(env.Args) < 2 {
		return proc.ErrUsage
	}
	r, err := readRequest(env)
	if err != nil {
		return err
	}
	// The interface leaves the environment for options; that of a program with
	// other rights than its caller has is the caller's.
	if name, ok := env.Vars.Get("CHECKPASSWORD_FILE"); ok && !sys.SetUID() {
		in = passwordFile(name)
	}
	a, err := judge(in, r)
	r.forget()
	if err != nil {
		return err
	}
	// Failures from here on are no fault of the password's: 111, where C says
	// that it was unacceptable.
	if err := become(a.uid, a.gid); err != nil {
		return strerr.Unable("become user", a.name, err)
	}
	if a.home == "" {
		return strerr.Named("switch to", a.home, syscall.ENOENT)
	}
	env.Dir = a.home
	env.Vars.Set("USER", a.name)
	env.Vars.Set("HOME", a.home)
	env.Vars.Set("SHELL", a.shell)
	return env.Next(ctx, env, env.Args[1:])
}

// judge returns the account that r may log in to. It takes the same time
// whether or not there is such an account, and whether it is locked.
func judge(in accounts, r *request) (*account, error) {
	a, err := in.find(r.login)
	if err != nil {
		return nil, err
	}
	if a == nil || !hashed(a.password) {
		password, err := in.decoy()
		if err != nil {
			return nil, err
		}
		// Whatever comes out of it; a decoy that cannot be had is none.
		match(password, r.password)
		return nil, unacceptable
	}
	ok, err := match(a.password, r.password)
	if err != nil {
		return nil, strerr.Unable("compare the password of", a.name, err)
	}
	if !ok || a.closed {
		return nil, unacceptable
	}
	return a, nil
}

var errNoIDs = errors.New("root needs a uid and gid for it")

// become takes on the ids of an account for good. Its gid is its only group, as
// in checkpassword 0.90 (prot_gid). A process that has the ids already needs no
// rights to keep them.
func become(uid, gid int) error {
	own := os.Geteuid()
	switch {
	case own == 0 && uid < 0:
		// What follows would read the network as root.
		return errNoIDs
	case uid < 0:
		return nil
	case own != 0 && own == uid && os.Getegid() == gid && !sys.SetUID():
		return nil
	}
	if err := sys.BecomeGroup(gid); err != nil {
		return err
	}
	return sys.BecomeUser(uid)
}
