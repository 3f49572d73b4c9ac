package sys

import "golang.org/x/sys/unix"

// WaitReadable waits until a read of one of the descriptors a and b would not
// block (there is data, an end or an error) and says of which.
func WaitReadable(a, b *FD) (aReady, bReady bool, err error) {
	p := [2]unix.PollFd{{Fd: int32(a.n), Events: unix.POLLIN}, {Fd: int32(b.n), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(p[:], -1)
		if err != unix.EINTR {
			return p[0].Revents != 0, p[1].Revents != 0, err
		}
	}
}

// IsTerminal reports whether descriptor fd is a terminal.
func IsTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}
