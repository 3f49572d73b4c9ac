package supervise

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/service"
)

// world is the World of a process that holds one service and stands in its
// directory.
type world struct {
	env    *proc.Env
	name   string
	owner  *service.Owner
	pid    int
	orphan *orphan // instead of a child: the process that a dead predecessor left
}

func (w *world) Now() time.Time { return time.Now() }

func (w *world) Announce(s service.Status) {
	if err := w.owner.Announce(s); err != nil {
		w.env.Warn(err)
	}
}

// Start runs ./run with the environment, the directory and the descriptors 0
// to 2 of this process. What limits softlimit handed on is left in the
// environment: a run script is no work for them, what it starts is.
func (w *world) Start() (int, error) {
	pid, err := syscall.ForkExec("./run", []string{"./run"}, &syscall.ProcAttr{
		Env:   w.env.Vars,
		Files: []uintptr{0, 1, 2},
	})
	switch {
	case err == nil:
		w.pid = pid
		return pid, nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOMEM),
		errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		w.env.Say("warning: unable to fork for " + strerr.Clean(w.name) +
			", sleeping 60 seconds: " + strerr.Text(err))
		return 0, ErrFork
	}
	// What the child says in the C program, in the same words.
	w.env.Say("fatal: " + strerr.Unable("start", w.name+"/run", err).Error())
	return 0, err
}

func (w *world) Signal(sig syscall.Signal) {
	if w.orphan != nil {
		w.orphan.signal(sig)
		return
	}
	unix.Kill(w.pid, sig) // not reaped yet, so the number is still its own
}

// ended reaps every child there is, for the process may have been given some
// that it did not start, and reports whether the service's was among them.
func (w *world) ended(pid int) (ended bool) {
	if pid != 0 && w.orphan != nil && w.orphan.ended() {
		w.orphan.close()
		w.orphan = nil
		ended = true
	}
	for {
		child, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		switch {
		case err == unix.EINTR:
		case err != nil || child == 0:
			return ended
		case child == pid:
			ended = true
		}
	}
}
