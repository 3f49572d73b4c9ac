package client

import (
	"context"
	"io"

	"paperpath/internal/proc"
	"paperpath/tcpserver/filter"
)

// Mconnect is mconnect(1): a person's connection to a server, SMTP's by default.
var Mconnect = proc.Program{Name: "mconnect", Usage: "[ host [ port ] ]", Run: mconnect}

// MconnectIO is what mconnect does with the connection that is descriptors 6 and
// 7.
var MconnectIO = proc.Program{Name: "mconnect-io", Run: mconnectIO}

func mconnect(ctx context.Context, env *proc.Env) error {
	conn, err := asTcpclient(ctx, env, argument(env, 1, "0"), argument(env, 2, "25"))
	if err != nil {
		return err
	}
	converse(env, conn, conn)
	return nil
}

func mconnectIO(_ context.Context, env *proc.Env) error {
	converse(env, env.Files[readFD], env.Files[writeFD])
	return nil
}

// converse copies input to the server, with a CR before every LF, and what the
// server says to the output, until the server says no more. The end of the input
// is not told to the server, who may still have much to say. An output that
// nobody reads is no reason to stop either, nor is it an error.
func converse(env *proc.Env, from io.Reader, to io.Writer) {
	go func() {
		copyThrough(to, env.Files[0], filter.AppendCRLF)
	}()
	copyThrough(lenient{env.Files[1]}, from, func(out, in []byte) []byte { return append(out, in...) })
}

// lenient writes what can be written.
type lenient struct{ io.Writer }

func (l lenient) Write(b []byte) (int, error) {
	l.Writer.Write(b)
	return len(b), nil
}

// block is read at a time.
const block = 8 << 10

// copyThrough copies what convert makes of the input, to its end or an error.
// The error is that of the output.
func copyThrough(to io.Writer, from io.Reader, convert func(out, in []byte) []byte) error {
	in := make([]byte, block)
	var out []byte
	for {
		n, err := from.Read(in)
		if n > 0 {
			out = convert(out[:0], in[:n])
			if _, err := to.Write(out); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
}
