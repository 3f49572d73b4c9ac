package remote

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/sys"
)

// errNoSocket means that this machine could not even try.
var errNoSocket = errors.New("no socket")

// connect calls addr and waits no longer than timeout; then the error is
// ETIMEDOUT. The descriptor stays non-blocking: a write must never wait in the
// kernel, beyond its deadline, for a reader who has gone to sleep.
func connect(addr netip.Addr, port uint16, timeout time.Duration) (*sys.FD, error) {
	family, to := address(addr, port)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err == unix.EAFNOSUPPORT {
		return nil, err // a machine without IPv6
	}
	if err != nil {
		return nil, errNoSocket
	}
	if err := establish(fd, to, timeout); err != nil {
		unix.Close(fd)
		return nil, err
	}
	// The dot that ends a message must not wait for an acknowledgement of the
	// message.
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	return sys.NewFD(fd), nil
}

func address(addr netip.Addr, port uint16) (family int, to unix.Sockaddr) {
	if addr.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Addr: addr.As4(), Port: int(port)}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Addr: addr.As16(), Port: int(port)}
}

func establish(fd int, to unix.Sockaddr, timeout time.Duration) error {
	err := unix.Connect(fd, to)
	if err != unix.EINPROGRESS && err != unix.EINTR {
		return err // nil: on one machine it may be there at once
	}
	end := time.Now().Add(timeout)
	ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	for {
		left := max(0, time.Until(end))
		n, err := unix.Poll(ready, int((left+time.Millisecond-1)/time.Millisecond))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return errNoSocket
		case n == 0:
			return unix.ETIMEDOUT
		default:
			errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
			if err != nil {
				return err
			}
			if errno != 0 {
				return unix.Errno(errno)
			}
			return nil
		}
	}
}
