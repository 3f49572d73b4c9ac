package filter

import (
	"context"
	"os"
	"sync/atomic"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// relay is the four descriptors between a client and a program.
type relay struct {
	tap
	in, out           proc.File // the client's
	toProgram, result proc.File // pipes
	toProgramFD       int       // the number of toProgram
	over              atomic.Bool
}

// gone is how often a relay looks whether the program, which has closed its
// output, still has its input.
const gone = 100 * time.Millisecond

// run copies until neither side has anything to say to the other. left is
// closed when nobody reads the client any more.
func (r *relay) run() (left chan struct{}) {
	left = make(chan struct{})
	defer r.over.Store(true)
	go func() {
		defer close(left)
		r.copyToProgram()
	}()
	if !r.copyToClient() {
		return left
	}
	// Most programs end here, and with them the last reader of the pipe. One
	// that only redirected its output is still to get its input.
	for first := true; ; first = false {
		if unread(r.toProgramFD) {
			return left
		}
		if first {
			shutDown(r.out)
		}
		select {
		case <-left:
			return left
		case <-time.After(gone):
		}
	}
}

// linger waits until the client has all the output. left is closed when it sends
// nothing any more.
func (r *relay) linger(left chan struct{}) {
	fd, ok := proc.Descriptor(r.out)
	if !ok || !owed(fd) {
		return
	}
	shutDown(r.out)
	for end := time.Now().Add(lingering); owed(fd) && time.Now().Before(end); {
		select {
		case <-left:
			return
		case <-time.After(gone):
		}
	}
}

func (r *relay) copyToProgram() {
	defer r.toProgram.Close()
	in := make([]byte, block)
	var out []byte
	for {
		n, err := r.in.Read(in)
		if n > 0 {
			out = r.fromClient(out[:0], in[:n])
			if _, broken := r.toProgram.Write(out); broken != nil {
				for err == nil { // see lingering
					_, err = r.in.Read(in)
				}
				return
			}
		}
		if err != nil {
			if !r.over.Load() {
				r.clientEnd()
			}
			return
		}
	}
}

// copyToClient reports whether it came to the end of the program's output, and
// not of the client.
func (r *relay) copyToClient() bool {
	in := make([]byte, block)
	var out []byte
	for {
		n, err := r.result.Read(in)
		if n > 0 {
			out = r.fromProgram(out[:0], in[:n])
			if _, err := r.out.Write(out); err != nil {
				return false
			}
		}
		if err != nil {
			r.programEnd()
			return true
		}
	}
}

// InsideFiles is how many descriptors between takes.
const InsideFiles = 4

// between runs the program that argv names inside the server, between the pipes
// of a relay.
func between(ctx context.Context, env *proc.Env, t tap, argv []string) error {
	input, toProgram, err := os.Pipe()
	if err != nil {
		return strerr.Unable("create", "pipe", err)
	}
	result, output, err := os.Pipe()
	if err != nil {
		input.Close()
		toProgram.Close()
		return strerr.Unable("create", "pipe", err)
	}
	r := &relay{tap: t, in: env.Files[0], out: env.Files[1], toProgram: toProgram, result: result}
	raw, err := toProgram.SyscallConn()
	if err == nil {
		// Its own Fd would make it block.
		err = raw.Control(func(fd uintptr) { r.toProgramFD = int(fd) })
	}
	if err != nil {
		for _, f := range []*os.File{input, toProgram, result, output} {
			f.Close()
		}
		return strerr.Unable("use", "pipe", err)
	}
	own := *env
	own.Files[0], own.Files[1] = input, output
	ended := make(chan error, 1)
	go func() {
		err := own.Next(ctx, &own, argv)
		// If anybody else has these ends now, it is a process.
		input.Close()
		output.Close()
		ended <- err
	}()
	left := r.run()
	result.Close()
	toProgram.Close()
	r.linger(left)
	// The client may be silent for ever, but the connection is over.
	env.Files[0].SetReadDeadline(time.Unix(1, 0))
	<-left
	return <-ended
}
