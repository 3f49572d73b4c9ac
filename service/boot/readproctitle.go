package boot

import (
	"bytes"
	"context"
	"io"
	"os"
	"unsafe"

	"paperpath/internal/proc"
)

// Readproctitle writes what it reads over its own last argument. It says nothing
// about its failures, because nobody is there to hear it.
var Readproctitle = proc.Program{Name: "readproctitle", Usage: "...", Run: readproctitle}

const (
	shortest = 5 // window that is good for anything
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
		// A NUL would end the argument for those who look at it.
		scroll(window[lead:], bytes.ReplaceAll(buf[:n], []byte{0}, nil))
	}
}

// title returns the memory that shows as an argument in ps(1). That is where the
// kernel put it when this process began, and os.Args, made without copying,
// still points there. An argument that is not the process's own (in a test) is
// no memory to write to.
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
