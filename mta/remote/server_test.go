package remote

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

// A script is what a server does, step by step:
//
//	> TEXT    sends TEXT and CR LF
//	+ TEXT    sends TEXT alone, with Go's escapes
//	<         reads a line
//	.         reads up to and with CR LF . CR LF
//	q         reads three netstrings, a QMTP package
//	close     closes the connection
//	reset     closes it with RST
//	hang      does nothing until the client goes
//	drip      sends a byte every now and then, for ever
//	flood T   sends T, with Go's escapes, for ever
//
// After the last step it reads until the client goes.
type script string

// server plays a script to its one client.
type server struct {
	port   int
	called atomic.Bool
	done   chan struct{}
	mu     sync.Mutex
	heard  strings.Builder
}

// Heard waits for the end of the connection and returns all that was read.
func (s *server) Heard(t *testing.T) string {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(time.Minute):
		t.Fatal("the connection did not end")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard.String()
}

func serve(t *testing.T, address string, play script) *server {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("no listener on %s: %v", address, err)
	}
	return serveOn(t, l, play)
}

func serveOn(t *testing.T, l net.Listener, play script) *server {
	t.Cleanup(func() { l.Close() })
	s := &server{port: l.Addr().(*net.TCPAddr).Port, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.called.Store(true)
		defer c.Close()
		s.play(c.(*net.TCPConn), play)
	}()
	return s
}

func (s *server) play(c *net.TCPConn, play script) {
	r := bufio.NewReader(c)
	hear := func(b string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.heard.Len() < 1<<20 {
			s.heard.WriteString(b)
		}
	}
	for step := range strings.SplitSeq(strings.TrimSpace(string(play)), "\n") {
		word, text, _ := strings.Cut(strings.TrimSpace(step), " ")
		raw, err := strconv.Unquote(`"` + text + `"`)
		if err != nil && word != ">" {
			panic("bad script: " + step)
		}
		switch word {
		case ">":
			c.Write([]byte(text + "\r\n"))
		case "+":
			c.Write([]byte(raw))
		case "<":
			line, _ := r.ReadString('\n')
			hear(line)
		case ".":
			for end := ""; end != ".\r\n"; {
				line, err := r.ReadString('\n')
				hear(line)
				if end = line; err != nil {
					break
				}
			}
		case "q":
			for range 3 {
				size, _ := r.ReadString(':')
				hear(size)
				n, _ := strconv.Atoi(strings.TrimSuffix(size, ":"))
				text := make([]byte, n+1)
				n, _ = io.ReadFull(r, text)
				hear(string(text[:n]))
			}
		case "close":
			c.Close()
			return
		case "reset":
			c.SetLinger(0)
			c.Close()
			return
		case "hang":
			c.SetReadBuffer(4096)
			for range 3000 { // without reading: until writing fails
				time.Sleep(20 * time.Millisecond)
				if s.gone(c) {
					return
				}
			}
		case "drip":
			for range 3000 {
				time.Sleep(20 * time.Millisecond)
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
			}
		case "flood":
			for err == nil {
				_, err = c.Write([]byte(strings.Repeat(raw, 1000)))
			}
			return
		case "":
		default:
			panic("bad script: " + step)
		}
	}
	c.SetReadDeadline(time.Now().Add(time.Minute))
	b := make([]byte, 4096)
	for {
		n, err := r.Read(b)
		hear(string(b[:n]))
		if err != nil {
			return
		}
	}
}

// gone reports whether the other side has closed the connection, without
// reading what it sent before.
func (s *server) gone(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, _ := unix.Poll(p, 0)
		gone = n > 0 && p[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return gone
}

// home makes a qmail home whose mail all goes to port, with other control
// files as given.
func home(t *testing.T, address string, port int, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{
		"me":             "client.test\n",
		"smtproutes":     ":[" + address + "]:" + strconv.Itoa(port) + "\n",
		"timeoutremote":  "20\n",
		"timeoutconnect": "20\n",
	}
	for name, text := range files {
		all[name] = text
	}
	if err := os.MkdirAll(filepath.Join(dir, "control"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(dir, "control", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// qmailRemote runs the program and returns what it printed, NULs shown as |.
var qmailRemote = func(t *testing.T, home string, message string, args ...string) string {
	t.Helper()
	r := proctest.Run(&QmailRemote, proctest.Case{
		Args: args,
		In:   message,
		Vars: proc.Vars{"QMAILHOME=" + home, "DNSCACHEIP=127.0.0.1:1"},
	})
	if r.Status != 0 || r.Err != "" {
		t.Errorf("status %d, %q on descriptor 2", r.Status, r.Err)
	}
	return strings.ReplaceAll(r.Out, "\x00", "|")
}
