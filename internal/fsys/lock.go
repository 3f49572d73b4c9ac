package fsys

import "paperpath/internal/sys"

// Locker is a file that can be locked against other processes, flock(2)'s way;
// the files of OS are. The lock ends when the file is closed.
type Locker interface {
	// Lock takes the exclusive lock. With wait false it returns EWOULDBLOCK
	// if another holds it.
	Lock(wait bool) error
}

func (f osFile) Lock(wait bool) error { return sys.Lock(int(f.Fd()), wait) }
