package tcpserver

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// gate waits for connections on sockets, none of which blocks, and for the end of
// waiting. Each accepting goroutine has one of its own.
type gate struct {
	epoll     int
	end       int // an eventfd
	listeners []int
	wake      uint32 // EPOLLEXCLUSIVE: of all gates one is woken for a connection; 0: all
	stopped   atomic.Bool
	events    [8]unix.EpollEvent
	ready     []unix.EpollEvent // those of events that are not dealt with

	// Where functions serve the clients, the runtime's poller waits for epoll
	// too: the thread that waits for the clients accepts the next one, and none
	// has to be woken for that. Elsewhere a thread waits, and creates a process.
	shared syscall.RawConn
}

var errStopped = errors.New("stopped")

func newGate(listeners []int, wake uint32, inside bool) (*gate, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	end, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(epoll)
		return nil, err
	}
	g := &gate{epoll: epoll, end: end, listeners: listeners, wake: wake}
	err = g.add(end, 0)
	for _, fd := range listeners {
		if err == nil {
			err = g.add(fd, wake)
		}
	}
	if err == nil && inside {
		err = g.share()
	}
	if err != nil {
		unix.Close(end)
		unix.Close(epoll)
		return nil, err
	}
	return g, nil
}

func (g *gate) share() (err error) {
	if err := unix.SetNonblock(g.epoll, true); err != nil { // or os.NewFile would not poll it
		return err
	}
	g.shared, err = os.NewFile(uintptr(g.epoll), "gate").SyscallConn()
	return err
}

func (g *gate) add(fd int, flags uint32) error {
	return unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | flags, Fd: int32(fd)})
}

// stop makes accept return errStopped, at once or after one last connection (last).
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
				if len(g.listeners) > 1 {
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
			return g.last(flags)
		}
		if err := g.wait(); err != nil {
			return -1, nil, err
		}
	}
}

// last takes a connection that is there already, if any. With EPOLLEXCLUSIVE the
// kernel may have woken this gate for it and no other: not those of the server that
// replaces this one, which has the same sockets. That server would notice the client
// when the next one comes.
func (g *gate) last(flags int) (fd int, remote unix.Sockaddr, err error) {
	if g.wake != unix.EPOLLEXCLUSIVE {
		return -1, nil, errStopped
	}
	for _, listener := range g.listeners {
		if fd, remote, err := unix.Accept4(listener, flags); err == nil {
			return fd, remote, nil
		}
	}
	return -1, nil, errStopped
}

// wait waits until some of the descriptors are ready.
func (g *gate) wait() error {
	if g.shared == nil {
		return g.poll(-1)
	}
	var polled error
	err := g.shared.Read(func(uintptr) (done bool) {
		polled = g.poll(0)
		return polled != nil || len(g.ready) > 0
	})
	if polled != nil {
		return polled
	}
	return err
}

// poll asks epoll what is ready, and waits so many milliseconds at most.
func (g *gate) poll(timeout int) error {
	n, err := unix.EpollWait(g.epoll, g.events[:], timeout)
	g.ready = g.events[:max(n, 0)]
	if err == unix.EINTR {
		err = nil
	}
	return err
}
