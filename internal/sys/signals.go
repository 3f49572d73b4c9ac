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
	signal.Notify(c, sig)
	go func() {
		for range c {
			f.Write([]byte{byte(sig)})
		}
	}()
}

// Die ends this process by a signal, as if it had never been caught. (The Go
// runtime, which catches all of them, cannot be told to stop: signal.Reset brings
// back only its own default.) It returns if the signal is blocked.
func Die(sig unix.Signal) {
	// The kernel's struct sigaction, all zero: SIG_DFL. It is never larger.
	var action [64]byte
	const setSize = 8 // of the kernel's sigset_t
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, setSize, 0, 0)
	unix.Kill(os.Getpid(), sig)
	// It comes to any one of the threads, soon.
	time.Sleep(time.Second)
}
