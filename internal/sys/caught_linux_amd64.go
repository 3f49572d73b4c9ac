package sys

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// caughtFD is where the handler writes.
var caughtFD int32 = -1

// handlers returns the addresses of the handler and of what returns from it.
func handlers() (caught, restorer uintptr)

const (
	saRestorer = 0x04000000
	saOnStack  = 0x08000000 // a goroutine's stack is too small for a signal frame
	saRestart  = 0x10000000
)

// Catch begins to catch sigs. Programs that this one executes get their default
// back, as with every caught signal.
func Catch(sigs ...unix.Signal) (*Caught, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	// Not blocking: a handler that waits for its reader would wait for ever. A
	// signal finds no room only behind 65536 unread ones.
	c := &Caught{R: NewFD(p[0]), w: NewFD(p[1]), sigs: sigs}
	atomic.StoreInt32(&caughtFD, int32(p[1]))
	caught, restorer := handlers()
	// All others are blocked meanwhile, those of the runtime, too: its handlers
	// use the same stack.
	action := sigaction{handler: caught, flags: saRestorer | saOnStack | saRestart, restorer: restorer, mask: ^uintptr(0)}
	var unblocked unix.Sigset_t
	for _, sig := range sigs {
		var before sigaction
		if err := setAction(sig, &action, &before); err != nil {
			c.Close()
			return nil, err
		}
		c.before = append(c.before, before)
		unblocked.Val[0] |= 1 << (sig - 1)
	}
	// One thread that does not block it is enough for a process to get a signal,
	// and the runtime keeps its threads and their masks.
	if err := unix.PthreadSigmask(unix.SIG_UNBLOCK, &unblocked, nil); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close catches them no longer. A handler that another thread is in the middle
// of may still write: the pipe stays open, for its number must not become that
// of another file.
func (c *Caught) Close() {
	for i, before := range c.before {
		setAction(c.sigs[i], &before, nil)
	}
	atomic.StoreInt32(&caughtFD, -1)
}

func setAction(sig unix.Signal, action, before *sigaction) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig),
		uintptr(unsafe.Pointer(action)), uintptr(unsafe.Pointer(before)), unsafe.Sizeof(action.mask), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
