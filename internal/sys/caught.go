package sys

import "golang.org/x/sys/unix"

// Caught are signals that this process catches: each that arrives makes R yield
// a byte, its number. It is for the small programs that stand idle by the
// hundred, one for each service: a waiting multilog has 0.77 MB (PSS, two
// processors) where the machine's handler is ours (caught_linux_amd64.s), and
// 0.86 MB with os/signal, which brings a goroutine and up to three threads.
// Everybody else is well served by [Signals]. There is one set of them in a
// process.
//
// What the caller blocks or ignores is caught all the same, as the C programs
// do it: they unblock and catch what they live by.
type Caught struct {
	R    *FD
	sigs []unix.Signal
	w    *FD

	before []sigaction // what was done about sigs
}

// sigaction is the kernel's, not the C library's.
type sigaction struct{ handler, flags, restorer, mask uintptr }
