// Package sys is the part of Unix that the programs use directly: descriptors
// with timeouts, fifos, locks, accounts, limits.
//
// Descriptors are raw: no runtime poller stands behind them. The poller would
// set inherited descriptors non-blocking behind the back of the processes that
// share them, costs time in programs that live for a millisecond, and ends the
// process when its epoll descriptor cannot be had (EMFILE).
package sys

import (
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// FD is an open descriptor. Reads and writes block in the kernel; with a
// deadline set they wait in poll(2) first. The zero FD is not usable.
type FD struct {
	n             int
	read, written atomic.Int64 // deadlines, Unix nanoseconds; 0 is none
}

// NewFD wraps descriptor n.
func NewFD(n int) *FD { return &FD{n: n} }

// Pipe returns the two ends of a pipe that children do not inherit.
func Pipe() (r, w *FD, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	return NewFD(p[0]), NewFD(p[1]), nil
}

// Open opens name; children do not inherit the descriptor.
func Open(name string, flags int, perm uint32) (*FD, error) {
	return OpenAt(unix.AT_FDCWD, name, flags, perm)
}

// OpenAt is Open for a name relative to the open directory dir.
func OpenAt(dir int, name string, flags int, perm uint32) (*FD, error) {
	for {
		n, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, perm)
		if err == nil {
			return NewFD(n), nil
		}
		if err != unix.EINTR {
			return nil, err
		}
	}
}

// Fd returns the kernel's number.
func (f *FD) Fd() uintptr { return uintptr(f.n) }

// Read reads up to len(b) bytes; 0, io.EOF at the end.
func (f *FD) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		if err := f.wait(&f.read, unix.POLLIN); err != nil {
			return 0, err
		}
		n, err := unix.Read(f.n, b)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN: // somebody made the shared description non-blocking
			if f.read.Load() == 0 {
				if err := f.poll(unix.POLLIN, time.Time{}); err != nil {
					return 0, err
				}
			}
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// TryRead is Read for a descriptor that is not to block: what has nothing just
// now is an error, EAGAIN.
func (f *FD) TryRead(b []byte) (int, error) {
	for {
		n, err := unix.Read(f.n, b)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0 && len(b) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Write writes all of b, or returns how much was written and why no more.
func (f *FD) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		if err := f.wait(&f.written, unix.POLLOUT); err != nil {
			return done, err
		}
		n, err := f.write(b[done:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			if f.written.Load() == 0 {
				if err := f.poll(unix.POLLOUT, time.Time{}); err != nil {
					return done, err
				}
			}
		case err != nil:
			return done, err
		default:
			done += n
		}
	}
	return done, nil
}

// TryWrite is one write(2), for a descriptor that is not to block: EAGAIN if there
// is no room just now.
func (f *FD) TryWrite(b []byte) (int, error) {
	for {
		if n, err := unix.Write(f.n, b); err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// write writes some of b. With a deadline it does not block: poll(2) promises
// room for something, and write(2) would wait for room for all of it.
func (f *FD) write(b []byte) (int, error) {
	if f.written.Load() == 0 {
		return unix.Write(f.n, b)
	}
	n, err := unix.SendmsgN(f.n, b, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if err != unix.ENOTSOCK {
		return n, err
	}
	const room = 4096 // of a pipe that is ready: PIPE_BUF
	return unix.Write(f.n, b[:min(len(b), room)])
}

// Seek repositions the descriptor (shared with everybody who has it).
func (f *FD) Seek(offset int64, whence int) (int64, error) { return unix.Seek(f.n, offset, whence) }

// Close closes the descriptor. A second Close is an error, not a hazard.
func (f *FD) Close() error {
	n := f.n
	if n < 0 {
		return unix.EBADF
	}
	f.n = -1
	return unix.Close(n)
}

// SetReadDeadline bounds reads; the zero time lifts the bound.
func (f *FD) SetReadDeadline(t time.Time) error { f.read.Store(unixNano(t)); return nil }

// SetWriteDeadline bounds writes; the zero time lifts the bound.
func (f *FD) SetWriteDeadline(t time.Time) error { f.written.Store(unixNano(t)); return nil }

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func (f *FD) wait(deadline *atomic.Int64, events int16) error {
	d := deadline.Load()
	if d == 0 {
		return nil
	}
	return f.poll(events, time.Unix(0, d))
}

func (f *FD) poll(events int16, until time.Time) error {
	n, err := poll([]unix.PollFd{{Fd: int32(f.n), Events: events}}, until)
	if err == nil && n == 0 {
		return os.ErrDeadlineExceeded
	}
	return err // nil: ready, or hung up; the call itself will say which
}
