package sys

import (
	"os"
	"os/signal"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Signals returns a descriptor that yields one byte, the signal's number, for
// each of sigs that arrives: the self-pipe of every Unix event loop. Signals of
// one kind that come faster than they are read may count as one, as the
// kernel's own do, but never as none. An interrupt or hangup that the caller
// ignores (nohup, sh's &) stays ignored, here and in the children.
func Signals(sigs ...unix.Signal) (*FD, error) {
	r, w, err := Pipe()
	if err != nil {
		return nil, err
	}
	for _, sig := range sigs {
		if !signal.Ignored(sig) {
			w.notify(sig)
		}
	}
	return r, nil
}

// notify has sig write its number to the pipe f.
func (f *FD) notify(sig unix.Signal) {
	// A channel of its own for each: a storm of one signal must not push
	// another one out.
	c := make(chan os.Signal, 1)
	Notify(c, sig)
	go func() {
		for range c {
			f.Write([]byte{byte(sig)})
		}
	}()
}

// fatal are signals that end a program in C which does not catch them, while the
// Go runtime catches them to do nothing, or to print the state of its goroutines.
// (It needs its handlers of SEGV, BUS, FPE, URG and PIPE.)
var fatal = [...]unix.Signal{
	unix.SIGILL, unix.SIGTRAP, unix.SIGSYS, unix.SIGQUIT, unix.SIGABRT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGSTKFLT,
	unix.SIGXCPU, unix.SIGVTALRM, unix.SIGPROF, unix.SIGIO, unix.SIGPWR,
}

// kernelAction is room for the kernel's struct sigaction, which is nowhere larger.
// All zero it is SIG_DFL.
type kernelAction [64]byte

// runtimes are the actions of the Go runtime that DefaultSignals has replaced.
var runtimes = map[unix.Signal]kernelAction{}

// DefaultSignals has those signals end this process that would end a C program:
// svc -a a service that waits for a lock, a limit of processor time whoever is
// over it. It is for the start of a process, before anything is caught.
func DefaultSignals() {
	for _, sig := range fatal {
		var none, before kernelAction
		if exchange(sig, &none, &before) {
			runtimes[sig] = before
		}
	}
}

// Notify is signal.Notify, for a process that may have called DefaultSignals:
// os/signal takes it that the runtime's handlers are where they were.
func Notify(c chan<- os.Signal, sig unix.Signal) {
	if action, ok := runtimes[sig]; ok {
		exchange(sig, &action, nil)
	}
	signal.Notify(c, sig)
}

func exchange(sig unix.Signal, action, before *kernelAction) bool {
	const setSize = 8 // of the kernel's sigset_t
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig),
		uintptr(unsafe.Pointer(action)), uintptr(unsafe.Pointer(before)), setSize, 0, 0)
	return errno == 0
}

// Die ends this process by a signal, as if it had never been caught. (The Go
// runtime, which catches all of them, cannot be told to stop: signal.Reset brings
// back only its own default.) It returns if the signal is blocked.
func Die(sig unix.Signal) {
	exchange(sig, new(kernelAction), nil)
	unix.Kill(os.Getpid(), sig)
	// It comes to any one of the threads, soon.
	time.Sleep(time.Second)
}
