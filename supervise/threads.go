package supervise

import (
	"runtime"

	"golang.org/x/sys/unix"

	"paperpath/internal/sys"
)

const (
	// mostProcessors bounds the threads on a machine with a hundred of them.
	mostProcessors = 8
	// spareThreads are for the signals, what watches the directory, and two more.
	spareThreads = 4
	// fewProcesses is a limit that leaves svscan and its services few each.
	fewProcesses = 64
)

// provideThreads creates all the threads that can be needed, two for each
// processor (one that runs Go code, one that is on its way out of a system call)
// and one for each goroutine of Each: a service that uses up all the processes
// there may be does not end the supervision of the others.
func provideThreads() {
	processors := min(runtime.GOMAXPROCS(0), mostProcessors)
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NPROC, &limit) == nil && limit.Cur < fewProcesses {
		processors = 1
	}
	runtime.GOMAXPROCS(processors) // from now on it stays
	threads := 2*processors + spareThreads
	if processors > 1 {
		threads += processors
	}
	sys.CreateThreads(threads)
}
