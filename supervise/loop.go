package supervise

import (
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/sys"
)

// A Loop waits for descriptors to become readable and calls their handlers. Only
// one goroutine uses it.
//
// It is epoll(7), level-triggered: a handler that leaves something unread is called
// again, after all others have had their turn. So a process that never stops
// writing cannot starve the others.
//
// No handler may block, because all services, signals and orders wait while it
// runs. A descriptor that was readable may not be so any more, because other
// processes may read the same fifo or pipe. So handlers read from non-blocking
// descriptors, with TryRead, and accept EAGAIN.
type Loop struct {
	epoll    *sys.FD
	handlers map[int32]handler
	last     int32 // number given to a handler
	events   [64]unix.EpollEvent
}

// A handler has a number of its own, besides its descriptor's: another handler may
// close the descriptor of an event that is still to be handled, and its number may
// then mean another file.
type handler struct {
	number int32
	ready  func()
}

// newLoop returns a loop without descriptors.
func newLoop() (*Loop, error) {
	n, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &Loop{epoll: sys.NewFD(n), handlers: map[int32]handler{}}, nil
}

// Add makes the loop call ready whenever fd is readable or at end of file.
func (l *Loop) Add(fd *sys.FD, ready func()) error {
	n := int32(fd.Fd())
	l.last++
	err := unix.EpollCtl(int(l.epoll.Fd()), unix.EPOLL_CTL_ADD, int(n),
		&unix.EpollEvent{Events: unix.EPOLLIN, Fd: n, Pad: l.last})
	if err == nil {
		l.handlers[n] = handler{l.last, ready}
	}
	return err
}

// Remove undoes Add. It must be called before fd is closed.
func (l *Loop) Remove(fd *sys.FD) {
	n := int32(fd.Fd())
	unix.EpollCtl(int(l.epoll.Fd()), unix.EPOLL_CTL_DEL, int(n), nil)
	delete(l.handlers, n)
}

// Wait waits until a descriptor is readable and calls the handlers, or until the
// time until; the zero time means for ever.
func (l *Loop) Wait(until time.Time) error {
	n, err := unix.EpollWait(int(l.epoll.Fd()), l.events[:], sys.Milliseconds(until))
	if err == unix.EINTR {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range l.events[:n] {
		if h, ok := l.handlers[e.Fd]; ok && h.number == e.Pad {
			h.ready()
		}
	}
	return nil
}
