// Package stamp puts TAI64N labels in front of lines and turns them into local
// time again (package tai owns the label itself):
//
//	some text                              ⇄
//	@4000000037c219bf2ef02e94 some text    →
//	1999-08-23 21:03:43.787492500 some text
//
// Both programs are filters that write what they have before each read, so
// that a line is seen as soon as it is there; both end silently, with status
// 111, when reading or writing fails.
package stamp

import (
	"bytes"
	"context"
	"io"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/internal/tai"
)

// Tai64n is the program.
var Tai64n = proc.Program{Name: "tai64n", Run: tai64n}

const readSize = 16 << 10

// filter copies stdin to stdout through edit, which appends to dst what
// becomes of src.
func filter(env *proc.Env, edit func(dst, src []byte) []byte) error {
	sys.IgnoreSIGPIPE()
	in := make([]byte, readSize)
	var out []byte
	for {
		n, err := env.Files[0].Read(in)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return proc.Exit(proc.StatusTemporary)
		}
		out = edit(out[:0], in[:n])
		if _, err := env.Files[1].Write(out); err != nil {
			return proc.Exit(proc.StatusTemporary)
		}
	}
}

func tai64n(_ context.Context, env *proc.Env) error {
	inLine := false
	return filter(env, func(dst, src []byte) []byte {
		for len(src) > 0 {
			if !inLine {
				dst = append(tai.Append(dst, time.Now()), ' ')
			}
			end := bytes.IndexByte(src, '\n') + 1
			if inLine = end == 0; inLine {
				end = len(src)
			}
			dst = append(dst, src[:end]...)
			src = src[end:]
		}
		return dst
	})
}
