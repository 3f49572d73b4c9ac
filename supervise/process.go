package supervise

import (
	"errors"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/internal/procfs"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/service"
)

// process is a running ./run or ./finish: a child, or an orphan.
type process struct {
	pid    int     // 0: none
	orphan *orphan // nil: it is a child
}

func (p *process) signal(sig syscall.Signal) {
	if p.orphan != nil {
		p.orphan.signal(sig)
		return
	}
	unix.Kill(p.pid, sig) // not reaped yet, so the number is still its own
}

func (p *process) forget(h *Host) {
	if p.pid == 0 {
		return
	}
	delete(h.children, p.pid)
	if p.orphan != nil {
		h.loop.Remove(p.orphan.fd)
		p.orphan.fd.Close()
	}
	*p = process{}
}

// Start runs ./run with the environment of this process and, in its directory,
// the descriptors 0 to 2. The limits that softlimit handed on stay in the
// environment: they are not applied to the run script but to what it starts.
func (k *Keeper) Start(r service.Rules) (int, error) {
	files := []uintptr{uintptr(k.Stdin), uintptr(k.Stdout), 2}
	vars := k.host.env.Vars
	l := &launch{}
	var err error
	if r.NotifySocket {
		if vars, err = k.listen(vars); err != nil {
			return 0, k.forkFailed(err)
		}
	}
	if r.NotifyFD != 0 {
		if k.ready, l.end, err = sys.Pipe(); err != nil {
			return 0, k.forkFailed(err)
		}
		for len(files) <= r.NotifyFD {
			files = append(files, ^uintptr(0))
		}
		files[r.NotifyFD] = l.end.Fd()
		// Only this end: what the service writes to blocks as any pipe does.
		err = unix.SetNonblock(int(k.ready.Fd()), true)
		if err == nil {
			// Without the loop it would be starting for ever.
			err = k.host.loop.Add(k.ready, k.newline)
		}
		if err != nil {
			l.end.Close()
			k.closeReady()
			return 0, k.forkFailed(err)
		}
	}
	l.files, l.vars = files, vars
	if k.beginning {
		k.first = l
		return 0, errLater
	}
	l.fork(k)
	return k.started(l)
}

// launch is a start of ./run.
type launch struct {
	files []uintptr
	vars  proc.Vars
	end   *sys.FD // the child's end of the pipe that it is to be ready by

	pid int
	err error
}

// fork does what a thread of its own may do.
func (l *launch) fork(k *Keeper) {
	l.pid, l.err = k.exec([]string{"./run"}, l.files, l.vars)
}

// started follows fork.
func (k *Keeper) started(l *launch) (int, error) {
	if l.end != nil {
		l.end.Close()
	}
	err := l.err
	switch {
	case err == nil:
		k.run.pid = l.pid
		k.host.children[l.pid] = k
		k.ignored, k.pending = nil, nil
		return l.pid, nil
	case child.Exhausted(err):
		err = k.forkFailed(err)
	default:
		// What the child says in the C program, in the same words.
		k.host.voice.Say("fatal: " + strerr.Unable("start", k.Name+"/run", err).Error())
	}
	k.closeReady()
	return 0, err
}

// forkFailed says that there is no process to be had, and returns errFork.
func (k *Keeper) forkFailed(err error) error {
	k.host.voice.Say("warning: unable to fork for " + strerr.Clean(k.Name) +
		", sleeping 60 seconds: " + strerr.Text(err))
	return errFork
}

// Finish runs ./finish as s6 does: with the exit code, 256 if there was none, the
// signal, the name of the service and the number of the process.
func (k *Keeper) Finish(pid int, how service.Ending) (int, error) {
	if exists, err := k.Dir.HasFinish(); err != nil || !exists {
		return 0, err
	}
	code, sig := how.Code, how.Signal
	if sig != 0 || !how.Known {
		code = 256
	}
	finish, err := k.exec(
		[]string{"./finish", strconv.Itoa(code), strconv.Itoa(sig), k.Name, strconv.Itoa(pid)},
		[]uintptr{uintptr(k.Stdin), uintptr(k.Stdout), 2}, k.host.env.Vars)
	if err != nil {
		k.host.warn(strerr.Unable("start", k.Name+"/finish", err))
		return 0, err
	}
	k.finish.pid = finish
	k.host.children[finish] = k
	return finish, nil
}

// Late warns of a ./finish that is killed: what it was to do may not be done.
func (k *Keeper) Late() {
	k.host.warn(errors.New(strerr.Clean(k.Name) + "/finish takes too long: killing it"))
}

// exec starts a program in the service directory, whose name below /proc the
// child goes to. The directory of this process is that of all its threads: only
// where there is no /proc it goes there for a moment.
func (k *Keeper) exec(argv []string, files []uintptr, vars proc.Vars) (int, error) {
	attr := &syscall.ProcAttr{Env: vars, Files: files}
	if k.host.threads {
		attr.Dir = "/proc/self/fd/" + strconv.Itoa(int(k.Dir.FD().Fd()))
	} else {
		if err := unix.Fchdir(int(k.Dir.FD().Fd())); err != nil {
			return 0, err
		}
		defer unix.Fchdir(int(k.host.home.Fd()))
	}
	k.forked = procfs.SinceBoot()
	pid, err := syscall.ForkExec(argv[0], argv, attr)
	if err != nil {
		return 0, err
	}
	// It may have had to wait for other forks, or the system was suspended.
	if s, err := procfs.Read(pid); err == nil {
		k.forked = s.Began
	}
	return pid, nil
}

// Signal sends a signal to what runs.
func (k *Keeper) Signal(sig syscall.Signal) {
	switch {
	case k.run.pid != 0:
		k.run.signal(sig)
	case k.finish.pid != 0:
		k.finish.signal(sig)
	}
}

// ended tells that a process of the service has ended.
func (k *Keeper) ended(pid int, how service.Ending) {
	switch pid {
	case k.run.pid:
		k.run.forget(k.host)
		k.closeReady()
		k.service.Ended(how)
	case k.finish.pid:
		k.finish.forget(k.host)
		k.service.FinishEnded(how)
	}
	k.settle()
}

// orphanEnded is ended for a process that is no child. It may have become one
// meanwhile (subreaper): then it is known how it ended.
func (k *Keeper) orphanEnded(pid int) {
	k.host.reap()
	if pid == k.run.pid || pid == k.finish.pid {
		k.ended(pid, service.Ending{})
	}
}

// in names the service in an error that does not.
func in(name string, err error) error {
	return errors.New(strerr.Clean(name) + ": " + strerr.Text(err))
}
