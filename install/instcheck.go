package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Instcheck is "make instcheck": it says in a line each what is not as instpackage
// makes it, and what nobody but an attacker would have put there.
var Instcheck = proc.Program{Name: "instcheck", Usage: "[ -d destdir ] [ queue-only ]", Run: instcheck}

// auditor is one audit.
type auditor struct {
	*installer
	wrong int
}

func instcheck(_ context.Context, env *proc.Env) error {
	x, err := begin(env, "d:")
	if err != nil {
		return err
	}
	a := &auditor{installer: x}
	list, err := x.items()
	if err != nil {
		return err
	}
	a.checkAccounts()
	listed := map[string]bool{}
	for i := range list {
		it := &list[i]
		listed[x.root+it.Path] = true
		a.check(it)
	}
	if !x.queueOnly {
		a.checkStrangers(listed)
		a.checkControl()
		a.checkMount()
	}
	if x.bare > 0 {
		a.say(fmt.Sprintf("%d things were not checked for their owner: accounts of another host, or not root", x.bare))
	}
	if a.wrong > 0 {
		return proc.Exit(1)
	}
	return nil
}

// warn says a deviation, in the words of the C instcheck.
func (a *auditor) warn(name, what string) {
	a.wrong++
	a.env.Warn(errors.New(strerr.Clean(name) + what))
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// checkControl misses what config-fast makes.
func (a *auditor) checkControl() {
	dir := a.root + a.home + "/control/"
	if !exists(dir + "me") {
		a.warn(dir+"me", " does not exist: run config-fast")
	} else if !exists(dir + "rcpthosts") {
		a.warn(dir+"rcpthosts", " does not exist: qmail-smtpd would relay for everybody")
	}
}

// checkMount looks for what makes a good mode worthless: /var is mounted so on some
// hosts.
func (a *auditor) checkMount() {
	var fs unix.Statfs_t
	dir := a.home + "/bin"
	if a.root != "" || unix.Statfs(dir, &fs) != nil {
		return
	}
	if fs.Flags&unix.ST_NOSUID != 0 {
		a.warn(dir, " is on a file system that is mounted nosuid: qmail-queue has no rights")
	}
	if fs.Flags&unix.ST_NOEXEC != 0 {
		a.warn(dir, " is on a file system that is mounted noexec: no program runs")
	}
}

// checkAccounts looks at who the processes are kept apart by: as long as the ids
// differ, no part of the mail system can touch another's files.
func (a *auditor) checkAccounts() {
	holders := map[int]string{}
	for _, name := range groups {
		if gid, err := a.ids.group(name); err != nil {
			a.accountProblem("group", name, err)
		} else if gid == 0 {
			a.warn(name, " is the group of root")
		}
	}
	for _, want := range accounts {
		uid, gid, home, err := a.ids.account(want.name)
		if err != nil {
			a.accountProblem("account", want.name, err)
			continue
		}
		if other, taken := holders[uid]; taken {
			a.warn(want.name, fmt.Sprintf(" has the uid of %s, %d", other, uid))
		}
		holders[uid] = want.name
		if uid == 0 {
			a.warn(want.name, " is root")
		}
		if g, err := a.ids.group(want.group); err == nil && g != gid {
			a.warn(want.name, fmt.Sprintf(" has the group %d, not %d (%s)", gid, g, want.group))
		}
		if want.home != "" && home != a.home+want.home { // its .qmail files are looked for there
			a.warn(want.name, " has the home "+strerr.Clean(home)+", not "+a.home+want.home)
		}
	}
}

func (a *auditor) accountProblem(what, name string, err error) {
	switch {
	case !errors.Is(err, sys.ErrNoAccount):
		a.wrong++
		a.env.Warn(strerr.Unable("find "+what, name, err))
	case a.root == "": // else the host that gets this will make it
		a.warn(what+" "+name, " does not exist")
	}
}

// check compares one thing.
func (a *auditor) check(it *item) {
	name := a.root + it.Path
	var st unix.Stat_t
	stat := unix.Stat
	if it.Kind == 'l' || !it.Host && !a.mayLead(it) {
		stat = unix.Lstat
	}
	err := stat(name, &st)
	switch {
	case err == unix.ENOENT && it.compressed(name):
		return
	case err == unix.ENOENT && it.Kind == 'c':
		return // an administrator has no use for it
	case err == unix.ENOENT && it.Host && strings.HasPrefix(it.Path, a.home+"/supervise/"):
		return // nor for that service, or its logger
	case err == unix.ENOENT:
		a.warn(name, " does not exist")
		return
	case err != nil:
		a.wrong++
		a.env.Warn(strerr.Unable("stat", name, err))
		return
	}
	if bits, what := kind(it.Kind); st.Mode&unix.S_IFMT != bits {
		a.warn(name, " has wrong type: it is not "+what)
		return
	}
	switch {
	case it.Kind == 'l':
		if to, _ := os.Readlink(name); to != it.What {
			a.warn(name, " leads to "+strerr.Clean(to)+", not to "+it.What)
		}
		return
	case it.Kind == 'f' && st.Size < it.Size:
		a.warn(name, fmt.Sprintf(" has %d bytes, not %d", st.Size, it.Size))
	case it.Kind == 's' && !a.isOurs(it, name):
		a.warn(name, " is not the one of this version")
	}
	mode, uid, gid, err := a.want(it)
	if err != nil {
		return // checkAccounts has said it
	}
	if uid >= 0 && int(st.Uid) != uid {
		a.warn(name, fmt.Sprintf(" has wrong owner: %d, not %d", st.Uid, uid))
	}
	if uid >= 0 && int(st.Gid) != gid && !a.own(it) {
		a.warn(name, fmt.Sprintf(" has wrong group: %d, not %d", st.Gid, gid))
	}
	if got := st.Mode & 0o7777; got != mode && !a.tolerable(it, got) {
		a.warn(name, fmt.Sprintf(" has wrong permissions: %04o, not %04o", got, mode))
	}
}

// isOurs reports whether a program, page or script is as instpackage would make it.
// Of programs an instcheck knows that lies beside others than those installed.
func (a *auditor) isOurs(it *item, name string) bool {
	if it.program == "" {
		return same(name, it.text)
	}
	built, err := os.ReadFile(a.from + "/" + it.program)
	return err != nil || same(name, built)
}

// own reports whether something is the administrator's to arrange: a setting, a
// script of his, a directory around the qmail home.
func (a *auditor) own(it *item) bool { return it.Kind == 'c' || it.Host && it.Kind == 'd' }

// tolerable reports whether a mode that is not the table's is an administrator's and
// gives nobody a right to change what root will run or read. What root is to run must
// be such that he can.
func (a *auditor) tolerable(it *item, got uint32) bool {
	script := it.Kind == 'c' && it.Mode&0o100 != 0
	return a.own(it) && got&0o6022 == 0 && !(script && got&0o100 == 0)
}

// checkStrangers looks for what instpackage has not made and no administrator
// should have: programs with somebody's rights, and files that everybody may write.
func (a *auditor) checkStrangers(listed map[string]bool) {
	for _, dir := range []string{"bin", "boot", "control", "users", "alias", "supervise"} {
		top := a.root + a.home + "/" + dir
		filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				if !errors.Is(err, fs.ErrNotExist) { // mail comes and goes
					a.wrong++
					a.env.Warn(strerr.Unable("read", name, err))
				}
				return fs.SkipDir
			}
			info, err := d.Info()
			if err != nil {
				return nil
			}
			mode := info.Sys().(*syscall.Stat_t).Mode
			switch {
			case listed[name] || d.Type()&fs.ModeSymlink != 0:
			case mode&(unix.S_ISUID|unix.S_ISGID) != 0 && d.Type().IsRegular():
				a.warn(name, fmt.Sprintf(" is setuid or setgid (%04o), and not of this system", mode&0o7777))
			case mode&0o002 != 0 && d.Type()&(fs.ModeNamedPipe|fs.ModeSocket) == 0:
				a.warn(name, fmt.Sprintf(" can be written by everybody (%04o)", mode&0o7777))
			}
			return nil
		})
	}
}
