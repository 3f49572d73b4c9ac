package service

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"paperpath/internal/procfs"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Owner is supervise's side of the files: it holds the lock, takes orders and
// writes the status, until it is closed or the process ends.
type Owner struct {
	dir  *Dir
	name string // for messages

	lock    *sys.FD
	control *sys.FD
	ok      *sys.FD
}

// Acquire takes the lock of the service and opens the fifo for orders. name is what
// messages call the directory. To svok the service does not look supervised before
// Ready.
func (d *Dir) Acquire(name string) (*Owner, error) {
	made, err := d.makeDir()
	if err != nil {
		return nil, err
	}
	o := &Owner{dir: d, name: name}
	o.lock, err = d.openFile("lock", unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT, 0o600)
	switch {
	case err == nil:
		err = sys.Lock(int(o.lock.Fd()), false)
	case err == unix.ENOENT && made != nil:
		err = made
	}
	if err != nil {
		o.Close()
		return nil, strerr.Unable("acquire", d.shown(name, "lock"), err)
	}
	unix.Mkfifoat(d.at(), d.file("control"), 0o600) // if this fails, so does opening it
	// It is open for writing too, so that there is no end of file when a sender
	// closes it.
	o.control, err = d.openFIFO("control", unix.O_RDWR)
	if err != nil {
		o.Close()
		return nil, strerr.Unable("read", d.shown(name, "control"), err)
	}
	return o, nil
}

// Close gives the service up. It closes ok first, which makes the service look
// supervised.
func (o *Owner) Close() {
	for _, fd := range []*sys.FD{o.ok, o.control, o.lock} {
		if fd != nil {
			fd.Close()
		}
	}
}

// Ready makes the service look supervised to svok and svstat. It is called after
// the first Announce, so that they do not see an old status.
func (o *Owner) Ready() (err error) {
	unix.Mkfifoat(o.dir.at(), o.dir.file("ok"), 0o600)
	o.ok, err = o.dir.openFIFO("ok", unix.O_RDONLY)
	if err != nil {
		return strerr.Unable("read", o.dir.shown(o.name, "ok"), err)
	}
	return nil
}

// makeDir makes the directory supervise. If that is a dangling link, makeDir makes
// its target: that is how Debian keeps the files outside /etc. made is the reason
// why it could not be made, which matters only if the directory does not exist.
func (d *Dir) makeDir() (made, err error) {
	var base error
	if filepath.IsAbs(d.base) {
		base = unix.Mkdir(d.base, 0o755)
	}
	made = unix.Mkdirat(d.at(), d.files, 0o700)
	switch {
	case made == nil:
		return nil, nil
	case made == unix.ENOENT && base != nil && base != unix.EEXIST:
		return base, nil
	}
	var goal [unix.PathMax]byte
	n, err := unix.Readlinkat(d.at(), d.files, goal[:])
	switch {
	case err == nil:
		made = unix.Mkdirat(d.at(), string(goal[:n]), 0o700)
	case err != unix.ENOENT && err != unix.EINVAL && d.base == "":
		return made, strerr.Unable("readlink", "./supervise", err)
	}
	return made, nil
}

// openFile follows no link: the directory may belong to a user who may control the
// service, but must not choose which files root creates or writes.
func (d *Dir) openFile(name string, flags int, perm uint32) (*sys.FD, error) {
	return sys.OpenAt(d.at(), d.file(name), flags|unix.O_NONBLOCK|unix.O_NOFOLLOW, perm)
}

func (d *Dir) openFIFO(name string, flags int) (*sys.FD, error) {
	fd, err := d.openFile(name, flags, 0)
	if err != nil {
		return nil, err
	}
	if err := isFIFO(fd); err != nil {
		fd.Close()
		return nil, err
	}
	return fd, nil
}

// openNew opens a file to overwrite it. A file that another user may write to, or
// that has more than one name, is replaced by a new one.
func (d *Dir) openNew(name string) (*sys.FD, error) {
	fd, err := d.openFile(name, unix.O_WRONLY|unix.O_CREAT, 0o644)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if unix.Fstat(int(fd.Fd()), &st) == nil && int(st.Uid) == os.Geteuid() && st.Nlink == 1 &&
		st.Mode&(unix.S_IFMT|othersWrite) == unix.S_IFREG {
		return fd, nil
	}
	fd.Close()
	if err := unix.Unlinkat(d.at(), d.file(name), 0); err != nil {
		return nil, err
	}
	return d.openFile(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o644)
}

// Control returns the fifo to read orders from.
func (o *Owner) Control() *sys.FD { return o.control }

// Announce replaces supervise/status. The file is not synced: after a power cut
// nothing in it is true any more.
//
// The old file and the new one exchange their names, and the next call overwrites
// the old one:
//
//	status      A    A     B      B     C
//	status.new       B  ⇄  A      C  ⇄  B
//
// A rename that removes a file makes ext4 start writing the new one to the disk,
// which takes thirty times as long as everything else here; and a full disk has no
// room for a new file. The first call, and all calls on file systems without this
// exchange, use a plain rename. A reader that opens the file and reads it only
// after two further updates may see an unpublished or partly written status.
func (o *Owner) Announce(s Status) error {
	s.Boot = procfs.ThisBoot()
	file := o.dir.shown(o.name, "status.new")
	fd, err := o.dir.openNew("status.new")
	if err != nil {
		return strerr.Unable("open", file, err)
	}
	_, err = fd.Write(s.Append(make([]byte, 0, statusLen)))
	fd.Close()
	if err != nil {
		return strerr.Unable("write", file, err)
	}
	at, from, to := o.dir.at(), o.dir.file("status.new"), o.dir.file("status")
	if unix.Renameat2(at, from, at, to, unix.RENAME_EXCHANGE) == nil {
		return nil
	}
	if err := unix.Renameat(at, from, at, to); err != nil {
		return strerr.Unable("rename", file+" to status", err)
	}
	return nil
}
