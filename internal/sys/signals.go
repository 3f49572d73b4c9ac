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
		if signal.Ignored(sig) {
			continue
		}
		// A channel of its own for each: a storm of one signal must not push
		// another one out.
		c := make(chan os.Signal, 1)
		signal.Notify(c, sig)
		go func() {
			for range c {
				w.Write([]byte{byte(sig)})
			}
		}()
	}
	return r, nil
}

// Poll waits until one of the descriptors is readable (there is data, an end or
// an error) or the time until has come; the zero time never comes. It tells
// which are readable. The clock is the monotonic one.
func Poll(until time.Time, fds ...*FD) ([]bool, error) {
	p := make([]unix.PollFd, len(fds))
	for i, f := range fds {
		p[i] = unix.PollFd{Fd: int32(f.n), Events: unix.POLLIN}
	}
	for {
		ms := -1
		if !until.IsZero() {
			// Rounded up: waking a millisecond early would spin.
			left := (time.Until(until) + time.Millisecond - 1) / time.Millisecond
			ms = int(min(max(left, 0), 1<<30))
		}
		if _, err := unix.Poll(p, ms); err == unix.EINTR {
			continue
		} else if err != nil {
			return nil, err
		}
		ready := make([]bool, len(fds))
		for i := range p {
			ready[i] = p[i].Revents != 0
		}
		return ready, nil
	}
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
