package splogger

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

// syslog is a syslogd's socket.
func syslog(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// next returns the next message.
func next(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 8192)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func log(t *testing.T, path, in string, args ...string) {
	t.Helper()
	program := proc.Program{Name: Splogger.Name, Run: func(_ context.Context, env *proc.Env) error { return run(env, path) }}
	if r := proctest.Run(&program, proctest.Case{Args: args, In: in}); r.Status != 0 || r.Out+r.Err != "" {
		t.Errorf("%+v", r)
	}
}

func TestLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c := syslog(t, path)
	for _, test := range []struct {
		in   string
		args []string
		want string // <priority>, tag, text
	}{
		{"hello\n", nil, "<22> splogger: hello"},
		{"hello", nil, "<22> splogger: hello"},
		{"\n\nx\n", []string{"qmail"}, "<22> qmail: x"},
		{"alert: oh no\n", []string{"qmail", "3"}, "<25> qmail: alert: oh no"},
		{"warning: a\x00b\xe9\t\r\n", []string{"qmail"}, "<20> qmail: warning: a?b???"},
		{"x\n", []string{"q", "x"}, "<6> q: x"},
		{"x\n", []string{"q", ""}, "<6> q: x"},
		{"x\n", []string{"q", "-1"}, "<6> q: x"},
		{"x\n", []string{"q", "127"}, "<1022> q: x"},
		{"alert: x\n", []string{"q", "128"}, "<9> q: alert: x"},
		{"x\n", []string{"q", "18446744073709551615"}, "<14> q: x"},
		{"alertx: y\n", []string{"q", "19"}, "<158> q: alertx: y"},
	} {
		log(t, path, test.in, test.args...)
		m := message.FindStringSubmatch(next(t, c))
		if m == nil || m[1]+" "+m[2]+": "+m[5] != test.want || m[4] != " " {
			t.Errorf("%q: %q, want %q", test.in, m, test.want)
		}
	}
}

// <priority>Mon dd hh:mm:ss tag: seconds.micro[ +]text
var message = regexp.MustCompile(`^(<[0-9]+>)[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} ([a-z]+): ([0-9]+\.[0-9]{6})([ +])(.*)$`)

func TestLongLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c := syslog(t, path)
	long := "warning: " + strings.Repeat("0123456789", 200)
	log(t, path, long+"\nshort\n")
	var stamp, got string
	for i := range 3 {
		m := message.FindStringSubmatch(next(t, c))
		if m == nil || m[1] != "<20>" || (m[4] == "+") != (i > 0) || stamp != "" && m[3] != stamp || i < 2 && len(m[5]) != 799 {
			t.Fatalf("piece %d: %q", i, m)
		}
		stamp, got = m[3], got+m[5]
	}
	if got != long {
		t.Errorf("%q", got)
	}
	if m := message.FindStringSubmatch(next(t, c)); m == nil || m[1] != "<22>" || m[5] != "short" {
		t.Errorf("%q", m)
	}
}

// A syslogd may take a stream, with a NUL behind each message.
func TestStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	got := make(chan string)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c)
		got <- string(b)
	}()
	log(t, path, "one\nalert: two\n", "qmail")
	parts := strings.Split(<-got, "\x00")
	if len(parts) != 3 || parts[2] != "" {
		t.Fatalf("%q", parts)
	}
	for i, want := range []string{"<22> qmail: one", "<17> qmail: alert: two"} {
		m := message.FindStringSubmatch(parts[i])
		if m == nil || m[1]+" "+m[2]+": "+m[5] != want {
			t.Errorf("%q, want %q", parts[i], want)
		}
	}
}

// A syslogd that is started anew gets the next line; one that goes in between costs
// no more than its lines.
func TestSyslogRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := &logger{path: path, socket: -1, tag: "t"}
	defer l.close()
	first, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	l.put([]byte("one"))
	next(t, first)
	first.Close()
	os.Remove(path)
	l.put([]byte("lost"))
	l.stamp = ""
	c := syslog(t, path)
	l.put([]byte("two"))
	if m := message.FindStringSubmatch(next(t, c)); m == nil || m[5] != "two" {
		t.Errorf("%q", m)
	}
	// Back before the next line is written: nothing is lost.
	c.Close()
	os.Remove(path)
	l.stamp = ""
	c = syslog(t, path)
	l.put([]byte("three"))
	if m := message.FindStringSubmatch(next(t, c)); m == nil || m[5] != "three" {
		t.Errorf("%q", m)
	}
}

// Without a syslogd lines are lost, and the program goes on.
func TestNoSyslog(t *testing.T) {
	log(t, filepath.Join(t.TempDir(), "none"), "a\nb\n")
}
