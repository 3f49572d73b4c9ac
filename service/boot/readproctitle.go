package boot

import (
	"bytes"
	"context"
	"io"
	"os"
	"unsafe"

	"paperpath/internal/proc"
)

// Readproctitle writes its input over its own last argument. It does not report
// failures, because nobody would see the message.
var Readproctitle = proc.Program{Name: "readproctitle", Usage: "...", Run: readproctitle}

const (
	shortest = 5 // useful window, in bytes
	lead     = 3 // dots that stay, as a sign that there was more
)

func readproctitle(_ context.Context, env *proc.Env) error {
	last := env.Args[len(env.Args)-1]
	if len(env.Args) < 2 || len(last) < shortest {
		return proc.Exit(proc.StatusPermanent)
	}
	window := title(last)
	for i := range window {
		window[i] = '.'
	}
	buf := make([]byte, 4096)
	for {
		n, err := env.Files[0].Read(buf)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return proc.Exit(proc.StatusTemporary)
		}
		// A NUL would end the argument for ps.
		scroll(window[lead:], bytes.ReplaceAll(buf[:n], []byte{0}, nil))
	}
}

// title returns the memory that ps(1) shows as an argument. The kernel put it there
// when this process began, and os.Args, made without copying, still points to it.
// An argument that is not the process's own (in a test) must not be written to.
func title(arg string) []byte {
	if n := len(os.Args); n > 0 && unsafe.StringData(os.Args[n-1]) == unsafe.StringData(arg) {
		return unsafe.Slice(unsafe.StringData(arg), len(arg))
	}
	return []byte(arg)
}

// scroll moves text into the window from its right end.
func scroll(window, text []byte) {
	if len(text) > len(window) {
		text = text[len(text)-len(window):]
	}
	copy(window, window[len(text):])
	copy(window[len(window)-len(text):], text)
}
