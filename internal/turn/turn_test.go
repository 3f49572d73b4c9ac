package turn

import (
	"bufio"
	"io"
	"strings"
	"testing"
)

// log is both ends of a connection, in the order of what happens there.
type log struct {
	strings.Builder
	in     *strings.Reader
	broken bool
}

func (l *log) Read(b []byte) (int, error) {
	l.WriteString("<")
	return l.in.Read(b[:min(len(b), 3)])
}

// Write is that of the Builder, until the connection breaks.
func (l *log) Write(b []byte) (int, error) {
	if l.broken {
		return 0, io.ErrClosedPipe
	}
	return l.Builder.Write(b)
}

func TestReader(t *testing.T) {
	l := &log{in: strings.NewReader("a\nb\nc")}
	out := bufio.NewWriter(l)
	in := bufio.NewReader(Reader{l, out})
	for {
		line, err := in.ReadString('\n')
		out.WriteString(strings.ToUpper(strings.TrimSpace(line)))
		if err == io.EOF {
			break
		}
	}
	out.Flush()
	if got := l.String(); got != "<A<B<C" {
		t.Errorf("%q", got)
	}
}

func TestNobodyThere(t *testing.T) {
	l := &log{in: strings.NewReader("a\n"), broken: true}
	out := bufio.NewWriter(l)
	out.WriteString("hello")
	if n, err := (Reader{l, out}).Read(make([]byte, 10)); n != 0 || err != io.ErrClosedPipe || l.in.Len() != 2 {
		t.Errorf("%d, %v", n, err)
	}
}
