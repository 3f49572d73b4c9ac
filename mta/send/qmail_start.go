package send

import (
	"context"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/mta/layout"
)

// QmailStart starts qmail-lspawn, qmail-rspawn and qmail-clean, each with its
// rights and a pipe either way, and becomes qmail-send.
var QmailStart = proc.Program{
	Name:  "qmail-start",
	Usage: "[ defaultdelivery [ logger arg ... ] ]",
	Run:   runStart,
}

// roles are the rights of each program; nil where nobody's rights change.
type roles struct {
	logger, rspawn, clean, send *syscall.Credential
}

func runStart(ctx context.Context, env *proc.Env) error {
	home := layout.Home(env.Vars)
	if err := os.Chdir("/"); err != nil {
		return strerr.Unable("switch to", "/", err)
	}
	syscall.Umask(layout.Umask)
	sys.CloseOnExecFrom(3)
	if err := keepLow(); err != nil {
		return err
	}
	roles, err := findRoles()
	if err != nil {
		return err
	}
	lspawn := []string{"qmail-lspawn", "./Mailbox"}
	args := env.Args[1:]
	if len(args) > 0 {
		lspawn[1] = args[0]
		args = args[1:]
	}
	log := 1
	if len(args) > 0 {
		if log, err = startLogger(env, args, roles.logger); err != nil {
			return err
		}
	}

	// Seven descriptors of qmail-send: 0 is the log, then to and from each.
	table := [7]int{log}
	for i, p := range []struct {
		argv   []string
		rights *syscall.Credential
	}{
		{lspawn, nil}, // root: it delivers as everybody
		{[]string{"qmail-rspawn"}, roles.rspawn},
		{[]string{"qmail-clean"}, roles.clean},
	} {
		to, from, err := startPartner(env, home, p.argv, p.rights)
		if err != nil {
			return err
		}
		table[1+2*i], table[2+2*i] = to, from
	}
	if err := assume(roles.send); err != nil {
		return err
	}
	for target, fd := range table {
		if err := unix.Dup3(fd, target, 0); err != nil && fd != target {
			return strerr.Unable("copy", "descriptor", err)
		}
	}
	return env.Next(ctx, env, []string{home + "/bin/qmail-send"})
}

// keepLow occupies what is free of descriptors 0 to 6. The Go runtime opens some
// of its own when it likes; if they were there, qmail-send's would be put over
// them while the runtime still waits on them, which it does not survive.
func keepLow() error {
	for {
		f, err := sys.Open("/dev/null", unix.O_RDWR, 0)
		if err != nil {
			return strerr.Unable("open", "/dev/null", err)
		}
		if f.Fd() > 6 {
			return f.Close()
		}
	}
}

// findRoles looks the accounts up and takes the group that root's own children
// shall have. Under an ordinary uid everything runs as that.
func findRoles() (r roles, err error) {
	if layout.Rootless() {
		return r, nil
	}
	id := func(user string) uint32 {
		a, e := sys.LookupAccount(user)
		if e != nil {
			if err == nil {
				err = strerr.Unable("find", "user "+user, e)
			}
			return 0
		}
		return uint32(a.UID)
	}
	gid := func(group string) uint32 {
		n, e := sys.LookupGroup(group)
		if e != nil && err == nil {
			err = strerr.Unable("find", "group "+group, e)
		}
		return uint32(n)
	}
	qmail, nofiles := gid(layout.GroupQmail), gid(layout.GroupNofiles)
	as := func(user string, group uint32) *syscall.Credential {
		return &syscall.Credential{Uid: id(user), Gid: group, Groups: []uint32{group}}
	}
	r = roles{
		logger: as(layout.UserLog, nofiles),
		rspawn: as(layout.UserRemote, qmail),
		clean:  as(layout.UserQueue, qmail),
		send:   as(layout.UserSend, qmail),
	}
	if err != nil {
		return r, err
	}
	// qmail-remote may be given other groups by the group file (prot_gids).
	others, err := sys.LookupGroups(layout.UserRemote)
	if err != nil {
		return r, strerr.Unable("find", "groups of "+layout.UserRemote, err)
	}
	for _, g := range others {
		r.rspawn.Groups = append(r.rspawn.Groups, uint32(g))
	}
	if err := sys.BecomeGroup(int(qmail)); err != nil {
		return r, strerr.Unable("set", "gid", err)
	}
	return r, nil
}

// assume takes the rights of qmail-send, for good.
func assume(c *syscall.Credential) error {
	if c == nil {
		return nil
	}
	if err := sys.BecomeUser(int(c.Uid)); err != nil {
		return strerr.Unable("set", "uid", err)
	}
	return nil
}

// startLogger runs the logger with a pipe as its descriptor 0 and returns the
// end to write to.
func startLogger(env *proc.Env, argv []string, rights *syscall.Credential) (int, error) {
	r, w, err := pipe()
	if err != nil {
		return 0, err
	}
	_, err = child.Start(&child.Command{
		Argv: argv, Vars: env.Vars, Dir: "/", Chain: true,
		Files: []int{r, 1},
		Sys:   syscall.SysProcAttr{Credential: rights},
	})
	if err != nil {
		return 0, strerr.Unable("run", argv[0], err)
	}
	return w, nil
}

// startPartner runs a program of the home directory between two pipes.
func startPartner(env *proc.Env, home string, argv []string, rights *syscall.Credential) (to, from int, err error) {
	toR, to, err := pipe()
	if err != nil {
		return 0, 0, err
	}
	from, fromW, err := pipe()
	if err != nil {
		return 0, 0, err
	}
	_, err = child.Start(&child.Command{
		Argv: argv, Path: home + "/bin/" + argv[0], Vars: env.Vars, Dir: "/",
		Files: []int{toR, fromW},
		Sys:   syscall.SysProcAttr{Credential: rights},
	})
	if err != nil {
		return 0, 0, strerr.Unable("run", argv[0], err)
	}
	syscall.Close(toR)
	syscall.Close(fromW)
	return to, from, nil
}

// pipe returns a pipe out of the way of descriptors 0 to 6.
func pipe() (r, w int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return 0, 0, strerr.Unable("create", "pipe", err)
	}
	for i := range p {
		high, err := unix.FcntlInt(uintptr(p[i]), unix.F_DUPFD_CLOEXEC, 10)
		syscall.Close(p[i])
		if err != nil {
			return 0, 0, strerr.Unable("create", "pipe", err)
		}
		p[i] = high
	}
	return p[0], p[1], nil
}
