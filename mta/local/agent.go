package local

import (
	"context"
	"io"
	"sync"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/mta/agent"
)

// server makes deliveries for a qmail-lspawn, side by side, all for one user.
// A delivery has an Env of its own and knows nothing of the others, except that
// the syncs of one Maildir's new/ are shared by those who need one at the same
// time.
type server struct {
	env      *proc.Env
	socket   int
	together fsys.Together
}

// serve is qmail-local as an agent, on descriptor 0, until the end of the
// requests. What has begun by then ends as ever: qmail-lspawn may be gone, its
// deliveries go on.
func serve(ctx context.Context, env *proc.Env) error {
	socket, _ := proc.Descriptor(env.Files[0])
	s := &server{env: env, socket: socket}
	if err := agent.Reply(socket, []byte(agent.Greeting)); err != nil {
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	buf := make([]byte, agent.MaxRequest)
	for {
		request, message, err := agent.Receive(socket, buf)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		number, args, err := agent.ParseRequest(request)
		if err != nil {
			return err
		}
		running.Go(func() { s.deliver(ctx, number, args, sys.NewFD(message)) })
	}
}

// deliver is one qmail-local.
func (s *server) deliver(ctx context.Context, number uint32, args []string, message *sys.FD) {
	r := &report{}
	env := &proc.Env{Args: append([]string{s.env.Args[0], "--"}, args...), Vars: s.env.Vars, Dir: s.env.Dir}
	env.Files[0], env.Files[1], env.Files[2] = message, r, r
	program := &proc.Program{Name: s.env.Name, Usage: usageLine, Run: func(_ context.Context, env *proc.Env) error {
		return run(env, args, true, func(home string) fsys.FS { return s.together.FS(fsys.OS{Root: home}, home) })
	}}
	status := proc.Run(ctx, program, env)
	message.Close()
	// An error means that nobody is there to hear it.
	agent.Reply(s.socket, agent.AppendReply(nil, number, byte(status), r.end()))
}

// report is what one delivery and its commands write: descriptors 1 and 2. It
// becomes a pipe when somebody wants a descriptor; most deliveries do without.
//
// The report ends with the delivery, not with the last process that has the
// pipe open, as qmail-lspawn ends the one of a qmail-local that exits.
type report struct {
	proc.Closed // of a file's methods, only Write and Fd work

	mu    sync.Mutex
	text  []byte  // at most agent.MaxText bytes
	r, w  *sys.FD // nil without a pipe
	ended bool
}

func (r *report) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drain() // what a command wrote comes first
	r.add(b)
	return len(b), nil
}

// open makes the pipe, unless there is one.
func (r *report) open() error {
	if r.w != nil {
		return nil
	}
	in, out, err := sys.Pipe()
	if err != nil {
		return err
	}
	unix.SetNonblock(int(in.Fd()), true) // our end only; the commands' is another description
	r.r, r.w = in, out
	go r.collect()
	return nil
}

// Fd is the pipe's, for commands; open has been called.
func (r *report) Fd() uintptr { return r.w.Fd() }

// collect reads while commands write, so that they never wait for room.
func (r *report) collect() {
	for {
		p := []unix.PollFd{{Fd: int32(r.r.Fd()), Events: unix.POLLIN}}
		unix.Poll(p, -1)
		r.mu.Lock()
		if r.ended {
			r.r.Close()
			r.mu.Unlock()
			return
		}
		r.drain()
		r.mu.Unlock()
	}
}

// drain takes what is in the pipe, but not for ever what somebody keeps pouring
// into it: as much as a pipe holds.
func (r *report) drain() {
	var buf [4096]byte
	for range 16 {
		if r.r == nil {
			return
		}
		n, err := unix.Read(int(r.r.Fd()), buf[:])
		if err != nil && err != unix.EINTR || err == nil && n == 0 {
			return
		}
		r.add(buf[:max(n, 0)])
	}
}

func (r *report) add(b []byte) {
	r.text = append(r.text, b[:min(len(b), agent.MaxText-len(r.text))]...)
}

// end returns the text and ends the report.
func (r *report) end() []byte {
	r.mu.Lock()
	if r.w == nil {
		r.mu.Unlock()
		return r.text
	}
	r.drain()
	r.ended = true
	r.mu.Unlock()
	// collect looks up when there is something to read: at the latest this. It
	// closes its end, so a pipe that others keep full does not hold us up.
	r.w.Write([]byte{0})
	r.w.Close()
	return r.text
}
