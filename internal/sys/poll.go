package sys

import (
	"time"

	"golang.org/x/sys/unix"
)

// Poll waits until one of the descriptors is readable (there is data, an end or
// an error) or the time until has come; the zero time never comes. It tells
// which are readable. The clock is the monotonic one.
func Poll(until time.Time, fds ...*FD) ([]bool, error) {
	p := make([]unix.PollFd, len(fds))
	for i, f := range fds {
		p[i] = unix.PollFd{Fd: int32(f.n), Events: unix.POLLIN}
	}
	if _, err := poll(p, until); err != nil {
		return nil, err
	}
	ready := make([]bool, len(fds))
	for i := range p {
		ready[i] = p[i].Revents != 0
	}
	return ready, nil
}

// poll is poll(2) until a time, however often it is interrupted.
func poll(p []unix.PollFd, until time.Time) (int, error) {
	for {
		n, err := unix.Poll(p, Milliseconds(until))
		if err != unix.EINTR {
			return n, err
		}
	}
}

// Milliseconds returns how long poll(2) and epoll_wait(2) are to wait until a
// time: -1, for ever, for the zero time. It is rounded up: who wakes a
// millisecond early would spin.
func Milliseconds(until time.Time) int {
	if until.IsZero() {
		return -1
	}
	left := time.Until(until)
	ms := left / time.Millisecond
	if left > ms*time.Millisecond {
		ms++
	}
	return int(min(max(ms, 0), 1<<30))
}

// IsTerminal reports whether descriptor fd is a terminal.
func IsTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}
