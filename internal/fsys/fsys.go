// Package fsys is the only way to files that must survive: a dozen calls, with
// inode numbers, and with the synchronising of a directory as a call of its
// own, because Linux makes neither link(2) nor rename(2) durable by itself.
//
// OS is the real thing. crashfs implements the same calls in memory and can
// show what a power cut would have left.
package fsys

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// FS is a tree of files. Names are slash-separated. Errors are the kernel's
// errno (test with errors.Is and the syscall constants), never wrapped.
type FS interface {
	// Open opens name with open(2)'s flags; perm is used with O_CREAT.
	// Children do not inherit the descriptor.
	Open(name string, flags int, perm uint32) (File, error)
	Link(old, new string) error
	Rename(old, new string) error
	Remove(name string) error // unlink(2); directories: EISDIR
	Mkdir(name string, perm uint32) error
	// Stat follows links, Lstat does not.
	Stat(name string) (Info, error)
	Lstat(name string) (Info, error)
	// List returns the names in a directory without "." and "..", in no
	// order. An error in the middle is an error, not the end.
	List(name string) ([]string, error)
	Chmod(name string, perm uint32) error
	// SetTimes sets access and modification time.
	SetTimes(name string, t time.Time) error
	// SyncDir makes the entries of a directory durable.
	SyncDir(name string) error
}

// File is an open file.
type File interface {
	io.Reader
	io.Writer
	io.Seeker
	io.ReaderAt
	io.WriterAt
	io.Closer
	Stat() (Info, error)
	Truncate(size int64) error
	Chmod(perm uint32) error
	// Sync makes the contents durable. After an error the contents are
	// unknown and another Sync may lie: fail what depended on it.
	Sync() error
}

// Info is what stat(2) says.
type Info struct {
	Ino                 uint64
	Dev                 uint64
	Mode                uint32 // type and permission bits, as in st_mode
	Nlink               uint64
	UID, GID            uint32
	Size                int64
	Atime, Mtime, Ctime time.Time
}

// IsRegular, IsDir and IsFIFO look at the type bits.
func (i Info) IsRegular() bool { return i.Mode&unix.S_IFMT == unix.S_IFREG }
func (i Info) IsDir() bool     { return i.Mode&unix.S_IFMT == unix.S_IFDIR }
func (i Info) IsFIFO() bool    { return i.Mode&unix.S_IFMT == unix.S_IFIFO }

// ReadFile reads a whole file of at most limit bytes; a longer one is EFBIG.
func ReadFile(fs FS, name string, limit int64) ([]byte, error) {
	f, err := fs.Open(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, unix.EFBIG
	}
	return b, nil
}
