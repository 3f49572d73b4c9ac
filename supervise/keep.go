package supervise

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/strerr"
)

// Taking a service in is mostly waiting: for the disk, and in vfork(2) for the
// child to be scheduled and to execute. With hundreds of services this is done for
// several of them at a time. But shared state and the state machines belong to the
// loop, and so does every later start:
//
//	acquire  lock, fifos, the last status    each in its own directory
//	begin    the state machine, the loop     one after the other
//	fork     status, ok, ./run               each in its own directory
//	begun    the state machine               one after the other

// Keep takes a service in: it takes the lock, and takes over a process that a
// predecessor left. The error wraps EWOULDBLOCK if another supervisor keeps the
// service.
func (h *Host) Keep(p Place) (*Keeper, error) {
	keepers, errs := h.KeepAll([]Place{p})
	if errors.Is(errs[0], unix.EWOULDBLOCK) {
		// Another process may only be testing the lock (service.Dir.Locked).
		time.Sleep(50 * time.Millisecond)
		keepers, errs = h.KeepAll([]Place{p})
	}
	return keepers[0], errs[0]
}

// KeepAll is Keep for several services. For each there is a Keeper or an error.
func (h *Host) KeepAll(places []Place) ([]*Keeper, []error) {
	keepers, errs := make([]*Keeper, len(places)), make([]error, len(places))
	each := func(do func(k *Keeper) error) func(int) {
		return func(i int) {
			if errs[i] == nil {
				errs[i] = do(keepers[i])
			}
		}
	}
	for i, p := range places {
		keepers[i] = &Keeper{Place: p, host: h}
	}
	h.Each(len(places), each((*Keeper).acquire))
	for i := range places {
		each((*Keeper).begin)(i)
	}
	h.Each(len(places), each((*Keeper).fork))
	for i, k := range keepers {
		if errs[i] == nil {
			k.begun()
			continue
		}
		// An adopted process goes on without us, until the next attempt.
		k.close()
		if k.first != nil && k.first.end != nil {
			k.first.end.Close()
		}
		keepers[i] = nil
	}
	return keepers, errs
}

// Each calls do with the numbers below n, from several threads at a time.
//
// None of the threads ends before the process does (the runtime ends only threads
// that a goroutine was locked to). So a child that is forked by one of them may ask
// for a signal at the death of its parent (PR_SET_PDEATHSIG).
func (h *Host) Each(n int, do func(i int)) {
	threads := min(n, runtime.GOMAXPROCS(0))
	if threads == 1 || !h.threads {
		for i := range n {
			do(i)
		}
		return
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for range threads {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				do(int(i - 1))
			}
		})
	}
	all.Wait()
}

// acquire takes the lock of the service and reads its last status.
func (k *Keeper) acquire() error {
	down, err := k.Dir.Down()
	if err != nil {
		return strerr.Unable("stat", k.Name+"/down", err)
	}
	k.owner, err = k.Dir.Acquire(k.Name)
	switch {
	case err == nil:
		if err := k.host.Spare(k.owner.Control()); err != nil {
			return strerr.Unable("supervise", k.Name, err)
		}
	case !k.TakeOver || errors.Is(err, unix.EWOULDBLOCK) || child.Exhausted(err):
		return err
	}
	// With TakeOver, go on without the files (the disk may have become read-only, or
	// the files may have been replaced): a process can be stopped without them.
	last, err := k.Dir.Status()
	switch {
	case err == nil:
		k.left = &last
	case child.Exhausted(err) || err == unix.EIO: // it may name a process that runs
		return strerr.Unable("read", k.Name+"/supervise/status", err)
	}
	k.service = newMachine(k, !down && !k.TakeOver)
	return nil
}

// begin takes over a process that runs, or decides whether to start one.
func (k *Keeper) begin() error {
	if k.owner != nil {
		if err := k.host.loop.Add(k.owner.Control(), k.orders); err != nil {
			return err
		}
	}
	if err := k.inherit(); err != nil {
		return err
	}
	k.beginning = true
	k.service.Announce()
	k.service.Begin()
	k.beginning = false
	return nil
}

// fork writes the first status, makes the service look supervised, and starts it.
func (k *Keeper) fork() error {
	k.write() // on error, settle warns and tries again
	if k.owner != nil {
		if err := k.owner.Ready(); err != nil && !k.TakeOver {
			return err
		}
	}
	if k.first != nil {
		k.first.fork(k)
	}
	return nil
}

// begun tells the state machine the result of the start.
func (k *Keeper) begun() {
	if l := k.first; l != nil {
		k.first = nil
		k.service.Started(k.started(l))
	}
	k.settle()
}
