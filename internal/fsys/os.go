package fsys

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/sys"
)

// OS is the kernel's file system. Relative names begin at Root, or at the
// process's directory if Root is "".
type OS struct {
	Root string

	dir *sys.FD // what Root is relative to; nil: the process's directory
}

// Held opens the directory name and returns the tree below it, which stays the
// same directory when somebody renames it. It is held until the process ends.
func (o OS) Held(name string) (OS, error) {
	at, path := o.at(name)
	dir, err := sys.OpenAt(at, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	return OS{dir: dir}, err
}

// At returns the tree below an open directory, which stays the caller's to close.
func At(dir *sys.FD) OS { return OS{dir: dir} }

// at returns what the ...at(2) calls want for name.
func (o OS) at(name string) (dir int, path string) {
	dir = unix.AT_FDCWD
	if o.dir != nil {
		dir = int(o.dir.Fd())
	}
	if o.Root != "" && !(len(name) > 0 && name[0] == '/') {
		name = o.Root + "/" + name
	}
	return dir, name
}

// retry repeats a call that a signal interrupted: the Go runtime's own signals
// make that possible at any time.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func (o OS) Open(name string, flags int, perm uint32) (File, error) {
	dir, path := o.at(name)
	fd, err := sys.OpenAt(dir, path, flags, perm)
	if err != nil {
		return nil, err
	}
	return osFile{fd}, nil
}

func (o OS) Link(old, new string) error {
	dir, from := o.at(old)
	_, to := o.at(new)
	return retry(func() error { return unix.Linkat(dir, from, dir, to, 0) })
}

func (o OS) Rename(old, new string) error {
	dir, from := o.at(old)
	_, to := o.at(new)
	return retry(func() error { return unix.Renameat(dir, from, dir, to) })
}

func (o OS) Remove(name string) error {
	dir, path := o.at(name)
	return retry(func() error { return unix.Unlinkat(dir, path, 0) })
}

func (o OS) Mkdir(name string, perm uint32) error {
	dir, path := o.at(name)
	return retry(func() error { return unix.Mkdirat(dir, path, perm) })
}

func (o OS) Chmod(name string, perm uint32) error {
	dir, path := o.at(name)
	return retry(func() error { return unix.Fchmodat(dir, path, perm, 0) })
}

func (o OS) SetTimes(name string, t time.Time) error {
	dir, path := o.at(name)
	ts := unix.NsecToTimespec(t.UnixNano())
	return retry(func() error { return unix.UtimesNanoAt(dir, path, []unix.Timespec{ts, ts}, 0) })
}

func (o OS) Stat(name string) (Info, error) { return o.stat(name, 0) }

func (o OS) Lstat(name string) (Info, error) { return o.stat(name, unix.AT_SYMLINK_NOFOLLOW) }

func (o OS) stat(name string, flags int) (Info, error) {
	var st unix.Stat_t
	dir, path := o.at(name)
	err := retry(func() error { return unix.Fstatat(dir, path, &st, flags) })
	return info(&st), err
}

func (o OS) List(name string) ([]string, error) {
	dir, path := o.at(name)
	fd, err := sys.OpenAt(dir, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer fd.Close()
	var names []string
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.ReadDirent(int(fd.Fd()), buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

func (o OS) SyncDir(name string) error {
	dir, path := o.at(name)
	fd, err := sys.OpenAt(dir, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer fd.Close()
	return osFile{fd}.Sync()
}

type osFile struct{ *sys.FD }

func (f osFile) Stat() (Info, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstat(int(f.Fd()), &st) })
	return info(&st), err
}

func (f osFile) Truncate(size int64) error {
	return retry(func() error { return unix.Ftruncate(int(f.Fd()), size) })
}

func (f osFile) Chmod(perm uint32) error {
	return retry(func() error { return unix.Fchmod(int(f.Fd()), perm) })
}

// Sync does not retry: after an error the kernel may have forgotten which
// pages were dirty.
func (f osFile) Sync() error { return unix.Fsync(int(f.Fd())) }

// StartSync has the kernel begin to write the contents to the disk. It promises
// nothing; a Sync that comes later has less to wait for.
func (f osFile) StartSync() { unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE) }

func (f osFile) ReadAt(b []byte, off int64) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Pread(int(f.Fd()), b[done:], off+int64(done))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return done, err
		case n == 0:
			return done, io.EOF
		default:
			done += n
		}
	}
	return done, nil
}

func (f osFile) WriteAt(b []byte, off int64) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Pwrite(int(f.Fd()), b[done:], off+int64(done))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return done, err
		default:
			done += n
		}
	}
	return done, nil
}

func info(st *unix.Stat_t) Info {
	return Info{
		Ino: st.Ino, Dev: st.Dev, Mode: st.Mode, Nlink: uint64(st.Nlink),
		UID: st.Uid, GID: st.Gid, Size: st.Size,
		Atime: time.Unix(st.Atim.Unix()), Mtime: time.Unix(st.Mtim.Unix()), Ctime: time.Unix(st.Ctim.Unix()),
	}
}

var _ FS = OS{}

// Flags of Open, for callers that need no other package.
const (
	RDONLY   = os.O_RDONLY
	WRONLY   = os.O_WRONLY
	RDWR     = os.O_RDWR
	CREATE   = os.O_CREATE
	EXCL     = os.O_EXCL
	APPEND   = os.O_APPEND
	TRUNC    = os.O_TRUNC
	NOFOLLOW = unix.O_NOFOLLOW
)
