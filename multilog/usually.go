package multilog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Usually copies its input to its output, and also writes the lines that match
// none of the patterns in a file to stderr.
var Usually = proc.Program{Name: "usually", Usage: "file", Run: usually}

const (
	shownSize = 500     // how much of a line is matched and shown
	fileSize  = 4 << 20 // maximum of the pattern file
)

func usually(_ context.Context, env *proc.Env) error {
	if len(env.Args) < 2 {
		return proc.ErrUsage
	}
	w := watcher{env: env, file: env.Args[1]}
	// HUP: read the patterns again.
	hangups, err := sys.Catch(unix.SIGHUP)
	if err != nil {
		return strerr.Unable("watch", "signals", err)
	}
	defer hangups.Close()
	if err := w.load(); err != nil {
		return err
	}
	buf := make([]byte, bufferSize)
	for {
		n, err := env.Files[0].Read(buf)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return strerr.Unable("read input", "", err)
		}
		_, err = env.Files[1].Write(buf[:n])
		if errors.Is(err, syscall.EPIPE) {
			return proc.BrokenPipe
		}
		if err != nil {
			return strerr.Unable("write output", "", err)
		}
		if hungUp(hangups) {
			if err := w.load(); err != nil {
				return err
			}
		}
		w.watch(buf[:n])
	}
}

func hungUp(hangups *sys.Caught) bool {
	poll := []unix.PollFd{{Fd: int32(hangups.R.Fd()), Events: unix.POLLIN}}
	if n, _ := unix.Poll(poll, 0); n <= 0 {
		return false
	}
	var seen [64]byte
	n, _ := hangups.R.Read(seen[:])
	return n > 0
}

type watcher struct {
	env      *proc.Env
	file     string
	patterns []string
	line     []byte // the one being read, cut to shownSize
}

// load reads the patterns, one per line, and adds an empty one: blank lines are
// usual.
func (w *watcher) load() error {
	text, err := fsys.ReadFile(fsys.OS{Root: w.env.Dir}, w.file, fileSize)
	if err != nil {
		return strerr.Unable("read", w.file, err)
	}
	w.patterns = append(strings.Split(string(text), "\n"), "")
	return nil
}

// watch looks at the lines that end in b. A last line without a line feed is
// usual.
func (w *watcher) watch(b []byte) {
	for {
		end := bytes.IndexByte(b, '\n')
		part := b
		if end >= 0 {
			part = b[:end]
		}
		w.line = append(w.line, part[:min(len(part), shownSize-len(w.line))]...)
		if end < 0 {
			return
		}
		b = b[end+1:]
		if len(w.line) == shownSize { // it may have been cut
			w.line = append(w.line, "..."...)
		}
		if !w.usual() {
			w.env.Files[2].Write(append(w.line, '\n'))
		}
		w.line = w.line[:0]
	}
}

func (w *watcher) usual() bool {
	for _, p := range w.patterns {
		if wild(p, w.line) {
			return true
		}
	}
	return false
}

// wild is usually's match. A star matches everything up to and including the
// first occurrence of the character that follows it, and that character is always
// literal: "**" matches up to and including the line's first star (usually.c).
func wild(pattern string, line []byte) bool {
	for {
		literal, rest, star := strings.Cut(pattern, "*")
		if len(line) < len(literal) || string(line[:len(literal)]) != literal {
			return false
		}
		line = line[len(literal):]
		if !star {
			return len(line) == 0
		}
		if rest == "" {
			return true
		}
		skip := bytes.IndexByte(line, rest[0])
		if skip < 0 {
			return false
		}
		line, pattern = line[skip+1:], rest[1:]
	}
}
