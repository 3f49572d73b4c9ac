package filter

import (
	"bytes"
	"context"
	"errors"
	"io"
	"syscall"

	"paperpath/internal/proc"
)

// Addcr copies descriptor 0 to 1 and puts a CR in front of every LF, even where
// there is one.
var Addcr = proc.Program{Name: "addcr", Run: addcr}

// Delcr copies descriptor 0 to 1 and takes away the CR in front of every LF, the
// last one of several.
var Delcr = proc.Program{Name: "delcr", Run: delcr}

const filterBlock = 64 << 10

func addcr(_ context.Context, env *proc.Env) error {
	return pass(env, AppendCRLF, func(out []byte) []byte { return out })
}

func delcr(_ context.Context, env *proc.Env) error {
	var d DelCR
	return pass(env, d.Append, d.AppendEnd)
}

// pass copies input to output through convert, and what end adds. Like the C
// programs it passes on whatever a read has brought before it reads again, and
// says nothing of an error.
func pass(env *proc.Env, convert func(out, in []byte) []byte, end func(out []byte) []byte) error {
	in := make([]byte, filterBlock)
	var out []byte
	for {
		n, err := env.Files[0].Read(in)
		out = convert(out[:0], in[:n])
		if err == io.EOF {
			out = end(out)
		}
		if _, err := env.Files[1].Write(out); err != nil {
			return writeFailure(err)
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return proc.Exit(proc.StatusTemporary)
		}
	}
}

// writeFailure ends a filter as one in C ends: by the signal, if nobody reads
// its output any more.
func writeFailure(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return proc.BrokenPipe
	}
	return proc.Exit(proc.StatusTemporary)
}

// AppendCRLF appends in to out, with a CR before every LF.
func AppendCRLF(out, in []byte) []byte {
	for {
		i := bytes.IndexByte(in, '\n')
		if i < 0 {
			return append(out, in...)
		}
		out = append(out, in[:i]...)
		out = append(out, '\r', '\n')
		in = in[i+1:]
	}
}

// DelCR turns CR LF into LF in what comes piece by piece.
type DelCR struct {
	held bool // a CR at the end of the last piece
}

// Append appends in to out, without the CRs before LFs. A CR at the end of in
// waits for what follows.
func (d *DelCR) Append(out, in []byte) []byte {
	if len(in) == 0 {
		return out
	}
	if d.held && in[0] != '\n' {
		out = append(out, '\r')
	}
	d.held = in[len(in)-1] == '\r'
	if d.held {
		in = in[:len(in)-1]
	}
	for {
		i := bytes.IndexByte(in, '\r')
		if i < 0 {
			return append(out, in...)
		}
		out = append(out, in[:i]...)
		// What is not held back has a byte after it, or the held one after that.
		if i+1 == len(in) || in[i+1] != '\n' {
			out = append(out, '\r')
		}
		in = in[i+1:]
	}
}

// AppendEnd appends the CR that a partial last line ends with.
func (d *DelCR) AppendEnd(out []byte) []byte {
	if d.held {
		d.held = false
		out = append(out, '\r')
	}
	return out
}

// fixCR puts a CR before every LF that has none, in what comes piece by piece.
type fixCR struct {
	cr bool // the last piece ended with one
}

func (f *fixCR) append(out, in []byte) []byte {
	for {
		i := bytes.IndexByte(in, '\n')
		if i < 0 {
			if len(in) > 0 {
				f.cr = in[len(in)-1] == '\r'
			}
			return append(out, in...)
		}
		if i > 0 {
			f.cr = in[i-1] == '\r'
		}
		out = append(out, in[:i]...)
		if !f.cr {
			out = append(out, '\r')
		}
		out = append(out, '\n')
		f.cr = false
		in = in[i+1:]
	}
}
