package send

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/sys"
)

// trigger watches lock/trigger, the fifo by which qmail-queue says that there
// is something in todo/ (trigger.c). A byte makes it readable; closing and
// opening it anew throws the bytes away. That comes before todo/ is read:
// whoever pulls later has linked his message later, or is seen by the next
// round.
type trigger struct {
	pulled chan struct{} // a token after each pull or reopen, the fifo being armed again

	name   string
	ask, w *sys.FD // wakes the watcher: reopen, or end when closed
	stop   chan struct{}
	ended  sync.WaitGroup
}

func newTrigger(name string) (*trigger, error) {
	r, w, err := sys.Pipe()
	if err != nil {
		return nil, err
	}
	t := &trigger{pulled: make(chan struct{}), name: name, ask: r, w: w, stop: make(chan struct{})}
	fifo := t.open() // before anybody reads todo/ for the first time
	t.ended.Go(func() { t.watch(fifo) })
	return t, nil
}

// reopen looks for the fifo anew: somebody may have replaced it, or made one
// where none was.
func (t *trigger) reopen() { t.w.Write([]byte{0}) }

func (t *trigger) close() {
	close(t.stop)
	t.w.Close()
	t.ended.Wait()
	t.ask.Close()
}

func (t *trigger) watch(fifo *sys.FD) {
	for {
		ready, err := sys.Poll(time.Time{}, fifo, t.ask)
		if err != nil {
			return
		}
		if fifo != t.ask {
			fifo.Close()
		}
		fifo = t.open()
		if ready[1] {
			if _, err := t.ask.Read(make([]byte, 1)); err != nil {
				if fifo != t.ask {
					fifo.Close()
				}
				return
			}
		}
		select {
		case t.pulled <- struct{}{}:
		case <-t.stop:
			return
		}
	}
}

// open opens the fifo. Without one nobody can pull, and the watcher listens to
// ask alone.
func (t *trigger) open() *sys.FD {
	fifo, err := sys.Open(t.name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return t.ask
	}
	return fifo
}
