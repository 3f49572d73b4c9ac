package send

import (
	"io"
	"strconv"
	"sync"
)

// logger writes the lines of qmail-log(5). They are gathered and written
// together before the program waits for anything: a burst of deliveries costs
// one write instead of a dozen a line.
type logger struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte
}

// maxGathered is when lines are written without waiting for the burst's end.
const maxGathered = 8 << 10

// line adds one line made of parts.
func (l *logger) line(parts ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range parts {
		l.buf = append(l.buf, p...)
	}
	l.buf = append(l.buf, '\n')
	if len(l.buf) > maxGathered {
		l.write()
	}
}

func (l *logger) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.buf) > 0 {
		l.write()
	}
}

// write ignores errors: mail goes on when nobody records it.
func (l *logger) write() {
	l.w.Write(l.buf)
	l.buf = l.buf[:0]
}

// safe makes text from outside fit for a log line (logsafe, qsutil.c): a line
// end becomes a slash, whatever is not printable ASCII an underscore, and so
// does a percent sign, which syslogs have taken for a format.
func safe(s string) string {
	b := []byte(s)
	for i, c := range b {
		switch {
		case c == '\n':
			b[i] = '/'
		case c == '%', c < 33, c > 126:
			b[i] = '_'
		}
	}
	return string(b)
}

func decimal[T int | int64 | uint64](n T) string {
	if n < 0 {
		return strconv.FormatInt(int64(n), 10)
	}
	return strconv.FormatUint(uint64(n), 10)
}
