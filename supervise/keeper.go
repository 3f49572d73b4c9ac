package supervise

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/procfs"
	"paperpath/internal/sys"
	"paperpath/service"
)

// Place is a service that is to be kept.
type Place struct {
	Name    string // for messages, and for ./finish
	Sibling string // its name among the Siblings
	Dir     *service.Dir
	Stdin   int    // descriptor 0 of the service
	Stdout  int    // descriptor 1 of the service
	LogPipe uint64 // the inode, if one of the two is the pipe between a service and its logger

	// TakeOver: a running process is taken over in order to be stopped, without
	// the files if they cannot be opened; nothing is started without an order.
	TakeOver bool
}

// Keeper keeps one service: it holds its files, starts its processes and notices
// when they end. It is the world of the service's state machine.
type Keeper struct {
	Place
	host    *Host
	owner   *service.Owner // nil: without the files (TakeOver)
	service *machine

	run, finish process
	ready       *sys.FD // the pipe for the newline of notification-fd
	socket      *notifySocket
	ignored     []string  // dependencies ignored because they form a cycle
	pending     []string  // dependencies still waited for
	pendingFrom time.Time // when the last of these was added

	left    *service.Status // the last status of a predecessor; nil: there is none
	status  service.Status  // the present one
	written service.Status  // the one in supervise/status
	forked  time.Duration   // when run, or finish, was forked, since the system booted
	ending  bool            // End was called
	closed  bool

	beginning bool    // begin runs, so a start is deferred to fork
	first     *launch // the deferred start
}

// Status returns the status of the service.
func (k *Keeper) Status() service.Status { return k.service.Status() }

// Closed reports whether the service was told to exit and is down. Its files have
// been closed then.
func (k *Keeper) Closed() bool { return k.closed }

// End obeys letters that are to end the service. From now on orders from the fifo
// can no longer prevent that, neither by starting the service again nor by stopping
// it with SIGSTOP.
func (k *Keeper) End(letters string) {
	k.ending = true
	k.obey([]byte(letters))
}

// orders obeys the orders from the fifo.
func (k *Keeper) orders() {
	// One read per turn, so that a writer that never stops gets no more than that.
	var b [512]byte
	n, err := k.owner.Control().TryRead(b[:])
	if err != nil {
		return // EAGAIN: another process has read it
	}
	letters := b[:n]
	if k.ending {
		letters = slices.DeleteFunc(letters, func(letter byte) bool {
			return letter == service.Up || letter == service.Once || letter == service.Pause
		})
	}
	k.obey(letters)
}

func (k *Keeper) obey(letters []byte) {
	for _, letter := range letters {
		if k.closed || k.service.Gone() {
			break
		}
		k.service.Order(letter)
	}
	k.settle()
}

func (k *Keeper) tick() {
	k.service.Tick()
	k.settle()
}

func (k *Keeper) waiting() bool { return k.status.Phase == service.PhaseWaiting }

// settle is called after every event: it writes the status, if that has changed,
// and sets the timer.
func (k *Keeper) settle() {
	if k.closed {
		return
	}
	written := k.flush()
	if k.service.Gone() {
		k.close()
		return
	}
	due := k.service.Due()
	if k.waiting() {
		due = time.Now().Add(k.host.poll)
	}
	if soon := time.Now().Add(time.Second); !written && (due.IsZero() || due.After(soon)) {
		due = soon
	}
	if due.IsZero() {
		delete(k.host.timers, k)
	} else {
		k.host.timers[k] = due
	}
}

// close gives the service up.
func (k *Keeper) close() {
	k.closed = true
	delete(k.host.timers, k)
	k.run.forget(k.host)
	k.finish.forget(k.host)
	k.closeReady()
	k.socket.close(k.host)
	if k.owner != nil {
		k.host.loop.Remove(k.owner.Control())
		k.owner.Close()
	}
}

// flush writes the status, if it has changed. It returns false if that has to be
// tried again: the disk may be full.
func (k *Keeper) flush() bool {
	if err := k.write(); err != nil {
		k.host.warn(err)
		return errors.Is(err, unix.ENOENT) // the directory has been removed
	}
	return true
}

func (k *Keeper) write() error {
	if k.status == k.written || k.owner == nil {
		return nil
	}
	err := k.owner.Announce(k.status)
	if err == nil {
		k.written = k.status
	}
	return err
}

// Announce records the status, which settle writes. One status must reach the file
// before anything else is done: the one that says that a process is about to be
// started.
func (k *Keeper) Announce(s service.Status) {
	about := s.Phase == service.PhaseStarting && s.PID == 0
	s.Forked = 0
	switch {
	case about:
		s.Forked = procfs.SinceBoot()
	case s.PID != 0 || s.FinishPID != 0:
		s.Forked = k.forked
	}
	s.LogPipe = k.LogPipe
	if s.Up() && !k.status.Up() {
		k.host.raised = true
	}
	k.status = s
	if about && !k.beginning {
		k.flush()
	}
}

// Now returns the time.
func (k *Keeper) Now() time.Time { return time.Now() }

// Rules reads the files of the service directory.
func (k *Keeper) Rules() service.Rules {
	return k.Dir.Rules(func(err error) { k.host.warn(in(k.Name, err)) })
}
