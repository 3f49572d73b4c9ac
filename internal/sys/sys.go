package sys

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// SetUID reports whether this process runs with other rights than its caller
// has: nothing that the caller can set may then steer it.
func SetUID() bool { return os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid() }

// IgnoreSIGPIPE makes a write to a pipe without reader an error on every
// descriptor. (The Go runtime ends the process for descriptors 1 and 2.)
// Programs that this one executes get the default back: a caught signal does
// not survive execve.
func IgnoreSIGPIPE() { signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE) }

// CloseOnExecFrom marks every descriptor from n on, so that no child inherits
// what it is not given by name.
func CloseOnExecFrom(n uint) { unix.CloseRange(n, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) }

// Inherits reports whether children inherit descriptor fd unasked. If so at the
// start of a program, it is the caller's: whatever this process has opened
// itself is marked, the runtime's own files, open before main, included.
func Inherits(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// Lock takes an exclusive flock(2) lock. With wait false it returns
// EWOULDBLOCK if another holds it.
func Lock(fd int, wait bool) error {
	how := unix.LOCK_EX
	if !wait {
		how |= unix.LOCK_NB
	}
	for {
		if err := unix.Flock(fd, how); err != unix.EINTR {
			return err
		}
	}
}
