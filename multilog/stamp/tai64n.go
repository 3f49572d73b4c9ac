// Package stamp puts time stamps in front of lines and turns them into local
// time again (package tai owns the label itself):
//
//	some text                              → tai64n →
//	@4000000037c219bf2ef02e94 some text    → tai64nlocal →
//	1999-08-23 21:03:43.787492500 some text
//
//	some text                              → accustamp →
//	935467423.787492 some text             → tailocal →
//	1999-08-23 21:03:43.787492 some text
//
// All are filters that write what they have before each read, so that a line
// is seen as soon as it is there.
package stamp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"syscall"

	"paperpath/internal/proc"
	"paperpath/internal/tai"
)

// Tai64n is the program. It ends silently, with status 111, when reading or
// writing fails.
var Tai64n = proc.Program{Name: "tai64n", Run: tai64n}

// readSize is how much is read at once: what a pipe holds.
const readSize = 64 << 10

// filter copies stdin to stdout through edit, which appends to dst what
// becomes of src. It returns what a failed read returned; a write that fails
// is the end.
func filter(env *proc.Env, edit func(dst, src []byte) []byte) error {
	in := make([]byte, readSize)
	var out []byte
	for {
		n, err := env.Files[0].Read(in)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		out = edit(out[:0], in[:n])
		if err := write(env, out); err != nil {
			return err
		}
	}
}

func write(env *proc.Env, out []byte) error {
	_, err := env.Files[1].Write(out)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPIPE):
		return proc.BrokenPipe
	}
	return proc.Exit(proc.StatusTemporary)
}

// silent has every error end a program with status 111 and no word.
func silent(err error) error {
	var exit proc.Exit
	if err == nil || errors.As(err, &exit) {
		return err
	}
	return proc.Exit(proc.StatusTemporary)
}

func tai64n(_ context.Context, env *proc.Env) error {
	inLine := false
	var clock tai.Clock
	return silent(filter(env, func(dst, src []byte) []byte {
		clock.Read()
		for len(src) > 0 {
			if !inLine {
				dst = append(dst, clock.Label[:]...)
				clock.Tick()
			}
			end := bytes.IndexByte(src, '\n') + 1
			if inLine = end == 0; inLine {
				end = len(src)
			}
			dst = append(dst, src[:end]...)
			src = src[end:]
		}
		return dst
	}))
}
