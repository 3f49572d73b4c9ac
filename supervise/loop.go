package supervise

import (
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/sys"
)

// A Loop waits for descriptors to become readable and calls what belongs to
// them. One goroutine has it.
//
// It is epoll(7), level-triggered: what a handler leaves unread it is called for
// again, after everybody else had his turn. So nobody who writes without end
// keeps the others from being heard.
//
// No handler may block, because all services, signals and orders wait while it
// runs. That a descriptor was readable is no promise that it still is: other
// processes may read the same fifo or pipe. So handlers read descriptors that
// are non-blocking, with TryRead, and take EAGAIN for an answer.
type Loop struct {
	epoll    *sys.FD
	handlers map[int32]handler
	last     int32 // number given to a handler
	events   [64]unix.EpollEvent
}

// handler has a number beside its descriptor: a handler may close the one of an
// event that is still to come, and the descriptor may then be another file's.
type handler struct {
	number int32
	ready  func()
}

// newLoop returns a loop that waits for nothing yet.
func newLoop() (*Loop, error) {
	n, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &Loop{epoll: sys.NewFD(n), handlers: map[int32]handler{}}, nil
}

// Add has ready called whenever fd is readable or at its end.
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

// Remove takes back Add. It comes before fd is closed.
func (l *Loop) Remove(fd *sys.FD) {
	n := int32(fd.Fd())
	unix.EpollCtl(int(l.epoll.Fd()), unix.EPOLL_CTL_DEL, int(n), nil)
	delete(l.handlers, n)
}

// Wait waits until something is readable, and calls the handlers, or until the
// time until has come; the zero time never comes.
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
