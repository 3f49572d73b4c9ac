package checkpassword

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"paperpath/internal/fsys"
	"paperpath/internal/line"
	"paperpath/internal/strerr"
)

// passwordFile is a file of accounts that need not be the system's, a line each:
//
//	login:password:uid:gid:home
//
// The password is hashed: argon2id, or as in shadow(5). uid and gid may both be
// empty: the ids of who reads the file. Empty lines, and those that begin with
// "#", do not count; the first line of a login does.
type passwordFile string

const maxLine = 4096

var (
	errEntry    = errors.New("broken entry")
	errWritable = errors.New("others may write to it")
)

// fileDecoy is an argon2id hash, at what new passwords cost, that no password
// is known for.
const fileDecoy = phcHead + "m=19456,t=2,p=1$cGFwZXJwYXRoLWRlY295cw$WwS2nOZKjYbPkVCiIIPwXyVvmpdrCS2H3YI0OSnnt8Q"

func (name passwordFile) find(login string) (found *account, err error) {
	n := 0
	err = name.lines(func(l string) (more bool, err error) {
		n++
		if who, _, _ := strings.Cut(l, ":"); who != login || !entry(l) {
			return true, nil
		}
		a, ok := parseEntry(l)
		if !ok {
			return false, strerr.Unable("understand line "+strconv.Itoa(n)+" of", string(name), errEntry)
		}
		found = a
		return false, nil
	})
	return found, err
}

func (name passwordFile) decoy() (found string, err error) {
	err = name.lines(func(l string) (more bool, err error) {
		if a, ok := parseEntry(l); entry(l) && ok && known(a.password) {
			found = a.password
		}
		return found == "", nil
	})
	return cmp.Or(found, fileDecoy), err
}

// entry reports whether a line is one, and not a comment.
func entry(l string) bool { return l != "" && l[0] != '#' }

// lines calls f with each line until it has enough. It trusts no file that
// somebody else can write to: who can says which uid a login has.
func (name passwordFile) lines(f func(l string) (more bool, err error)) error {
	file, err := fsys.OS{}.Open(string(name), os.O_RDONLY, 0)
	if err != nil {
		return strerr.Unable("open", string(name), err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil && (info.Mode&0o022 != 0 || info.UID != 0 && int(info.UID) != os.Geteuid()) {
		err = errWritable
	}
	if err != nil {
		return strerr.Unable("trust", string(name), err)
	}
	r := bufio.NewReader(file)
	for {
		l, err := line.Read(r, '\n', maxLine)
		if err != nil && err != io.EOF {
			return strerr.Unable("read", string(name), err)
		}
		more, ferr := f(strings.TrimSuffix(string(l), "\n"))
		if ferr != nil || !more || err == io.EOF {
			return ferr
		}
	}
}

// parseEntry takes a line apart. uid 0 is none of a mail user's.
func parseEntry(l string) (*account, bool) {
	f := strings.Split(l, ":")
	if len(f) != 5 || !nameable(f[0]) || !strings.HasPrefix(f[4], "/") || strings.Contains(l, "\x00") {
		return nil, false
	}
	a := &account{name: f[0], password: f[1], uid: -1, gid: -1, home: f[4], shell: "/bin/sh"}
	if f[2] == "" && f[3] == "" {
		return a, true
	}
	// 2³²-1 means "leave it" to the kernel.
	uid, err1 := strconv.ParseUint(f[2], 10, 31)
	gid, err2 := strconv.ParseUint(f[3], 10, 31)
	a.uid, a.gid = int(uid), int(gid)
	return a, err1 == nil && err2 == nil && uid != 0
}

// nameable reports whether a login can have an entry.
func nameable(login string) bool {
	return login != "" && login[0] != '#' && !strings.ContainsAny(login, ":\n\x00")
}
