// Package child starts other programs and waits for them.
//
// A child gets exactly the descriptors it is given: everything else in this
// house is opened close-on-exec, and what was inherited is marked so by the
// daemons at their start (sys.CloseOnExecFrom). What softlimit asked for and this
// program could not live under is set for a child that can (package limit).
package child

import (
	"os"
	"syscall"

	"paperpath/internal/limit"
	"paperpath/internal/proc"
)

// Command says what to start and how.
type Command struct {
	Argv  []string
	Path  string    // the file to execute; "" searches Argv[0] along $PATH of Vars
	Vars  proc.Vars // nil: an empty environment
	Dir   string
	Files []int // Files[i] becomes descriptor i; -1 leaves it closed
	Sys   syscall.SysProcAttr

	// Chain says that Argv is a command line that an administrator typed, whose
	// words may name further programs: softlimit's limits spare them too. Where
	// strangers have a say in the words it must be false.
	Chain bool

	// Script says that a file which the kernel cannot execute is a script for
	// /bin/sh, as execvp(3) has it and execve(2), which djb's later programs
	// use, has not.
	Script bool
}

// Process is a started child.
type Process struct{ PID int }

// Start starts c. The error is execve's own (fork errors are the kernel's too):
// a missing program is told apart from one that ran and failed.
func Start(c *Command) (*Process, error) {
	files := make([]uintptr, len(c.Files))
	for i, fd := range c.Files {
		files[i] = uintptr(fd)
		if fd < 0 {
			files[i] = ^uintptr(0)
		}
	}
	attr := &syscall.ProcAttr{Dir: c.Dir, Env: c.Vars, Files: files, Sys: &c.Sys}
	if attr.Env == nil {
		attr.Env = []string{}
	}
	var pid int
	start := func(file string) (err error) {
		path, argv := limit.ForChild(c.Vars, c.Dir, file, c.Argv, c.Chain)
		pid, err = syscall.ForkExec(path, argv, attr)
		if err == syscall.ENOEXEC && c.Script {
			shell := append([]string{"/bin/sh", file}, c.Argv[1:]...)
			path, argv = limit.ForChild(c.Vars, c.Dir, shell[0], shell, c.Chain)
			pid, err = syscall.ForkExec(path, argv, attr)
		}
		return err
	}
	var err error
	if c.Path != "" {
		err = start(c.Path)
	} else {
		err = proc.SearchPath(c.Vars, c.Argv[0], start)
	}
	if err != nil {
		return nil, err
	}
	return &Process{PID: pid}, nil
}

// Wait waits for the child to end.
func (p *Process) Wait() (Status, error) {
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(p.PID, &ws, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		return Status(ws), err
	}
}

// Ended is Wait without waiting: ended is false while the child lives.
func (p *Process) Ended() (s Status, ended bool, err error) {
	var ws syscall.WaitStatus
	for {
		pid, err := syscall.Wait4(p.PID, &ws, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		return Status(ws), pid == p.PID, err
	}
}

// Signal sends a signal. The caller knows that the child is not yet reaped.
func (p *Process) Signal(sig syscall.Signal) error { return syscall.Kill(p.PID, sig) }

// Status is how a child ended: wait(2)'s number.
type Status syscall.WaitStatus

// Crashed reports whether a signal ended the child.
func (s Status) Crashed() bool { return syscall.WaitStatus(s).Signaled() }

// Code returns the exit status of a child that did not crash.
func (s Status) Code() int { return syscall.WaitStatus(s).ExitStatus() }

// Self is the program that is running, for those that start themselves anew.
func Self() (string, error) { return os.Executable() }
