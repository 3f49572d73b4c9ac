package sys

import (
	"bufio"
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Account is an entry of the user database.
type Account struct {
	Name     string
	UID, GID int
	Home     string
	Shell    string
}

// ErrNoAccount means that the database was asked and has no such entry; any
// other error means that nobody knows.
var ErrNoAccount = errors.New("no such account")

// LookupAccount finds a user by name.
func LookupAccount(name string) (*Account, error) { return system.account(name) }

// LookupGroup finds the id of a group by name.
func LookupGroup(name string) (int, error) { return system.group(name) }

// LookupGroups returns the ids of the groups that list a user as a member
// (initgroups(3)). It reads the group file alone: the callers' users are local ones,
// and a start of the mail system must not wait for a directory server.
func LookupGroups(user string) ([]int, error) { return system.memberships(user) }

// accounts is where the user database is. The files are read here; other
// sources that /etc/nsswitch.conf names (LDAP, sssd, NIS) speak protocols that
// only the C library's modules know, so getent(1) is asked for those.
type accounts struct {
	passwd, shadow, groups string
	nsswitch               string
	getent                 string
}

var system = accounts{
	passwd:   "/etc/passwd",
	shadow:   "/etc/shadow",
	groups:   "/etc/group",
	nsswitch: "/etc/nsswitch.conf",
	getent:   "/usr/bin/getent",
}

// passwd(5): name:password:uid:gid:comment:home:shell
func (a *accounts) account(name string) (*Account, error) {
	f, err := a.find("passwd", a.passwd, name, 4, 7)
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(f[2], 10, 32)
	gid, err2 := strconv.ParseUint(f[3], 10, 32)
	if err1 != nil || err2 != nil {
		return nil, ErrNoAccount
	}
	return &Account{f[0], int(uid), int(gid), f[5], f[6]}, nil
}

// group(5): name:password:gid:members
func (a *accounts) group(name string) (int, error) {
	f, err := a.find("group", a.groups, name, 3, 4)
	if err != nil {
		return 0, err
	}
	gid, err := strconv.ParseUint(f[2], 10, 32)
	if err != nil {
		return 0, ErrNoAccount
	}
	return int(gid), nil
}

func (a *accounts) memberships(user string) (gids []int, err error) {
	err = eachLine(a.groups, func(line string) (more bool) {
		f := entry(line, 3, 4)
		if f == nil || !slices.Contains(strings.Split(f[3], ","), user) {
			return true
		}
		if gid, err := strconv.ParseUint(f[2], 10, 32); err == nil {
			gids = append(gids, int(gid))
		}
		return true
	})
	return gids, err
}

// entry returns the fields of a line, nil if it has less than least. What is
// missing beyond that is empty, and the last field may have colons: so getpwnam(3)
// and getgrnam(3) of the C library read it. Blanks before an entry, and lines that
// begin with "#", do not count.
func entry(line string, least, fields int) []string {
	f := strings.SplitN(strings.TrimLeft(line, " \t"), ":", fields)
	if len(f) < least || strings.HasPrefix(f[0], "#") {
		return nil
	}
	return append(f, make([]string, fields-len(f))...)
}

// find returns the fields of an entry.
func (a *accounts) find(database, file, name string, least, fields int) ([]string, error) {
	if name == "" || strings.ContainsAny(name, ":\n\x00") {
		return nil, ErrNoAccount
	}
	var found []string
	err := eachLine(file, func(line string) (more bool) {
		if f := entry(line, least, fields); f != nil && f[0] == name {
			found = f
		}
		return found == nil
	})
	if err != nil || found != nil {
		return found, err
	}
	elsewhere, err := a.elsewhere(database)
	if err != nil || !elsewhere {
		return nil, cmp.Or(err, ErrNoAccount)
	}
	return a.ask(database, name, least, fields)
}

// eachLine calls f with each line of a file until it has enough. A line may be
// long: a group has its members in it.
func eachLine(file string, f func(line string) (more bool)) error {
	fd, err := Open(file, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer fd.Close()
	s := bufio.NewScanner(fd)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		if !f(s.Text()) {
			return nil
		}
	}
	return s.Err()
}
