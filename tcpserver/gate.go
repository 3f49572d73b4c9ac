package tcpserver

import (
	"errors"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// gate waits for connections on sockets, none of which blocks, and for the end of
// waiting. Each accepting goroutine has one of its own: EPOLLEXCLUSIVE then wakes one of
// them for a connection, and not all.
type gate struct {
	epoll   int
	end     int  // an eventfd
	several bool // sockets
	stopped atomic.Bool
	events  [8]unix.EpollEvent
	ready   []unix.EpollEvent // those of events that are not dealt with
}

var errStopped = errors.New("stopped")

func newGate(listeners []int) (*gate, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	end, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(epoll)
		return nil, err
	}
	g := &gate{epoll: epoll, end: end, several: len(listeners) > 1}
	err = g.add(end, 0)
	for _, fd := range listeners {
		if err == nil {
			err = g.add(fd, unix.EPOLLEXCLUSIVE)
		}
	}
	if err != nil {
		unix.Close(end)
		unix.Close(epoll)
		return nil, err
	}
	return g, nil
}

func (g *gate) add(fd int, flags uint32) error {
	return unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | flags, Fd: int32(fd)})
}

// stop makes accept return errStopped, now and ever after.
func (g *gate) stop() {
	g.stopped.Store(true)
	unix.Write(g.end, []byte{7: 1})
}

// accept waits for the next connection.
func (g *gate) accept(nonblock bool) (fd int, remote unix.Sockaddr, err error) {
	flags := unix.SOCK_CLOEXEC
	if nonblock {
		flags |= unix.SOCK_NONBLOCK
	}
	for {
		// While connections keep coming there is nothing to wait for.
		for len(g.ready) > 0 && !g.stopped.Load() {
			fd, remote, err := unix.Accept4(int(g.ready[0].Fd), flags)
			switch err {
			case nil:
				if g.several {
					g.ready = g.ready[1:] // the others get their turn
				}
				return fd, remote, nil
			case unix.EAGAIN:
				g.ready = g.ready[1:]
			case unix.EINTR:
			default:
				return -1, nil, err
			}
		}
		if g.stopped.Load() {
			return -1, nil, errStopped
		}
		n, err := unix.EpollWait(g.epoll, g.events[:], -1)
		if err != nil && err != unix.EINTR {
			return -1, nil, err
		}
		g.ready = g.events[:max(n, 0)]
		for i := range g.ready {
			if int(g.ready[i].Fd) == g.end {
				return -1, nil, errStopped
			}
		}
	}
}
