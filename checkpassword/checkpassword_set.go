package checkpassword

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// CheckpasswordSet is the program checkpassword-set(8), which writes an entry of
// a password file. It takes the password from descriptor 0: anybody can read
// the arguments of a process.
var CheckpasswordSet = proc.Program{Name: "checkpassword-set", Usage: "file login [ home [ uid gid ] ]", Run: set}

// Descriptor 3 of checkpassword has room for login, password and timestamp.
const (
	maxSecret = 400 // login and password
	maxFile   = 64 << 20
)

var (
	errNoEntry = errors.New("no such login, and no home given")
	errEmpty   = errors.New("the password is empty")
	errLong    = errors.New("login and password are too long")
	errBytes   = errors.New("the password has a line feed or NUL in it")
	errNotFile = errors.New("not a regular file")
	errFields  = errors.New("bad login, home, uid or gid")
)

func set(_ context.Context, env *proc.Env) error {
	n := len(env.Args)
	if n != 3 && n != 4 && n != 6 {
		return proc.ErrUsage
	}
	name, login := env.Args[1], env.Args[2]
	fields := []string{login, "", "", "", ""} // as parseEntry has them
	if n > 3 {
		fields[4] = env.Args[3]
		if n > 4 {
			copy(fields[2:], env.Args[4:])
		}
		if !writable(fields) {
			return proc.Permanent(strerr.Unable("write entry of", login, errFields))
		}
	}
	password, err := readPassword(env.Files[0], login)
	if err != nil {
		return err
	}
	salt := make([]byte, newSalt)
	rand.Read(salt)
	fields[1] = hashArgon2id(password, salt)
	clear(password)
	return replace(name, login, func(old string) (string, error) {
		if n == 3 { // the password alone is new
			f := strings.Split(old, ":")
			if len(f) != len(fields) {
				return "", proc.Permanent(strerr.Unable("find", login, errNoEntry))
			}
			copy(fields[2:], f[2:])
		}
		return strings.Join(fields, ":"), nil
	})
}

// writable reports whether the fields of an entry can be read again.
func writable(fields []string) bool {
	l := strings.Join(fields, ":")
	a, ok := parseEntry(l)
	return ok && a.name == fields[0] && !strings.Contains(l, "\n") && len(l) < maxLine/2
}

// readPassword reads one line, with or without a line feed behind it.
func readPassword(in io.Reader, login string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxSecret+2))
	if err != nil {
		return nil, strerr.Unable("read", "the password", err)
	}
	if n := len(b) - 1; n >= 0 && b[n] == '\n' {
		b = b[:n]
	}
	switch {
	case len(b) == 0:
		err = errEmpty
	case len(login)+len(b) > maxSecret:
		err = errLong
	case strings.ContainsAny(string(b), "\n\x00"):
		err = errBytes
	default:
		return b, nil
	}
	return nil, proc.Permanent(strerr.Unable("use", "the password", err))
}

// replace puts what change makes of login's line in the place of it, or at the end
// of the file if there is none ("" for change). A reader sees the old file or
// the new; a power cut leaves one of them.
//
// Root may do this in a directory that is somebody else's, who renames and links
// what is in it meanwhile: everything goes through descriptors, and by no link.
func replace(name, login string, change func(old string) (string, error)) error {
	within, base := filepath.Split(name)
	within = filepath.Clean(within)
	// The lock of two that change the file at once: it must survive the file.
	dir, err := sys.Open(within, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err == nil {
		defer dir.Close()
		err = sys.Lock(int(dir.Fd()), true)
	}
	if err != nil {
		return strerr.Unable("lock", within, err)
	}
	if base == "" {
		return strerr.Unable("read", name, unix.EISDIR)
	}
	fs := fsys.At(dir)
	text, like, err := read(fs, base)
	if err != nil {
		return strerr.Unable("read", name, err)
	}
	lines, err := edit(text, login, change)
	if err != nil {
		return err
	}
	tmp := base + ".tmp"
	if err := write(dir, tmp, lines, like); err != nil {
		fs.Remove(tmp)
		return strerr.Unable("write", name+".tmp", err)
	}
	if err := fs.Rename(tmp, base); err != nil {
		fs.Remove(tmp)
		return strerr.Unable("rename "+name+".tmp to", name, err)
	}
	if err := fs.SyncDir("."); err != nil {
		return strerr.Unable("sync", within, err)
	}
	return nil
}

// read returns a file, and whose it is. One that does not exist is empty, and ours
// alone.
func read(fs fsys.FS, name string) (text string, like fsys.Info, err error) {
	f, err := fs.Open(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err == unix.ENOENT {
		return "", fsys.Info{Mode: 0o600, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}, nil
	}
	if err != nil {
		return "", like, err
	}
	defer f.Close()
	if like, err = f.Stat(); err != nil {
		return "", like, err
	}
	if !like.IsRegular() {
		return "", like, errNotFile
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = unix.EFBIG
	}
	return string(b), like, err
}

// edit changes the first line of a login.
func edit(text, login string, change func(old string) (string, error)) (string, error) {
	var b strings.Builder
	found := false
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		if who, _, _ := strings.Cut(l, ":"); who == login && !found {
			found = true
			var err error
			if l, err = change(l); err != nil {
				return "", err
			}
		}
		b.WriteString(l + "\n")
	}
	if !found {
		l, err := change("")
		if err != nil {
			return "", err
		}
		b.WriteString(l + "\n")
	}
	return b.String(), nil
}

// write makes a file with the owner and permissions of the one that it is to
// replace. What a crash left of an earlier one goes first: it may be a link.
func write(dir *sys.FD, name, text string, like fsys.Info) error {
	if err := fsys.At(dir).Remove(name); err != nil && err != unix.ENOENT {
		return err
	}
	f, err := sys.OpenAt(int(dir.Fd()), name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	fd := int(f.Fd())
	if like.UID != uint32(os.Geteuid()) || like.GID != uint32(os.Getegid()) {
		if err := unix.Fchown(fd, int(like.UID), int(like.GID)); err != nil {
			return err
		}
	}
	if err := unix.Fchmod(fd, like.Mode&0o777); err != nil {
		return err
	}
	if _, err := io.WriteString(f, text); err != nil {
		return err
	}
	return unix.Fsync(fd)
}
