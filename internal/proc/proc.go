// Package proc says what a program is: a function of its arguments, its
// environment, its numbered descriptors and its directory, which may end by
// becoming another program.
//
// The same value lives three lives. [paperpath/internal/proc/host] joins it to
// a real process, where Next is execve; a server may run it on a connection,
// where Next is a look-up in a table of programs or a child process; a test
// joins it to buffers with [paperpath/internal/proc/proctest]. This package
// itself touches neither the process nor the file system.
//
// # What a program says
//
//	NAME: fatal: unable to VERB OBJECT: cause     status 111, or 100 where trying again cannot help
//	NAME: warning: …                              and goes on
//	NAME: usage: NAME [ -x ] dir child            status 100
//
// A program returns an error and never prints its own name: [Run] does, once.
package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"syscall"
	"time"
)

// Exit statuses of the programs that this house descends from.
const (
	StatusPermanent = 100 // usage, and whatever will fail again
	StatusTemporary = 111 // the system's fault; worth another try
)

// Program is one command.
type Program struct {
	Name  string // as it is typed: "qmail-send"
	Usage string // what follows the name in the usage line: "dir ..."

	// UsageStatus is the exit status after a usage line; 0 means 100. (envdir
	// says 111: the original's irregularities are kept.)
	UsageStatus int

	// Run does the work. nil ends the program with status 0; the errors of
	// this package choose a status and a manner; any other error is fatal and
	// temporary. A program that became another one through Env.Next returns
	// what Next returned.
	Run func(ctx context.Context, env *Env) error
}

// File is one numbered descriptor. Deadlines are wanted of all files because
// every network protocol here has a timeout; a file that cannot keep one
// (a buffer in a test) may ignore it. Reads and writes that ran out of time
// return an error for which errors.Is(err, os.ErrDeadlineExceeded) holds.
type File interface {
	io.Reader
	io.Writer
	io.Closer
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Descriptor returns the kernel's number for f, for the programs that must
// hand it to a child. Files of tests have none.
func Descriptor(f File) (int, bool) {
	if d, ok := f.(interface{ Fd() uintptr }); ok {
		return int(d.Fd()), true
	}
	return -1, false
}

// Env is all that a program may use of the world around it.
type Env struct {
	Name  string   // of the program, set by Run
	Args  []string // Args[0] is the name it was called by
	Vars  Vars
	Files [8]File // never nil: a closed descriptor is Closed
	Dir   string  // paths are relative to it; "" is the process's own

	// PID is what logs call this run of the program: the process's number or,
	// inside a server, the connection's.
	PID int

	// Next runs argv in place of this program, with the environment, files
	// and directory of env. In a process of its own that is execve, and Next
	// returns only if it failed.
	Next func(ctx context.Context, env *Env, argv []string) error
}

// Warn prints one warning line on descriptor 2.
func (env *Env) Warn(err error) { env.say("warning: " + err.Error()) }

// Say prints one line on descriptor 2 behind the program's name.
func (env *Env) Say(text string) { env.say(text) }

func (env *Env) say(text string) {
	// One write, so that lines of several processes do not mix. An error
	// cannot be told to anybody.
	io.WriteString(env.Files[2], env.Name+": "+text+"\n")
}

// Failure is an error that chooses how the program ends.
type Failure struct {
	Status   int
	Verbatim bool // print the text alone: no name, no "fatal:"
	Err      error
}

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// Permanent makes err end the program with status 100.
func Permanent(err error) error { return &Failure{Status: StatusPermanent, Err: err} }

// Temporary makes err end the program with status 111.
func Temporary(err error) error { return &Failure{Status: StatusTemporary, Err: err} }

// Verbatim ends the program with a status and a line that does not carry its
// name, as the programs do whose output becomes part of a bounce.
func Verbatim(status int, text string) error {
	return &Failure{Status: status, Verbatim: true, Err: errors.New(text)}
}

// Exit ends a program with a status, in silence.
type Exit int

func (e Exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// BrokenPipe ends a program as SIGPIPE would, with the status by which a shell
// knows that; in a process of its own it is the signal.
const BrokenPipe = Exit(128 + syscall.SIGPIPE)

// ErrUsage ends a program with its usage line.
var ErrUsage = errors.New("usage")

// Run runs p in env, reports how it ended and returns its exit status. A
// panic is reported like a temporary failure: without the trace on descriptor
// 1, where a client may be reading, and never as success.
func Run(ctx context.Context, p *Program, env *Env) (status int) {
	env.Name = p.Name
	for i := range env.Files {
		if env.Files[i] == nil {
			env.Files[i] = Closed{}
		}
	}
	defer func() {
		if v := recover(); v != nil {
			env.say(fmt.Sprintf("fatal: internal error: %v\n%s", v, debug.Stack()))
			status = StatusTemporary
		}
	}()
	return report(p, env, p.Run(ctx, env))
}

func report(p *Program, env *Env, err error) int {
	var exit Exit
	var failure *Failure
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return int(exit)
	case errors.Is(err, ErrUsage):
		line := "usage: " + p.Name
		if p.Usage != "" {
			line += " " + p.Usage
		}
		env.say(line)
		if p.UsageStatus != 0 {
			return p.UsageStatus
		}
		return StatusPermanent
	case errors.As(err, &failure):
		if failure.Verbatim {
			io.WriteString(env.Files[2], failure.Error()+"\n")
		} else {
			env.say("fatal: " + err.Error())
		}
		return failure.Status
	}
	env.say("fatal: " + err.Error())
	return StatusTemporary
}

// Closed is a descriptor that was not open when the program started.
type Closed struct{}

func (Closed) Read([]byte) (int, error)         { return 0, syscall.EBADF }
func (Closed) Write([]byte) (int, error)        { return 0, syscall.EBADF }
func (Closed) Close() error                     { return syscall.EBADF }
func (Closed) SetReadDeadline(time.Time) error  { return nil }
func (Closed) SetWriteDeadline(time.Time) error { return nil }
