// Package turn has a server that collects its answers send them when it is its
// turn: when its client has, for now, said all.
//
//	client   NOOP NOOP NO                  OP
//	server                 +OK +OK  (read)     +OK
//
// That may be in the middle of a command, whose end may come only after the
// answers to those before it.
package turn

import (
	"bufio"
	"io"
)

// Reader reads from In, after sending what Out has collected. If that cannot be
// sent nobody reads it, and what is said further counts no more.
type Reader struct {
	In  io.Reader
	Out *bufio.Writer
}

func (r Reader) Read(b []byte) (int, error) {
	if err := r.Out.Flush(); err != nil {
		return 0, err
	}
	return r.In.Read(b)
}
