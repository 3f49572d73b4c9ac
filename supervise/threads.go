package supervise

import (
	"runtime"

	"golang.org/x/sys/unix"

	"paperpath/internal/sys"
)

const (
	// mostProcessors bounds the threads on a machine with a hundred processors.
	mostProcessors = 8
	// spareThreads are for signals, for the watch on the directory, and two more.
	spareThreads = 4
	// fewProcesses is a limit under which svscan and its services get few each.
	fewProcesses = 64
)

// provideThreads creates all the threads that can ever be needed: two for each
// processor (one that runs Go code, one that is returning from a system call) and
// one for each goroutine of Each. So a service that uses up all processes does not
// end the supervision of the others.
func provideThreads() {
	processors := min(runtime.GOMAXPROCS(0), mostProcessors)
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NPROC, &limit) == nil && limit.Cur < fewProcesses {
		processors = 1
	}
	runtime.GOMAXPROCS(processors) // setting it keeps the runtime from changing it later
	threads := 2*processors + spareThreads
	if processors > 1 {
		threads += processors
	}
	sys.CreateThreads(threads)
}
