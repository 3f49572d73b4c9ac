// Package layout says where a qmail installation lies and who owns it: what
// conf-qmail, conf-users, conf-groups, conf-split, conf-break and conf-patrn
// settled when the C programs were compiled.
package layout

import (
	"os"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
)

// DefaultHome is the qmail home directory. A packager sets another with
// -ldflags "-X paperpath/mta/layout.DefaultHome=/usr/lib/qmail".
var DefaultHome = "/var/qmail"

const (
	Split = 23    // conf-split: queue subdirectories
	Spawn = 65000 // conf-spawn: deliveries at a time, whatever control files say
	Break = '-'   // conf-break: separates user and extension
	Patrn = 002   // conf-patrn: write bits that a .qmail or home must not have

	Umask = 077 // of everything that delivers
)

// Names of the accounts and groups.
const (
	UserAlias  = "alias"
	UserDaemon = "qmaild" // tcpserver, qmail-smtpd
	UserLog    = "qmaill"
	UserPasswd = "qmailp" // qmail-getpw
	UserQueue  = "qmailq" // owns the queue; qmail-queue, qmail-clean
	UserRemote = "qmailr" // qmail-rspawn, qmail-remote
	UserSend   = "qmails" // qmail-send

	GroupQmail   = "qmail"
	GroupNofiles = "nofiles"
)

// Home returns the qmail home directory: $QMAILHOME, unless this process has
// other rights than its caller, else DefaultHome.
func Home(vars proc.Vars) string {
	if dir := vars.Value("QMAILHOME"); dir != "" && !sys.SetUID() {
		return dir
	}
	return DefaultHome
}

// Rootless reports whether the whole system runs under one ordinary uid: no
// process can change its ids, and the user table is users/assign alone.
func Rootless() bool { return os.Geteuid() != 0 && os.Getuid() != 0 }
