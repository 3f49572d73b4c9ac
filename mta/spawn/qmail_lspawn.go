package spawn

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/mta/layout"
	"paperpath/mta/users"
)

// QmailLspawn is the program. It is root: of what comes from outside it reads
// the commands, users/cdb and the six strings of qmail-getpw, nothing else.
var QmailLspawn = proc.Program{Name: "qmail-lspawn", Usage: "defaultdelivery", Run: lspawn}

func lspawn(_ context.Context, env *proc.Env) error {
	sys.IgnoreSIGPIPE()
	sys.CloseOnExecFrom(3)
	s, err := newSpawner(env)
	if err != nil {
		return err
	}
	if len(env.Args) < 2 {
		return proc.Exit(proc.StatusPermanent)
	}
	l := &locals{home: layout.Home(env.Vars), vars: env.Vars, defaultDelivery: env.Args[1], rootless: layout.Rootless()}
	if err := l.prepare(env); err != nil {
		return err
	}
	s.with = l
	s.serve(env.Files[0])
	return nil
}

// locals delivers by qmail-local, as the user in charge of the address: by one
// that stays for some time (agents), or by one process a delivery.
type locals struct {
	home            string
	vars            proc.Vars
	defaultDelivery string

	// rootless: we cannot become anybody else, nor may we deliver for anybody
	// else, and users/cdb is the whole user table.
	rootless bool

	null, log int // descriptors: /dev/null, and ours for complaints
	passwd    syscall.Credential
	agents    *agents
	*processes
}

func (l *locals) prepare(env *proc.Env) error {
	if !l.rootless {
		account, err := sys.LookupAccount(layout.UserPasswd)
		if err != nil {
			return unknown("user", layout.UserPasswd)
		}
		gid, err := sys.LookupGroup(layout.GroupNofiles)
		if err != nil {
			return unknown("group", layout.GroupNofiles)
		}
		l.passwd = credential(uint32(account.UID), uint32(gid))
	}
	null, err := sys.Open("/dev/null", unix.O_RDWR, 0)
	if err != nil {
		return proc.Exit(proc.StatusTemporary)
	}
	l.null = int(null.Fd())
	l.log, _ = proc.Descriptor(env.Files[2])
	if l.processes, err = watch(); err != nil {
		return err
	}
	l.agents = newAgents(l.home+"/bin/qmail-local", l.processes)
	l.agents.start = l.startAgent
	return nil
}

// credential is what a process gets that has one group and no supplementary
// ones (prot_gid, prot_uid).
func credential(uid, gid uint32) syscall.Credential {
	return syscall.Credential{Uid: uid, Gid: gid, Groups: []uint32{gid}}
}

// Exit statuses of a child that did not get as far as qmail-local (qlx.h):
// qmail-getpw uses them too.
const (
	qlxUsage    = 112
	qlxRoot     = 113
	qlxNFS      = 115
	qlxNoAlias  = 116
	qlxCDB      = 117
	qlxSys      = 118
	qlxNoMem    = 119
	qlxExecSoft = 120
	qlxExecPW   = 121
	qlxExecHard = 126
)

// localReports are the reports that say all without the program's output.
var localReports = map[int]string{
	qlxUsage:    "ZInternal qmail-lspawn bug.\n",
	qlxRoot:     "ZNot allowed to perform deliveries as root.\n",
	qlxNFS:      "ZNFS failure in qmail-local.\n",
	qlxNoAlias:  "ZUnable to find alias user!\n",
	qlxCDB:      "ZTrouble reading users/cdb in qmail-lspawn.\n",
	qlxSys:      "ZTemporary failure in qmail-lspawn.\n",
	qlxNoMem:    "ZOut of memory in qmail-lspawn.\n",
	qlxExecSoft: "ZUnable to run qmail-local.\n",
	qlxExecPW:   "ZUnable to run qmail-getpw.\n",
	qlxExecHard: "DUnable to run qmail-local.\n",
}

const localCrashed = "Zqmail-local crashed.\n"

// localReport is the report on a qmail-local that ended (report in
// qmail-lspawn.c).
func localReport(status child.Status, text []byte) string {
	if crashed(status) {
		return localCrashed
	}
	if report, ok := localReports[status.Code()]; ok {
		return report
	}
	verdict := "D"
	switch status.Code() {
	case 0:
		verdict = "K"
	case 111, 71, 74, 75:
		verdict = "Z"
	}
	text, _, _ = bytes.Cut(text, []byte{0})
	return verdict + string(text)
}

// Of a long output the beginning and this remain.
var localOutput = output{max: 3000, cut: "\nError report too long, sorry.\n"}

// passwdOutput is more than six strings of an account will ever be.
var passwdOutput = output{max: 64 << 10}

func (l *locals) begin(d *delivery, done func(string)) {
	finish := func(report string) {
		d.message.Close()
		done(report)
	}
	if d.local() == "" {
		finish("K") // the trash address
		return
	}
	user, found, err := users.Find(fsys.OS{Root: l.home}, d.local())
	switch {
	case err != nil:
		finish(localReports[qlxCDB])
	case found:
		l.deliver(d, user, finish)
	case l.rootless:
		finish(localReports[qlxNoAlias])
	default:
		l.askPasswd(d, finish)
	}
}

// askPasswd has qmail-getpw, which reads the user database, find the user.
func (l *locals) askPasswd(d *delivery, finish func(string)) {
	c := &child.Command{
		Argv:  []string{"bin/qmail-getpw", d.local()},
		Path:  l.home + "/bin/qmail-getpw",
		Vars:  l.vars,
		Dir:   l.home,
		Files: []int{l.null, -1, l.log},
	}
	c.Sys.Credential = &l.passwd
	err := l.run(c, false, passwdOutput, func(status child.Status, text []byte) {
		switch {
		case status.Crashed():
			finish(localReports[qlxSys])
		case status.Code() != 0:
			finish(localReport(status, nil))
		default:
			l.deliver(d, text, finish)
		}
	})
	switch {
	case err == nil:
	case errors.Is(err, errPipe), errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM):
		finish(localReports[qlxSys])
	case errors.Is(err, syscall.EPERM):
		finish(localReports[qlxUsage])
	default:
		finish(localReports[qlxExecPW])
	}
}

// deliver has qmail-local deliver as the user that record, six strings with a
// NUL after each, tells of.
func (l *locals) deliver(d *delivery, record []byte, finish func(string)) {
	f := strings.SplitN(string(record), "\x00", 7)
	if len(f) < 7 {
		finish(localReports[qlxUsage])
		return
	}
	user, home, dash, ext := f[0], f[3], f[4], f[5]
	uid, err1 := parseID(f[1])
	gid, err2 := parseID(f[2])
	switch {
	case err1 != nil || err2 != nil:
		finish(localReports[qlxUsage])
		return
	case uid == 0:
		finish(localReports[qlxRoot])
		return
	case l.rootless && (uid != uint32(os.Geteuid()) || gid != uint32(os.Getegid())):
		finish("ZUnable to deliver for another user without being root. (#4.3.5)\n")
		return
	}
	as := owner{uid, gid}
	args := []string{user, home, d.local(), dash, ext, d.host(), d.sender, l.defaultDelivery}
	classic := func() { l.runLocal(d, as, args, finish) }
	if !l.agents.offer(as, args, d.descriptor(), &handed{classic, finish}) {
		classic()
	}
}

// runLocal runs a qmail-local for one delivery.
func (l *locals) runLocal(d *delivery, as owner, args []string, finish func(string)) {
	c := &child.Command{
		Argv: append([]string{"bin/qmail-local", "--"}, args...),
		Path: l.home + "/bin/qmail-local",
		Vars: l.vars,
		Dir:  l.home,
		// The program's complaints belong to the report.
		Files: []int{d.descriptor(), -1, -1},
	}
	if !l.rootless {
		credential := credential(as.uid, as.gid)
		c.Sys.Credential = &credential
	}
	err := l.run(c, true, localOutput, func(status child.Status, text []byte) {
		finish(localReport(status, text))
	})
	switch {
	case err == nil:
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EINVAL): // of setuid(2) and its kin
		finish(localReports[qlxUsage])
	default:
		finish(startRefusal(err, "qmail-local"))
	}
}

// parseID reads the digits that s begins with, none being 0 (scan_ulong.c); an
// id that does not fit is an error and not another id.
func parseID(s string) (uint32, error) {
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		s = s[:end]
	}
	if s == "" {
		return 0, nil
	}
	id, err := strconv.ParseUint(s, 10, 32)
	return uint32(id), err
}
