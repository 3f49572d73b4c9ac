package sys

import (
	"runtime"
	"sync"
)

// CreateThreads makes the runtime have n threads at least: for a moment as many
// goroutines have one each. None of them ends before the process does.
//
// The runtime creates a thread when all that it has are waiting in system calls,
// and ends the process if it gets none. To the kernel a thread is a process, and
// these can be used up (RLIMIT_NPROC, pids.max). A program that must outlive that
// creates what it may need while there are some.
func CreateThreads(n int) {
	var all, over sync.WaitGroup
	all.Add(n)
	for range n {
		over.Go(func() {
			runtime.LockOSThread()
			all.Done()
			all.Wait()
			runtime.UnlockOSThread()
		})
	}
	over.Wait()
}
