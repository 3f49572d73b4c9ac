// Package proctest joins a program to buffers, for tests.
package proctest

import (
	"bytes"
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"paperpath/internal/proc"
)

// Result is what a program did.
type Result struct {
	Status int
	Out    string   // what it wrote on descriptor 1
	Err    string   // what it wrote on descriptor 2
	Next   []string // the argv it wanted to become, nil for none
	Vars   proc.Vars
}

// Case is what a program gets.
type Case struct {
	Args  []string // after the program's name
	In    string   // descriptor 0
	Vars  proc.Vars
	Dir   string
	Files map[int]proc.File // instead of, or beside, descriptors 0 to 2
	Next  error             // what Next returns; nil: it "ran"
}

// Run runs p on c.
func Run(p *proc.Program, c Case) Result {
	var r Result
	out, errs := &Buffer{}, &Buffer{}
	env := &proc.Env{
		Args: slices.Concat([]string{p.Name}, c.Args),
		Vars: c.Vars.Clone(),
		Dir:  c.Dir,
	}
	env.Files[0] = Input(c.In)
	env.Files[1], env.Files[2] = out, errs
	for i, f := range c.Files {
		env.Files[i] = f
	}
	env.Next = func(_ context.Context, env *proc.Env, argv []string) error {
		r.Next, r.Vars = slices.Clone(argv), env.Vars.Clone()
		return c.Next
	}
	r.Status = proc.Run(context.Background(), p, env)
	if r.Vars == nil {
		r.Vars = env.Vars
	}
	r.Out, r.Err = out.String(), errs.String()
	return r
}

// Buffer is a File that keeps what is written to it and gives back what it
// was filled with. Its deadlines are ignored. It may be used by several
// goroutines.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
	r  io.Reader
}

// Input returns a Buffer that reads as s.
func Input(s string) *Buffer { return &Buffer{r: strings.NewReader(s)} }

func (b *Buffer) Read(p []byte) (int, error) {
	if b.r == nil {
		return 0, io.EOF
	}
	return b.r.Read(p)
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (*Buffer) Close() error                     { return nil }
func (*Buffer) SetReadDeadline(time.Time) error  { return nil }
func (*Buffer) SetWriteDeadline(time.Time) error { return nil }

// Seek makes an input seekable, as a message file is.
func (b *Buffer) Seek(offset int64, whence int) (int64, error) {
	if s, ok := b.r.(io.Seeker); ok {
		return s.Seek(offset, whence)
	}
	return 0, io.ErrClosedPipe
}

// Idle returns a client that says text and then nothing more, on a clock that
// makes every deadline pass at once.
func Idle(text string) *IdleClient { return &IdleClient{Buffer: Input(text)} }

// IdleClient is what Idle returns.
type IdleClient struct {
	*Buffer
	Deadline time.Time // of the last Read
}

func (c *IdleClient) SetReadDeadline(t time.Time) error { c.Deadline = t; return nil }

// Read fails as a descriptor does whose deadline has passed. Without one it says
// that the client went away: a test need not wait to see that.
func (c *IdleClient) Read(b []byte) (int, error) {
	n, err := c.Buffer.Read(b)
	if err == io.EOF && !c.Deadline.IsZero() {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}
