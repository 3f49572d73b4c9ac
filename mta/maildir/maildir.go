// Package maildir owns the Maildir format (maildir(5)): a directory with three
// others, one file for each message.
//
//	DIR/tmp/NAME          being written; removed by readers after 36 hours
//	DIR/new/NAME          delivered, not yet seen
//	DIR/cur/NAME:2,FLAGS  seen by a reader
//
// NAME is TIME.M<µs>P<pid>Q<count>.HOST, and ,S=<size> behind it where a quota is
// in force (quota.go). A delivery passes these states, and a
// crash may stop it in any of them:
//
//	create tmp/NAME, write, fsync     nothing delivered
//	link to new/NAME, fsync new/      delivered; durable after the fsync
//	unlink tmp/NAME                   tidy
//
// so that a file in new/ is always a whole message. link(2) is not durable on
// Linux by itself: the sync of new/ is what a success is built on.
package maildir

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/strerr"
)

const (
	// timeout is how long a delivery may take. Readers may remove a file from
	// tmp/ after 36 hours; maildir(5) asks for the margin.
	timeout = 24 * time.Hour

	// A name that is taken is tried again, with another, after a pause.
	tries = 3
	pause = 2 * time.Second

	blockSize = 64 << 10
)

var (
	// ErrAbsent means that there is no such directory, or none that this
	// process may enter.
	ErrAbsent = errors.New("unable to switch to maildir")

	// ErrTimeout means that the delivery took longer than 24 hours.
	ErrTimeout = errors.New("timed out")
)

// ReadError is an error of the message's source, not of the Maildir.
type ReadError struct{ Err error }

func (e *ReadError) Error() string { return "unable to read message: " + strerr.Text(e.Err) }
func (e *ReadError) Unwrap() error { return e.Err }

// Deliver stores a message, head followed by what body yields, in the Maildir
// dir. When it returns nil the message is in new/ and durable. After an error
// it is not in new/, or (if syncing new/ failed) it may be: try again, and
// accept a second copy.
//
// A message that a quota has no room for is ErrOverQuota. It is not in new/.
func Deliver(fs fsys.FS, dir string, head []byte, body io.Reader) error {
	if err := check(fs, dir); err != nil {
		return err
	}
	quota := quotaOf(fs, dir)
	file, tmp, err := create(fs, dir)
	if err != nil {
		return err
	}
	size, err := write(file, head, body)
	admitted := false
	if err == nil {
		err = quota.admit(size)
		admitted = err == nil
	}
	if err == nil {
		if err = file.Sync(); err != nil {
			err = strerr.Unable("sync message", "", err)
		}
	}
	if e := file.Close(); err == nil && e != nil {
		err = strerr.Unable("close", tmp, e) // some NFS servers report late
	}
	if err == nil {
		err = publish(fs, dir, tmp, quota.suffix(size))
	}
	fs.Remove(tmp) // if it stays, a reader removes it
	if err != nil && admitted {
		quota.count(usage{-size, -1})
	}
	return err
}

// check finds out whether new/ is there. It has to be a directory itself: link
// would follow a symbolic link to wherever it points, and the sync of new/ is
// a promise about this Maildir.
func check(fs fsys.FS, dir string) error {
	sub := join(dir, "new")
	info, err := fs.Lstat(sub)
	if err != nil {
		// As chdir(2) does: is dir a directory, and may we enter it?
		if _, e := fs.Stat(join(dir, ".")); e != nil && !strerr.Temporary(e) {
			return ErrAbsent
		}
		return strerr.Unable("stat", sub, err)
	}
	if !info.IsDir() {
		return strerr.Unable("use", sub, unix.ENOTDIR)
	}
	return nil
}

// create makes a file in tmp/ that nobody else has.
func create(fs fsys.FS, dir string) (fsys.File, string, error) {
	for try := 1; ; try++ {
		name := join(dir, "tmp/"+newName(time.Now()))
		file, err := fs.Open(name, fsys.WRONLY|fsys.CREATE|fsys.EXCL, 0o600)
		if err == nil {
			return file, name, nil
		}
		if err != unix.EEXIST || try == tries {
			return nil, "", strerr.Unable("create", name, err)
		}
		time.Sleep(pause)
	}
}

// write copies the message in large blocks; most fit into one. Time is
// measured between blocks: a clock that is set does not end a delivery.
func write(file fsys.File, head []byte, body io.Reader) (size int64, err error) {
	start := time.Now()
	block := append(make([]byte, 0, max(blockSize, len(head))), head...)
	for {
		n, err := io.ReadFull(body, block[len(block):cap(block)])
		block = block[:len(block)+n]
		end := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !end {
			return size, &ReadError{err}
		}
		if time.Since(start) > timeout {
			return size, ErrTimeout
		}
		if _, err := file.Write(block); err != nil {
			return size, strerr.Unable("write message", "", err)
		}
		size += int64(len(block))
		if end {
			return size, nil
		}
		block = block[:0]
	}
}

// publish gives the file tmp a name in new/ that nobody else has.
func publish(fs fsys.FS, dir, tmp, suffix string) error {
	sub := join(dir, "new")
	name := sub + tmp[len(sub):] + suffix // "tmp" and "new" are equally long
	for try := 1; ; try++ {
		err := fs.Link(tmp, name)
		if err == unix.EEXIST && sameFile(fs, tmp, name) {
			err = nil // NFS: the server did it, its answer was lost
		}
		if err == nil {
			break
		}
		if err != unix.EEXIST || try == tries {
			return strerr.Unable("link message to", name, err)
		}
		time.Sleep(pause)
		name = sub + "/" + newName(time.Now()) + suffix
	}
	err := fs.SyncDir(sub)
	if err == unix.EACCES {
		err = syncFile(fs, tmp)
	}
	if err != nil {
		return strerr.Unable("sync", sub, err)
	}
	return nil
}

// syncFile syncs a file once more. For a drop box, whose new/ may be written
// but not read, this is the way to make a new link durable: the journals of
// ext4, xfs and btrfs commit the link with the inode.
func syncFile(fs fsys.FS, name string) error {
	file, err := fs.Open(name, fsys.RDONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}

func sameFile(fs fsys.FS, a, b string) bool {
	x, err1 := fs.Lstat(a)
	y, err2 := fs.Lstat(b)
	return err1 == nil && err2 == nil && x.Ino == y.Ino && x.Dev == y.Dev
}

// join appends a name to a directory that may or may not end in a slash.
func join(dir, name string) string {
	if dir != "" && dir[len(dir)-1] == '/' {
		return dir + name
	}
	return dir + "/" + name
}
