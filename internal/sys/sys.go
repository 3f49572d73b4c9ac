package sys

import (
	"os"
	"os/signal"
	"strconv"

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
func CloseOnExecFrom(n uint) {
	if unix.CloseRange(n, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	// Linux before 5.11, or a seccomp profile that refuses the call.
	for _, fd := range descriptors() {
		if fd >= int(n) {
			unix.CloseOnExec(fd)
		}
	}
}

// descriptors returns the open descriptors of this process, and perhaps others.
func descriptors() (fds []int) {
	dir, err := Open("/proc/self/fd", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		// Without /proc all that there can be, if that can be done in a moment.
		var limit unix.Rlimit
		unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
		for fd := range min(limit.Cur, 1<<16) {
			fds = append(fds, int(fd))
		}
		return fds
	}
	defer dir.Close()
	var names []string
	for buf := make([]byte, 8192); ; {
		n, err := unix.ReadDirent(int(dir.Fd()), buf)
		if err != nil || n == 0 {
			break
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil {
			fds = append(fds, fd)
		}
	}
	return fds
}

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
