package supervise

import (
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/service"
)

// Host is what the Keepers of one process share: the loop, the children, the
// clock. One goroutine has it.
type Host struct {
	env      *proc.Env
	voice    *proc.Env // for messages about services: they come from "supervise", in svscan too
	loop     *Loop
	home     *sys.FD         // this process's current directory, except at the instant of a fork
	children map[int]*Keeper // by process
	timers   map[*Keeper]time.Time
	warned   map[string]time.Time
	raised   bool // a service came up since the waiting ones were last looked at
	limit    int  // of descriptor numbers
	threads  bool // there is /proc, through which several threads can start children in different directories

	siblings Siblings
	poll     time.Duration // how often services that wait for others look
	signaled func(unix.Signal)
}

// Siblings are the services that a service may come after, by name.
type Siblings interface {
	// Status returns the status of a service; ok is false if it is not supervised.
	Status(name string) (s service.Status, ok bool)
	// After returns the names of the services that a service comes after.
	After(name string) []string
}

// NewHost returns a Host without services. signaled is called for each of the
// signals; poll says how often to look at siblings that this Host does not keep.
func NewHost(env *proc.Env, siblings Siblings, poll time.Duration, signaled func(unix.Signal), signals ...unix.Signal) (*Host, error) {
	h := &Host{
		env:      env,
		voice:    &proc.Env{Name: "supervise", Files: env.Files},
		children: map[int]*Keeper{},
		timers:   map[*Keeper]time.Time{},
		warned:   map[string]time.Time{},
		siblings: siblings,
		poll:     poll,
		signaled: signaled,
	}
	// This comes first: a signal before it ends the process.
	fd, err := sys.Signals(append(signals, unix.SIGCHLD)...)
	if err != nil {
		return nil, err
	}
	provideThreads()
	if err := unix.SetNonblock(int(fd.Fd()), true); err != nil {
		return nil, err
	}
	if h.home, err = sys.Open(".", unix.O_PATH|unix.O_DIRECTORY, 0); err != nil {
		return nil, err
	}
	if h.loop, err = newLoop(); err != nil {
		return nil, err
	}
	var limit unix.Rlimit // the runtime raised it to the hard one
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	h.limit = int(min(limit.Cur, 1<<30))
	h.threads = unix.Access("/proc/self/fd", unix.X_OK) == nil
	return h, h.loop.Add(fd, func() { h.signals(fd) })
}

// reserve is how many descriptors are kept free for the services that are kept
// already: to start them, to write their status, to read a directory.
const reserve = 16

// Spare returns EMFILE if these new descriptors leave fewer than reserve. The
// kernel always gives out the lowest number.
func (h *Host) Spare(fds ...*sys.FD) error {
	for _, fd := range fds {
		if int(fd.Fd())+reserve > h.limit {
			return unix.EMFILE
		}
	}
	return nil
}

// Room returns how many descriptors may be opened before Spare says no.
func (h *Host) Room() int {
	n, err := unix.FcntlInt(h.home.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	unix.Close(n)
	return max(0, h.limit-reserve-n)
}

// Loop returns the loop, for descriptors that belong to no service.
func (h *Host) Loop() *Loop { return h.loop }

// Turn waits until something happens, or until the time until, and handles it.
func (h *Host) Turn(until time.Time) {
	for _, due := range h.timers {
		if until.IsZero() || due.Before(until) {
			until = due
		}
	}
	if h.raised { // a service was taken in since the last turn, and is up
		until = time.Now()
	}
	if err := h.loop.Wait(until); err != nil {
		time.Sleep(time.Second) // out of memory: nothing else can be wrong
	}
	now := time.Now()
	for k, due := range h.timers {
		if !now.Before(due) {
			k.tick()
		}
	}
	for h.raised {
		h.raised = false
		for k := range h.timers {
			if k.waiting() {
				k.tick()
			}
		}
	}
}

// signals handles the signals that came.
func (h *Host) signals(fd *sys.FD) {
	var b [64]byte
	n, _ := fd.TryRead(b[:])
	for _, sig := range b[:n] {
		if unix.Signal(sig) == unix.SIGCHLD {
			h.reap()
		} else {
			h.signaled(unix.Signal(sig))
		}
	}
}

// reap collects every child that has ended: as process 1 or subreaper, this process
// may have children that it did not start.
func (h *Host) reap() {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if k := h.children[pid]; k != nil {
			k.ended(pid, ending(ws))
		}
	}
}

func ending(ws unix.WaitStatus) service.Ending {
	if ws.Signaled() {
		return service.Ending{Known: true, Signal: int(ws.Signal())}
	}
	return service.Ending{Known: true, Code: ws.ExitStatus()}
}

// Failed prints why a service could not be taken in, in the words that a separate
// supervise would use.
func (h *Host) Failed(err error) {
	if Rarely(h.warned, err.Error()) {
		h.voice.Say("fatal: " + err.Error())
	}
}

// warn prints a warning about something that will be tried again.
func (h *Host) warn(err error) {
	if Rarely(h.warned, err.Error()) {
		h.voice.Warn(err)
	}
}

// Rarely reports whether text has not been printed within the last minute, and if
// so records in last that it is printed now.
func Rarely(last map[string]time.Time, text string) bool {
	now := time.Now()
	if at, ok := last[text]; ok && now.Sub(at) < time.Minute {
		return false
	}
	if len(last) >= 1000 {
		clear(last)
	}
	last[text] = now
	return true
}
