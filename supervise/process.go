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
	unix.Kill(p.pid, sig) // it has not been reaped, so the number is still its own
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

// Start runs ./run in the service directory, with the environment of this process
// and descriptors 0 to 2. Limits that softlimit passed on stay in the environment:
// they are not applied to the run script but to the programs that it starts.
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
		// Only this end: the service's end blocks, as programs expect of a pipe.
		err = unix.SetNonblock(int(k.ready.Fd()), true)
		if err == nil {
			// Without it the service would remain in the phase starting.
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
	end   *sys.FD // the child's end of the pipe of notification-fd

	pid int
	err error
}

// fork is the part of a start that may run in another thread.
func (l *launch) fork(k *Keeper) {
	l.pid, l.err = k.exec([]string{"./run"}, l.files, l.vars)
}

// started is the part of a start that follows fork, in the loop.
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
		// The message of the C program's child, in the same words.
		k.host.voice.Say("fatal: " + strerr.Unable("start", k.Name+"/run", err).Error())
	}
	k.closeReady()
	return 0, err
}

// forkFailed warns that the system could not make a process, and returns errFork.
func (k *Keeper) forkFailed(err error) error {
	k.host.voice.Say("warning: unable to fork for " + strerr.Clean(k.Name) +
		", sleeping 60 seconds: " + strerr.Text(err))
	return errFork
}

// Finish runs ./finish with the arguments that s6 passes: the exit code, or 256 if
// there was none, the signal, the name of the service and the number of the process.
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

// Late warns that ./finish is killed: its work may not be complete.
func (k *Keeper) Late() {
	k.host.warn(errors.New(strerr.Clean(k.Name) + "/finish takes too long: killing it"))
}

// exec starts a program in the service directory, to which the child changes by its
// name below /proc. All threads of this process share one current directory, so this
// process changes to the service directory, for a moment, only if there is no /proc.
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
	pid, err := syscall.ForkExec(argv[0], argv, attr)
	if err != nil {
		return 0, err
	}
	// The instant of the fork, as the kernel has it. If it is not to be had (0), a
	// successor goes by the label.
	s, _ := procfs.Read(pid)
	k.forked = s.Began
	return pid, nil
}

// Signal sends a signal to ./run, or to ./finish if that runs.
func (k *Keeper) Signal(sig syscall.Signal) {
	switch {
	case k.run.pid != 0:
		k.run.signal(sig)
	case k.finish.pid != 0:
		k.finish.signal(sig)
	}
}

// ended is called when a process of the service has ended.
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

// orphanEnded is ended for an orphan. It may have become our child in the meantime
// (subreaper): then reap knows how it ended.
func (k *Keeper) orphanEnded(pid int) {
	k.host.reap()
	if pid == k.run.pid || pid == k.finish.pid {
		k.ended(pid, service.Ending{})
	}
}

// in adds the name of the service to an error.
func in(name string, err error) error {
	return errors.New(strerr.Clean(name) + ": " + strerr.Text(err))
}
