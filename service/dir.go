package service

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
)

// Dir is an open service directory: it stays the same one when the directory is
// renamed or a link to it is removed. Its methods return the kernel's errors.
type Dir struct {
	fd    *sys.FD
	name  string // by which it was opened
	base  string // SUPERVISEDIR
	files string // where lock, control, ok and status are: absolute, or below fd
}

// Open opens the service directory name, which is relative to env.Dir.
func Open(env *proc.Env, name string) (*Dir, error) {
	if name == "" {
		return nil, unix.ENOENT
	}
	if env.Dir != "" && !filepath.IsAbs(name) {
		name = env.Dir + "/" + name
	}
	return open(unix.AT_FDCWD, name, name, env.Vars.Value("SUPERVISEDIR"))
}

// Sub opens a service directory below d, such as the logger's.
func (d *Dir) Sub(name string) (*Dir, error) {
	return open(d.at(), name, d.name+"/"+name, d.base)
}

// open checks what chdir(2) would check: looking up "." needs search permission on
// the directory itself, which O_PATH alone does not.
func open(at int, file, name, base string) (*Dir, error) {
	fd, err := sys.OpenAt(at, file+"/.", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	d := &Dir{fd, name, base, base}
	switch {
	case base == "":
		d.files = "supervise"
	case filepath.IsAbs(base):
		path, err := d.path()
		if err != nil {
			fd.Close()
			return nil, err
		}
		d.files = filepath.Clean(base) + "/" + strings.ReplaceAll(path[1:], "/", ":")
	}
	return d, nil
}

// path returns the path of the directory with all links resolved: a program that
// opens it by another name must find the same files.
func (d *Dir) path() (string, error) {
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(d.at()))
	if errors.Is(err, unix.ENOENT) {
		return resolve(d.name)
	}
	return path, err
}

// resolve is path for systems without /proc. It resolves the name as it is now,
// which may lead to another directory than the open one.
func resolve(name string) (string, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// file returns the path of one of supervise's files, for openat(2) relative to
// at().
func (d *Dir) file(name string) string { return d.files + "/" + name }

// shown returns the name of such a file for messages that call the service name.
func (d *Dir) shown(name, file string) string {
	if filepath.IsAbs(d.files) {
		return d.file(file)
	}
	return name + "/" + d.file(file)
}

func (d *Dir) at() int { return int(d.fd.Fd()) }

// FD returns the descriptor (O_PATH).
func (d *Dir) FD() *sys.FD { return d.fd }

// Close closes the directory.
func (d *Dir) Close() error { return d.fd.Close() }

// ID returns device and inode. Names with the same ID are one service.
func (d *Dir) ID() (dev, ino uint64, err error) {
	var st unix.Stat_t
	err = unix.Fstat(d.at(), &st)
	return uint64(st.Dev), st.Ino, err
}

// Removed reports whether the directory has been removed and has no name any more.
func (d *Dir) Removed() bool {
	var st unix.Stat_t
	return unix.Fstat(d.at(), &st) == nil && st.Nlink == 0
}

// ErrNotFIFO is the error for a control file that is something else.
var ErrNotFIFO = errors.New("not a fifo")

// Control sends orders; ENXIO means that no supervise listens. All letters go
// out in one write, so that those of two senders do not mix. Control writes only
// to a fifo, and follows no symbolic link: the directory may belong to another
// user.
func (d *Dir) Control(letters []byte) error { return d.control(letters, (*sys.FD).Write) }

// TryControl is Control without blocking: EAGAIN means that the fifo is full,
// because supervise has not read it yet. Up to PIPE_BUF letters are written all or
// none.
func (d *Dir) TryControl(letters []byte) error { return d.control(letters, (*sys.FD).TryWrite) }

func (d *Dir) control(letters []byte, write func(*sys.FD, []byte) (int, error)) error {
	fd, err := sys.OpenAt(d.at(), d.file("control"), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer fd.Close()
	if err := isFIFO(fd); err != nil {
		return err
	}
	if _, err := write(fd, letters); err != nil {
		return &WriteError{err}
	}
	return nil
}

// WriteError is an error of writing to a control file that could be opened.
type WriteError struct{ Err error }

func (e *WriteError) Error() string { return e.Err.Error() }
func (e *WriteError) Unwrap() error { return e.Err }

func isFIFO(fd *sys.FD) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(fd.Fd()), &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return ErrNotFIFO
	}
	return nil
}

// OK returns nil if supervise runs; ENXIO and ENOENT mean that it does not.
func (d *Dir) OK() error {
	fd, err := sys.OpenAt(d.at(), d.file("ok"), unix.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	return fd.Close()
}

// Locked reports whether a supervise holds the lock, which it takes before it
// accepts orders and keeps until it exits. (To find out, Locked takes a shared lock
// for an instant. Two callers do not disturb each other, but a supervise that
// starts at that moment may have to try twice.)
func (d *Dir) Locked() bool {
	fd, err := sys.OpenAt(d.at(), d.file("lock"), unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer fd.Close()
	return unix.Flock(int(fd.Fd()), unix.LOCK_SH|unix.LOCK_NB) == unix.EWOULDBLOCK
}

// LockID returns device and inode of the lock file.
func (d *Dir) LockID() (dev, ino uint64, err error) {
	var st unix.Stat_t
	err = unix.Fstatat(d.at(), d.file("lock"), &st, 0)
	return uint64(st.Dev), st.Ino, err
}

// Several is what Writer returns if more than one user can have written the file.
const Several = -1

// Writer returns the user who can have written supervise/status: another user who
// owns the file or the directory supervise, if there is one, otherwise this
// process's own.
func (d *Dir) Writer() (uid int, err error) {
	var dir, file unix.Stat_t
	if err = unix.Fstatat(d.at(), d.files, &dir, 0); err == nil {
		err = unix.Fstatat(d.at(), d.file("status"), &file, unix.AT_SYMLINK_NOFOLLOW)
	}
	self := os.Geteuid()
	switch {
	case err != nil:
		return Several, err
	case file.Mode&unix.S_IFMT != unix.S_IFREG, (file.Mode|dir.Mode)&othersWrite != 0:
		return Several, nil
	case int(dir.Uid) == self, dir.Uid == file.Uid:
		return int(file.Uid), nil
	case int(file.Uid) == self: // the directory's owner may have put an old file of ours here
		return int(dir.Uid), nil
	}
	return Several, nil
}

const othersWrite = 0o022

// Down reports whether the file "down" exists.
func (d *Dir) Down() (bool, error) { return d.exists("down") }

// HasLog reports whether there is a "log".
func (d *Dir) HasLog() (bool, error) { return d.exists("log") }

// HasFinish reports whether there is a "finish".
func (d *Dir) HasFinish() (bool, error) { return d.exists("finish") }

func (d *Dir) exists(name string) (bool, error) {
	var st unix.Stat_t
	switch err := unix.Fstatat(d.at(), name, &st, 0); err {
	case nil:
		return true, nil
	case unix.ENOENT:
		return false, nil
	default:
		return false, err
	}
}

// OpenStatus opens supervise/status for ReadStatus.
func (d *Dir) OpenStatus() (*sys.FD, error) {
	return sys.OpenAt(d.at(), d.file("status"), unix.O_RDONLY|unix.O_NONBLOCK, 0)
}

// ReadStatus reads and closes an open status file; ErrFormat means that it is
// too short. It does not wait: where others may write, it may be a fifo.
func ReadStatus(fd *sys.FD) (Status, error) {
	defer fd.Close()
	var b [statusLen]byte
	n, err := fd.TryRead(b[:])
	if err != nil && err != io.EOF && err != unix.EAGAIN {
		return Status{}, err
	}
	return ParseStatus(b[:n])
}

// Status reads supervise/status.
func (d *Dir) Status() (Status, error) {
	fd, err := d.OpenStatus()
	if err != nil {
		return Status{}, err
	}
	return ReadStatus(fd)
}
