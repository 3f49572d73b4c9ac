package supervise

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/procfs"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/service"
)

// An orphan is the running service of a supervisor that was killed. Starting the
// service again would make two of them, on one queue or one socket; so the next
// supervisor takes the process over. It is not our child, so it is watched and
// signalled through a pidfd, which, unlike a process number, never comes to mean
// another process.
//
// Where pidfds are refused (seccomp) or unknown (Linux before 5.3), fd is a timer:
// each second, and before each signal, /proc shows whether the number still means
// the process that began at that time.
type orphan struct {
	pid   int
	began time.Duration
	fd    *sys.FD
	timed bool
}

// pidfdOpen is a variable for the tests, as few systems refuse it.
var pidfdOpen = unix.PidfdOpen

// holdOrphan opens the process pid, if verify confirms that it is the right one. It
// returns nil if it is not, or has ended.
func holdOrphan(pid int, verify func() (bool, error)) (*orphan, error) {
	o := &orphan{pid: pid}
	n, err := pidfdOpen(pid, 0)
	switch err {
	case nil:
	case unix.ENOSYS, unix.EPERM, unix.EACCES:
		o.timed = true
		if n, err = everySecond(); err != nil {
			return nil, err
		}
	case unix.ESRCH, unix.EINVAL, unix.ENOENT: // the last two: pid is a thread's number
		return nil, nil
	default:
		return nil, err
	}
	o.fd = sys.NewFD(n)
	// If the process still lives at the end, everything that /proc says in between is
	// about this process.
	s, err := procfs.Read(pid)
	o.began = s.Began
	ok := false
	if err == nil || procfs.Gone(err) { // hidden, perhaps
		ok, err = verify()
	}
	if ok {
		ok, err = o.lives()
	}
	if !ok {
		o.fd.Close()
		if procfs.Gone(err) {
			err = nil
		}
		return nil, err
	}
	return o, nil
}

func everySecond() (int, error) {
	n, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return n, err
	}
	second := unix.Timespec{Sec: 1}
	if err := unix.TimerfdSettime(n, 0, &unix.ItimerSpec{Interval: second, Value: second}, nil); err != nil {
		unix.Close(n)
		return -1, err
	}
	return n, nil
}

// lives reports whether the process still runs.
func (o *orphan) lives() (bool, error) {
	if !o.timed {
		ended, err := sys.Poll(time.Now(), o.fd)
		return err == nil && !ended[0], err
	}
	s, err := procfs.Read(o.pid)
	if procfs.Gone(err) {
		return false, nil
	}
	return err == nil && !s.Zombie && s.Began == o.began, err
}

// signal sends a signal.
func (o *orphan) signal(sig syscall.Signal) {
	if o.timed {
		if ok, _ := o.lives(); ok {
			unix.Kill(o.pid, sig)
		}
		return
	}
	unix.PidfdSendSignal(int(o.fd.Fd()), sig, nil, 0)
}

// ready is called when the descriptor is readable.
func (o *orphan) ready(ended func()) {
	if o.timed {
		var ticks [8]byte
		o.fd.TryRead(ticks[:])
	}
	if ok, err := o.lives(); !ok && err == nil {
		ended()
	}
}

// inherit continues where a predecessor stopped: with the process that it left, or,
// if it was killed without an order to exit, with its state. The effect is that of a
// separate supervise, which lives on when svscan is killed.
//
// An error means that it cannot be found out whether the service runs, or that its
// process may not be taken over: then the service must not be started.
func (k *Keeper) inherit() error {
	if k.left == nil {
		return nil
	}
	last := *k.left
	if last.Want != service.Up && last.Want != service.Down && last.Want != 0 {
		last.Want = service.Up
	}
	p := &predecessor{k.Dir, last, k.host.children, 1}
	if k.Stdin != 0 {
		p.logFD = 0
	}
	adopted, err := k.adopt(p)
	if err != nil {
		return strerr.Unable("take over", k.Name, err)
	}
	trusted, _, _ := p.trusted()
	if !adopted && !k.TakeOver && trusted && p.bootKnown() && last.Boot == procfs.ThisBoot() && !last.Exit {
		k.service.Resume(last)
	}
	return nil
}

// adopt takes over the process that the predecessor left, if there is one.
func (k *Keeper) adopt(p *predecessor) (bool, error) {
	if p.aboutToStart() {
		pid, s, err := p.findStarted()
		if pid == 0 {
			return false, err
		}
		p.last.PID, p.last.Stamp, p.last.Due, p.last.Forked = pid, beganToday(s), time.Time{}, s.Began
		p.last.Phase = service.PhaseUp
		if r := k.Rules(); r.NotifyFD != 0 || r.NotifySocket {
			p.last.Phase = service.PhaseStarting
		}
	}
	which, pid := &k.run, p.last.PID
	if pid != 0 {
		p.last.FinishPID = 0
	} else if which, pid = &k.finish, p.last.FinishPID; pid == 0 {
		return false, nil
	}
	o, err := holdOrphan(pid, func() (bool, error) { return p.left(pid) })
	if o == nil {
		return false, err
	}
	if err := k.host.loop.Add(o.fd, func() { o.ready(func() { k.orphanEnded(pid) }) }); err != nil {
		o.fd.Close()
		return false, err
	}
	*which = process{pid, o}
	k.host.children[pid] = k // it may become our child
	k.forked = p.last.Forked
	if err := k.reopenReady(p.last); err != nil {
		return false, err
	}
	k.service.Adopt(p.last)
	return true, nil
}

// reopenReady lets an adopted service still announce that it is ready.
func (k *Keeper) reopenReady(last service.Status) error {
	if last.PID == 0 || last.Phase != service.PhaseStarting {
		return nil
	}
	r := k.Rules()
	if r.NotifySocket {
		k.rebind(last.PID)
	}
	if r.NotifyFD == 0 {
		return nil
	}
	pipe, _, err := procfs.OpenPipe(last.PID, r.NotifyFD)
	if err == nil {
		defer pipe.Close()
		k.ready, err = procfs.Reopen(pipe, unix.O_RDONLY|unix.O_NONBLOCK)
	}
	if err == nil {
		err = k.host.loop.Add(k.ready, k.newline)
	}
	if child.Exhausted(err) {
		return err
	}
	return nil // on any other error the service has used and closed the pipe already
}
