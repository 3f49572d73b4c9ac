package remote

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func encoded(t *testing.T, message io.Reader) (string, error) {
	t.Helper()
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	err := encode(w, message)
	w.Flush()
	return b.String(), err
}

func TestEncode(t *testing.T) {
	for _, c := range []struct{ message, want string }{
		{"", ""},
		{"\n", "\r\n"},
		{"a\nb\n", "a\r\nb\r\n"},
		{".\n", "..\r\n"},
		{"..\n.a\n", "...\r\n..a\r\n"},
		{"a\r\nb\r\n", "a\r\nb\r\n"},
		{"a\rb\n", "a\r\nb\r\n"},
		{"a\r.\r\nb\n", "a\r\n..\r\nb\r\n"},
		{"\r.\r", "\r\n..\r\n"},
		{"\n.\r\n", "\r\n..\r\n"},
		{"\r\r\n", "\r\n\r\n"},
		{"\r\r.\r\r.\r\n", "\r\n\r\n..\r\n\r\n..\r\n"},
		{"a\n\r.\n", "a\r\n\r\n..\r\n"},
		{"a.\r", "a.\r\n"},
		{"\x00\xff\x1a\n", "\x00\xff\x1a\r\n"},
	} {
		for _, message := range []io.Reader{
			strings.NewReader(c.message),
			iotest.OneByteReader(strings.NewReader(c.message)), // state must outlive a read
			iotest.DataErrReader(strings.NewReader(c.message)),
		} {
			if got, err := encoded(t, message); got != c.want || err != nil {
				t.Errorf("%q: %q, %v; want %q", c.message, got, err, c.want)
			}
		}
	}
	for _, message := range []string{"a", "a\nb", "a\n.", "a\r.b"} {
		if _, err := encoded(t, strings.NewReader(message)); err != errPartialLine {
			t.Errorf("%q: %v", message, err)
		}
	}
	var unreadable readError
	if _, err := encoded(t, iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("a\nb\n")))); !errors.As(err, &unreadable) {
		t.Errorf("a message that cannot be read: %v", err)
	}
	w := bufio.NewWriter(errWriter{})
	if err := encode(w, strings.NewReader(strings.Repeat("a\n", 10000))); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a connection that cannot be written: %v", err)
	}
}

type errWriter struct{}

func (errWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// decode is a strict reader of DATA: lines end in CR LF, and there is no other
// CR or LF.
func decode(t *testing.T, data string) string {
	t.Helper()
	var message strings.Builder
	for data != "" {
		line, rest, ok := strings.Cut(data, "\r\n")
		if !ok || strings.ContainsAny(line, "\r\n") {
			t.Fatalf("a line with a CR or LF of its own: %q", line)
		}
		if line == "." {
			t.Fatalf("the message ends early, before %q", rest)
		}
		message.WriteString(strings.TrimPrefix(line, ".") + "\n")
		data = rest
	}
	return message.String()
}

// Whatever a message holds, the other side finds one message, however it ends
// lines, and without CRs it is the same message.
func FuzzEncode(f *testing.F) {
	for _, s := range []string{"a\n.\n", "\r.\r", "\n.\r\n", "a\r\n..\r\n", "\r\r\n.", ".", "\x00\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, message string) {
		data, err := encoded(t, strings.NewReader(message))
		if err != nil && err != errPartialLine {
			t.Fatal(err)
		}
		if other, _ := encoded(t, iotest.OneByteReader(strings.NewReader(message))); other != data {
			t.Fatalf("%q in one read, %q byte by byte", data, other)
		}
		for _, end := range []string{"\n", "\r", "\r\n"} {
			if strings.HasPrefix(data, "."+end) || strings.Contains(data, end+"."+end) ||
				strings.Contains(data, "\n."+end) || strings.Contains(data, "\r."+end) {
				t.Fatalf("%q: a dot on a line of its own in %q", message, data)
			}
		}
		if err != nil {
			return
		}
		want := strings.ReplaceAll(strings.ReplaceAll(message, "\r\n", "\n"), "\r", "\n")
		if got := decode(t, data); got != want {
			t.Fatalf("%q became %q", want, got)
		}
	})
}
