package spawn

import (
	"errors"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/sys"
	"paperpath/mta/agent"
)

// errPipe wraps why there is no pipe for a program's output.
var errPipe = errors.New("unable to create pipe")

// processes watches the programs that are running, all of them in one thread:
// a thread for each would be one more thing that the system may refuse, and
// the Go runtime does not survive that.
//
// A program's output is read until the program ends. What it left running in
// the background may keep the pipe; nobody waits for that.
type processes struct {
	wake *sys.FD // a byte in the pipe: look again

	mu  sync.Mutex
	new []*process // started since the watcher looked
}

type process struct {
	child  *child.Process
	out    int // our end of the pipe or socket; -1 after its end
	output output
	agent  *serving // whose packets these are, in place of output; owns out
	doomed atomic.Bool
	done   func(child.Status, []byte)
}

// watch begins to watch.
func watch() (*processes, error) {
	r, w, err := sys.Pipe()
	if err != nil {
		return nil, err
	}
	unix.SetNonblock(int(r.Fd()), true)
	unix.SetNonblock(int(w.Fd()), true) // full means that a look is due anyway
	p := &processes{wake: w}
	deaths := make(chan os.Signal, 1)
	signal.Notify(deaths, syscall.SIGCHLD)
	go func() {
		for range deaths {
			p.lookAgain()
		}
	}()
	go p.loop(int(r.Fd()))
	return p, nil
}

func (p *processes) lookAgain() { unix.Write(int(p.wake.Fd()), []byte{0}) }

// run starts c with descriptor 1, and 2 if both is set, on a pipe, of which it
// keeps what keep keeps. done gets how the program ended and its output; run
// returns an error, and done is never called, if it did not start.
func (p *processes) run(c *child.Command, both bool, keep output, done func(child.Status, []byte)) error {
	r, w, err := sys.Pipe()
	if err != nil {
		return errors.Join(errPipe, err)
	}
	defer w.Close()
	c.Files[1] = int(w.Fd())
	if both {
		c.Files[2] = int(w.Fd())
	}
	started, err := child.Start(c)
	if err != nil {
		r.Close()
		return err
	}
	unix.SetNonblock(int(r.Fd()), true) // our end only; the program's is another description
	p.add(&process{child: started, out: int(r.Fd()), output: keep, done: done})
	return nil
}

// add has a process watched.
func (p *processes) add(q *process) {
	p.mu.Lock()
	p.new = append(p.new, q)
	p.mu.Unlock()
	p.lookAgain()
}

func (p *processes) loop(wake int) {
	var live []*process
	var fds []unix.PollFd
	for {
		fds = append(fds[:0], unix.PollFd{Fd: int32(wake), Events: unix.POLLIN})
		for _, q := range live {
			fds = append(fds, unix.PollFd{Fd: int32(q.out), Events: unix.POLLIN}) // -1 is passed over
		}
		unix.Poll(fds, -1)

		var seen [64]byte
		unix.Read(wake, seen[:])
		// After the bytes were taken: what one of them is about is seen now.
		p.mu.Lock()
		live = append(live, p.new...)
		p.new = nil
		p.mu.Unlock()

		still := live[:0]
		for i, q := range live {
			// Before the output: what a program that has ended wrote is all in
			// the pipe by then.
			status, ended, err := q.child.Ended()
			if ended || i+1 < len(fds) && fds[i+1].Revents != 0 {
				q.read(ended)
			}
			if !ended && err == nil {
				if q.doomed.Load() {
					q.child.Signal(syscall.SIGKILL) // not reaped, so the number is its own
				}
				still = append(still, q)
				continue
			}
			q.close()
			q.done(status, q.output.text)
		}
		clear(live[len(still):])
		live = still
	}
}

// read takes what is in the pipe, but not for ever what somebody keeps pouring
// into it: as much as a pipe holds; packets, while their sender lives, a few.
func (q *process) read(ended bool) {
	var buf [agent.MaxReply + 1]byte
	most := 16
	if q.agent != nil && ended {
		most = 1024 // more than a socket holds
	}
	for range most {
		if q.out < 0 {
			return
		}
		n, err := unix.Read(q.out, buf[:])
		switch {
		case n > 0 && q.agent == nil:
			q.output.add(buf[:n])
		case n > 0 && q.agent.packet(buf[:n]), err == unix.EINTR:
			// once more
		case err == unix.EAGAIN:
			return
		default:
			q.close()
		}
	}
}

// close is the end of what a program says. A program may go on without; an
// agent, which has gone or does not keep to the protocol, may not.
func (q *process) close() {
	if q.agent != nil {
		q.doomed.Store(true)
	} else if q.out >= 0 {
		unix.Close(q.out)
	}
	q.out = -1
}

// output is what is kept of a program's output.
type output struct {
	text []byte
	max  int
	cut  string // what replaces the end of an output that is longer
	over bool   // it was
}

// outputStep is the size in which the original read, so that a long report is
// cut at the same byte.
const outputStep = 128

func (o *output) add(b []byte) {
	for len(b) > 0 {
		n := min(len(b), outputStep)
		o.text = append(o.text, b[:n]...)
		b = b[n:]
		if len(o.text) > o.max {
			o.over = true
			o.text = append(o.text[:o.max-len(o.cut)-3], o.cut...)
		}
	}
}
