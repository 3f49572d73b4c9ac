package crashfs

import (
	"io"
	"os"
	"slices"
	"syscall"

	"paperpath/internal/fsys"
)

// file is an open file.
type file struct {
	fs     *FS
	node   *node
	name   string // it was opened by, for the log
	flags  int
	offset int64
	closed bool
}

// begin logs a call on the file and asks for its fault. The lock is held.
func (f *file) begin(op string, size int) error {
	err := f.fs.call(Call{Op: op, Name: f.name, Size: size})
	if err == nil && f.closed {
		return syscall.EBADF
	}
	return err
}

func (f *file) Read(b []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n, err := f.readAt("read", b, f.offset)
	f.offset += int64(n)
	return n, err
}

// ReadAt follows io.ReaderAt: fewer bytes than asked for come with an error.
func (f *file) ReadAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n, err := f.readAt("readat", b, off)
	if err == nil && n < len(b) {
		err = io.EOF
	}
	return n, err
}

func (f *file) readAt(op string, b []byte, off int64) (int, error) {
	if err := plain(f.begin(op, len(b))); err != nil {
		return 0, err
	}
	switch {
	case f.node.isDir():
		return 0, syscall.EISDIR
	case f.flags&os.O_WRONLY != 0:
		return 0, syscall.EBADF
	case off < 0:
		return 0, syscall.EINVAL
	case len(b) == 0:
		return 0, nil
	case off >= int64(len(f.node.data)):
		return 0, io.EOF
	}
	return copy(b, f.node.data[off:]), nil
}

func (f *file) Write(b []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.flags&os.O_APPEND != 0 {
		f.offset = int64(len(f.node.data))
	}
	n, err := f.writeAt("write", b, f.offset)
	f.offset += int64(n)
	return n, err
}

func (f *file) WriteAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.writeAt("writeat", b, off)
}

func (f *file) writeAt(op string, b []byte, off int64) (int, error) {
	if len(b) == 0 {
		return 0, nil // no call, as in fsys.OS
	}
	fault := f.begin(op, len(b))
	s, isShort := fault.(short)
	if fault != nil && !isShort {
		return 0, fault
	}
	if f.flags&(os.O_WRONLY|os.O_RDWR) == 0 {
		return 0, syscall.EBADF
	}
	if off < 0 {
		return 0, syscall.EINVAL
	}
	if isShort {
		b = b[:len(b)/2]
	}
	if len(b) > 0 { // half of one byte is none
		c := change{kind: writeChange, node: f.node, off: off, data: slices.Clone(b)}
		c.applyData(f.node, wholly)
		f.node.mtime = f.fs.now()
		f.node.ctime = f.node.mtime
		f.fs.change(c)
	}
	if isShort {
		return len(b), s.Errno
	}
	return len(b), nil
}

func (f *file) Seek(offset int64, whence int) (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += f.offset
	case io.SeekEnd:
		offset += int64(len(f.node.data))
	}
	if offset < 0 {
		return 0, syscall.EINVAL
	}
	f.offset = offset
	return offset, nil
}

func (f *file) Stat() (fsys.Info, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := plain(f.begin("fstat", 0)); err != nil {
		return fsys.Info{}, err
	}
	return f.node.info(), nil
}

func (f *file) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := plain(f.begin("truncate", 0)); err != nil {
		return err
	}
	if f.flags&(os.O_WRONLY|os.O_RDWR) == 0 || size < 0 {
		return syscall.EINVAL
	}
	f.fs.truncate(f.node, size)
	return nil
}

func (fs *FS) truncate(n *node, size int64) {
	c := change{kind: truncateChange, node: n, off: size}
	c.applyData(n, wholly)
	n.mtime = fs.now()
	n.ctime = n.mtime
	fs.change(c)
}

func (f *file) Chmod(perm uint32) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := plain(f.begin("fchmod", 0)); err != nil {
		return err
	}
	f.fs.chmod(f.node, perm)
	return nil
}

func (f *file) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	fault := plain(f.begin("sync", 0))
	return f.fs.sync(f.node, Call{Op: "sync", Name: f.name}, fault)
}

// Close closes the file even where a fault makes it fail, as close(2) does.
func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := plain(f.begin("close", 0))
	if !f.closed {
		f.closed = true
		f.node.open--
		f.fs.release(f.node)
	}
	return err
}
