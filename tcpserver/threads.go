package tcpserver

import (
	"errors"
	"runtime"
	"strconv"
	"sync"

	"paperpath/internal/sys"
)

// The Go runtime creates a thread when all that it has are waiting in system
// calls, and ends the process if it gets none. To the kernel a thread is a process
// (RLIMIT_NPROC, pids.max), and a flood of connections uses those up. So all the threads that
// can be needed are created at the start, as root if possible, and none ever ends:
//
//	two for each processor: one that runs Go code, one that is on its way out of a
//	system call and finds no processor
//	one for each accepter
//	spareThreads: for reap, serveStatus, handOver or the worker's boss, signals,
//	descriptor 2 (two more are the runtime's own)
//	waitingThreads: for connections that are looked up, or run inside. These wait
//	by the poller; a file, now and then, takes a thread for a moment
const (
	spareThreads       = 4
	waitingThreads     = 16
	waitingThreadsLean = 2
)

// role is what a process of the server is for.
type role int

const (
	starter  role = iota // creates processes for connections
	boss                 // has a worker
	employee             // is one: it has the connections inside
)

// runtimeThreads are those that are not in the account above.
const runtimeThreads = 2

// provideThreads creates the threads of a server that has this role. Where they
// would take more than a quarter of what there may be, it does with one processor;
// where there is no room for that, the runtime would die of it.
func (s *settings) provideThreads(r role) error {
	processors := runtime.GOMAXPROCS(0)
	switch r {
	case boss:
		processors = 1
	case starter:
		// Creating a process stops a processor of the runtime's until execve is
		// through, while the machine's is free: it may have some more.
		const more = 4
		processors = min(4*processors, processors+more)
	}
	left := room("")
	if left/4 < uint64(s.threads(processors)) {
		processors = 1
		needed := uint64(s.threads(processors) + runtimeThreads)
		if r == boss {
			needed *= 2 // the worker's
		}
		if has := threadsIn(lines("/proc/self/status")); left+has < needed {
			return errors.New("unable to start: " + strconv.FormatUint(needed, 10) + " threads are needed, and " +
				strconv.FormatUint(left+has, 10) + " may be had")
		}
	}
	runtime.GOMAXPROCS(processors) // from now on it stays
	sys.CreateThreads(s.threads(processors))
	return nil
}

func (s *settings) threads(processors int) int {
	n := 2*processors + min(processors, maxAccepters) + spareThreads
	switch {
	case s.direct():
	case processors == 1:
		n += waitingThreadsLean
	default:
		n += waitingThreads
	}
	return n
}

// oneByOne is a descriptor to which the programs inside write in turn. Where
// nobody reads what they write, all of them wait, and one has a thread for that.
type oneByOne struct {
	*sys.FD
	mu sync.Mutex
}

func (f *oneByOne) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.FD.Write(b)
}
