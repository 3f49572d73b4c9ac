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
	Sibling string // what its Siblings call it
	Dir     *service.Dir
	Stdin   int    // what the service gets as descriptors 0
	Stdout  int    // and 1
	LogPipe uint64 // the inode, if one of the two is the pipe between a service and its logger

	// What runs is taken over, to be stopped, without the files if they cannot be had;
	// nothing is started by itself.
	TakeOver bool
}

// Keeper keeps one service: it holds its files, starts its processes and sees
// them end. It is the world of the service's state machine.
type Keeper struct {
	Place
	host    *Host
	owner   *service.Owner // nil: without the files (TakeOver)
	service *machine

	run, finish process
	ready       *sys.FD // the pipe that a newline comes through (notification-fd)
	socket      *notifySocket
	ignored     []string  // dependencies that are not waited for, as they form a cycle
	pending     []string  // dependencies that are waited for
	pendingFrom time.Time // since when for the last of them

	left    *service.Status // what a predecessor wrote last; nil: there is nothing
	status  service.Status  // as it is
	written service.Status  // as supervise/status has it
	forked  time.Duration   // when run, or finish, was, since the system booted
	ending  bool            // End was called
	closed  bool

	beginning bool    // Begin comes to its end
	first     *launch // what it has to fork then
}

// Status returns the status of the service.
func (k *Keeper) Status() service.Status { return k.service.Status() }

// Closed reports whether the service was told to exit and is down. Its files
// are closed then.
func (k *Keeper) Closed() bool { return k.closed }

// End obeys letters that are to end the service. From now on what comes through
// the fifo cannot keep it from that: neither start it again nor stop it with
// SIGSTOP, so that it hears of nothing.
func (k *Keeper) End(letters string) {
	k.ending = true
	k.obey([]byte(letters))
}

// orders obeys what came through the fifo.
func (k *Keeper) orders() {
	// What one turn may hold: a writer that never stops has no more.
	var b [512]byte
	n, err := k.owner.Control().TryRead(b[:])
	if err != nil {
		return // EAGAIN: somebody else has read it
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

// settle follows everything that happens: what has changed is told, and the
// next turn is put on the clock.
func (k *Keeper) settle() {
	if k.closed {
		return
	}
	told := k.flush()
	if k.service.Gone() {
		k.close()
		return
	}
	due := k.service.Due()
	if k.waiting() {
		due = time.Now().Add(k.host.poll)
	}
	if soon := time.Now().Add(time.Second); !told && (due.IsZero() || due.After(soon)) {
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

// flush writes the status, if it has changed. It may be that the disk is full:
// then it is tried again.
func (k *Keeper) flush() bool {
	if err := k.write(); err != nil {
		k.host.warn(err)
		return errors.Is(err, unix.ENOENT) // the directory is no more
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

// Announce notes the status for the end of the turn. One status must be written
// first of all: the one that says that a process is about to be started.
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
