package filter

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Descriptors of a relay's process beside the client's 0 and 1.
const (
	toProgramFD = 3
	resultFD    = 4
)

// precede starts the relay as a child of this process, which becomes the
// program that argv names, between the relay's pipes. relay is the relay's own
// arguments; the first one is how it knows itself.
func precede(ctx context.Context, env *proc.Env, relay, argv []string) error {
	self, err := child.Self()
	if err != nil {
		return strerr.Unable("find", "own program", err)
	}
	input, toProgram, err := sys.Pipe()
	if err != nil {
		return strerr.Unable("create", "pipe", err)
	}
	result, output, err := sys.Pipe()
	if err != nil {
		return strerr.Unable("create", "pipe", err)
	}
	_, err = child.Start(&child.Command{
		Argv:  relay,
		Path:  self,
		Vars:  env.Vars,
		Dir:   env.Dir,
		Files: []int{0, 1, 2, int(toProgram.Fd()), int(result.Fd())}, // 3, 4
	})
	if err != nil {
		return strerr.Unable("fork", "", err)
	}
	for n, fd := range []*sys.FD{input, output} {
		if err := unix.Dup3(int(fd.Fd()), n, 0); err != nil {
			return strerr.Unable("move", "descriptors", err)
		}
	}
	return env.Next(ctx, env, argv)
}

// flow is one direction of a relay's process.
type flow struct {
	from, to int // descriptors; -1 at the end
	convert  func(out, in []byte) []byte
	end      func()

	in      [block]byte
	out     []byte
	pending []byte // of out: not written yet
}

// serve is the life of a relay's process. It does one thing after the other, as
// the C program does: what is recorded is in the order in which it happened.
func serve(t tap) error {
	left := &flow{from: 0, to: toProgramFD, convert: t.fromClient, end: t.clientEnd}
	right := &flow{from: resultFD, to: 1, convert: t.fromProgram, end: t.programEnd}
	for {
		p := [...]unix.PollFd{left.reads(), left.writes(), right.reads(), right.writes()}
		if right.from < 0 && p[1].Fd < 0 {
			p[1] = unix.PollFd{Fd: int32(left.to)} // for an error: it is not read any more
		}
		_, err := unix.Poll(p[:], -1)
		if err != nil && err != unix.EINTR {
			return strerr.Unable("poll", "", err)
		}
		if err != nil {
			continue
		}
		if p[0].Revents != 0 && !left.read() {
			left.from = -1
			left.close()
		}
		if p[1].Revents != 0 {
			if len(left.pending) == 0 || !left.write() {
				left.close()
			}
		}
		if p[2].Revents != 0 && !right.read() {
			right.from = -1
			// Most programs have ended now. One that only redirected its output
			// is still to get its input.
			if left.to >= 0 && unread(left.to) {
				left.close()
			} else if left.to >= 0 {
				shutDown(sys.NewFD(right.to))
			}
		}
		if p[3].Revents != 0 && !right.write() {
			return nil
		}
		if left.to < 0 && right.from < 0 {
			left.linger(right.to)
			return nil
		}
	}
}

// linger waits until the client has all the output, or sends nothing any more.
func (f *flow) linger(client int) {
	if f.from < 0 || !owed(client) {
		return
	}
	unix.Shutdown(client, unix.SHUT_WR)
	for end := time.Now().Add(lingering); owed(client) && time.Now().Before(end); {
		p := []unix.PollFd{f.reads()}
		n, err := unix.Poll(p, int(gone/time.Millisecond))
		if err != nil && err != unix.EINTR || n > 0 && !f.read() {
			return
		}
	}
}

// reads is what the flow waits for before it reads: nothing while it has
// something to write.
func (f *flow) reads() unix.PollFd {
	if len(f.pending) > 0 {
		return unix.PollFd{Fd: -1}
	}
	return unix.PollFd{Fd: int32(f.from), Events: unix.POLLIN}
}

func (f *flow) writes() unix.PollFd {
	if len(f.pending) == 0 {
		return unix.PollFd{Fd: -1}
	}
	return unix.PollFd{Fd: int32(f.to), Events: unix.POLLOUT}
}

// read reports whether there may be more.
func (f *flow) read() bool {
	n, err := unix.Read(f.from, f.in[:])
	if err == unix.EINTR || err == unix.EAGAIN {
		return true
	}
	if f.to < 0 {
		return n > 0 // see lingering
	}
	if n <= 0 {
		f.end()
		return false
	}
	f.out = f.convert(f.out[:0], f.in[:n])
	f.pending = f.out
	return true
}

// writeMax is how much a pipe takes at once if it takes anything (PIPE_BUF): a
// write of more could wait, and the other direction with it.
const writeMax = 4096

// write reports whether somebody reads what is written.
func (f *flow) write() bool {
	n, err := unix.Write(f.to, f.pending[:min(len(f.pending), writeMax)])
	if err != nil {
		return err == unix.EINTR || err == unix.EAGAIN
	}
	f.pending = f.pending[n:]
	return true
}

// close ends the flow to the program. What a client still sends is read, for
// nobody; what else is read from is left alone.
func (f *flow) close() {
	if f.to >= 0 {
		unix.Close(f.to)
	}
	if f.from >= 0 && !isSocket(f.from) {
		f.from = -1
	}
	f.to, f.pending = -1, nil
}
