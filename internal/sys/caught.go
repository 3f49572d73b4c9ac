package sys

import "golang.org/x/sys/unix"

// Caught are signals that this process catches: each that arrives makes R yield
// a byte, its number. Where the machine's handler is ours (caught_linux_amd64.s)
// that costs no thread and no goroutine, which os/signal takes three and one of:
// a small program that waits for its input most of its life is a third smaller
// without. There is one set of them in a process.
type Caught struct {
	R    *FD
	sigs []unix.Signal
	w    *FD

	before []sigaction // what was done about sigs
}

// sigaction is the kernel's, not the C library's.
type sigaction struct{ handler, flags, restorer, mask uintptr }
