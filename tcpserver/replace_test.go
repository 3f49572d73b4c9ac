package tcpserver

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// terminate sends TERM and waits for the server's end.
func (r *running) terminate(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r.over(t)
}

// over waits for the server's end.
func (r *running) over(t *testing.T) {
	t.Helper()
	overdue := time.AfterFunc(patience, func() { r.cmd.Process.Kill() })
	defer overdue.Stop()
	state, err := r.cmd.Process.Wait() // not Cmd.Wait: programs may hold our pipe
	if err != nil || state.ExitCode() != 0 {
		t.Errorf("%v, %v\n%s", state, err, r.said())
	}
}

// With -T running connections may end, until the time is over.
func TestTermWithDeadline(t *testing.T) {
	for _, options := range []string{"-RHl0", "-iRHl0"} {
		r := serve(t, "", options, "-T", "60", "127.0.0.1", "0", "cat")
		c := r.hold(t, "127.0.0.1")
		if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			other, err := net.Dial("tcp", "127.0.0.1:"+r.port)
			if err != nil {
				break
			}
			other.Close()
			if time.Now().After(end) {
				t.Fatal("it goes on listening")
			}
		}
		if _, err := io.WriteString(c, "y"); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Errorf("%s: %v", options, err)
		}
		c.Close()
		r.over(t)

		r = serve(t, "", options, "-T", "0", "127.0.0.1", "0", "cat")
		c = r.hold(t, "127.0.0.1")
		r.terminate(t)
		if b, err := io.ReadAll(c); len(b) != 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %q, %v", options, b, err)
		}
		r.waitLog(t, "end P status 15\n")
	}
}

// A function inside ends with its connection.
func TestInterruptInside(t *testing.T) {
	r := smtpServer(t, "0", "-T0")
	c := r.dial(t, "127.0.0.1", "127.0.0.1")
	if _, err := io.ReadFull(c, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	worker := r.worker(t)
	r.terminate(t)
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	gone(t, worker)
}

// While clients keep coming, servers replace each other: started beside the
// running one, and started after it got TERM. Nobody is refused.
func TestReplace(t *testing.T) {
	for _, options := range []string{"-RHl0", "-iRHl0"} {
		name := t.TempDir() + "/next"
		r := serve(t, "", options, "-c100", "-K", name, "127.0.0.1", "0", "echo", "hi")
		port := r.port
		next := func() *running {
			n := command(t, "", nil, "-1", options, "-c100", "-K", name, "127.0.0.1", port, "echo", "hi").start(t)
			if n.port != port {
				t.Fatalf("port %s, want %s", n.port, port)
			}
			return n
		}
		var done atomic.Bool
		var served atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for !done.Load() {
					c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, patience)
					if err != nil {
						t.Error(err)
						return
					}
					c.SetDeadline(time.Now().Add(patience))
					b, err := io.ReadAll(c)
					c.Close()
					if string(b) != "hi\n" {
						t.Errorf("%q, %v", b, err)
						return
					}
					served.Add(1)
				}
			})
		}
		more := func() {
			for end, n := time.Now().Add(patience), served.Load()+10; served.Load() < n && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
		}
		more()
		for range 2 {
			n := next()
			r.over(t)
			more()
			n.terminate(t)
			time.Sleep(20 * time.Millisecond) // nobody serves; clients wait
			r = next()
			more()
		}
		done.Store(true)
		wg.Wait()
		if served.Load() == 0 {
			t.Error("nobody was served")
		}
		r.terminate(t)
		r = next() // so that no keeper is left
		if out := r.ask(t, "127.0.0.1"); out != "hi\n" {
			t.Errorf("%q", out)
		}
	}
}

// A server that waits for its last connections, as -T says, has given its sockets
// to the keeper: it is not to answer the next one with those it has closed.
func TestReplaceWhileOneWaits(t *testing.T) {
	for _, options := range []string{"-RHl0", "-iRHl0"} {
		name := t.TempDir() + "/next"
		r := serve(t, "", options, "-T60", "-K", name, "127.0.0.1", "0", "cat")
		c := r.hold(t, "127.0.0.1")
		if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		keeper := keeperOf(t, name)
		n := command(t, "", nil, "-1", options, "-K", name, "127.0.0.1", r.port, "echo", "hi").start(t)
		if out := n.ask(t, "127.0.0.1"); n.port != r.port || out != "hi\n" {
			t.Errorf("%s: port %s, want %s; %q", options, n.port, r.port, out)
		}
		gone(t, keeper)
		c.Close()
		r.over(t)
	}
}

// Who is on the way to his program when a server is told to end comes there.
func TestOnTheWay(t *testing.T) {
	for _, options := range []string{"-RHl0", "-iRHl0"} {
		for _, replace := range []bool{false, true} {
			name := t.TempDir() + "/next"
			r := serve(t, "", options, "-y", "127.0.0.9", "-K", name, "127.0.0.1", "0", "echo", "old")
			c := r.dial(t, "127.0.0.9", "127.0.0.1")
			r.ask(t, "127.0.0.1") // it was accepted, as the one before this
			next := func() *running {
				return command(t, "", nil, "-1", options, "-K", name, "127.0.0.1", r.port, "echo", "new").start(t)
			}
			var n *running
			if replace {
				n = next()
			} else {
				if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				n = next() // so that no keeper is left
			}
			// Both may serve for a moment.
			for end := time.Now().Add(patience); n.ask(t, "127.0.0.1") != "new\n"; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%s: the next server does not serve", options)
				}
			}
			io.WriteString(c, "PROXY UNKNOWN\r\n")
			if b, err := io.ReadAll(c); string(b) != "old\n" {
				t.Errorf("%s, replaced %v: %q, %v", options, replace, b, err)
			}
			r.over(t)
		}
	}
}

// keeperOf waits for the keeper of the sockets that are to be had at name.
func keeperOf(t *testing.T, name string) int {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, file := range all {
			text, _ := os.ReadFile(file) // it may be gone
			if args := strings.Split(string(text), "\x00"); args[0] == keeperName && slices.Contains(args, name) {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
				return pid
			}
		}
	}
	t.Fatal("no keeper")
	return 0
}

// The socket is for root and for the server's own user.
func TestReplacementSocket(t *testing.T) {
	name := t.TempDir() + "/next"
	serve(t, "", "-RHl0", "-K", name, "127.0.0.1", "0", "echo")
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	// Whatever the umask.
	defer syscall.Umask(syscall.Umask(0o77))
	for _, mode := range []os.FileMode{0o600, 0o666} {
		fd, err := listenUnix(name+"2", uint32(mode))
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
		if info, err := os.Stat(name + "2"); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%v, %v; want %v", info, err, mode)
		}
	}
	// Other addresses are not what the running server has to give.
	r := command(t, "", nil, "-1RHl0", "-K", name, "127.0.0.2", "0", "echo", "other").start(t)
	c, err := net.Dial("tcp", "127.0.0.2:"+r.port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if b, err := io.ReadAll(c); string(b) != "other\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// Sockets that the caller opened, as systemd does: two for clients, one for the
// status.
func TestActivation(t *testing.T) {
	for _, options := range []string{"-vRHl0", "-ivRHl0"} {
		var files []*os.File
		var ports []string
		for range 2 {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			f, err := l.(*net.TCPListener).File()
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			_, port, _ := net.SplitHostPort(l.Addr().String())
			files, ports = append(files, f), append(ports, port)
		}
		// The shell is the process that becomes tcpserver.
		shell := []string{"/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`}
		r := command(t, "", shell, options, "0", "0", "sh", "-c", "env; ls /proc/self/fd")
		status, err := net.Listen("unix", r.dir+"/status")
		if err != nil {
			t.Fatal(err)
		}
		f, err := status.(*net.UnixListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		status.(*net.UnixListener).SetUnlinkOnClose(false)
		status.Close()
		r.cmd.ExtraFiles = []*os.File{files[0], f, files[1]}
		r.cmd.Env = append(r.cmd.Env, "LISTEN_FDS=3", "LISTEN_FDNAMES=smtp:status:submission")
		if err := r.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			r.cmd.Process.Kill()
			r.cmd.Wait()
		})
		for _, r.port = range ports {
			out := r.ask(t, "127.0.0.1")
			if !strings.Contains(out, "TCPLOCALPORT="+r.port+"\n") || strings.Contains(out, "LISTEN_") || !strings.HasSuffix(out, "\n0\n1\n2\n3\n") {
				t.Errorf("%q", out)
			}
		}
		if text := r.status(t); !strings.Contains(text, "accepted_total 2\n") {
			t.Error(text)
		}
		r.terminate(t)
		// They are the caller's, and not shut.
		c, err := net.Dial("tcp", "127.0.0.1:"+ports[0])
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

func TestActivationTrouble(t *testing.T) {
	for _, tt := range []struct{ count, want string }{
		{"x", "tcpserver: fatal: unable to understand $LISTEN_FDS: x\n"},
		{"-1", "tcpserver: fatal: unable to understand $LISTEN_FDS: -1\n"},
		{"1", "tcpserver: fatal: unable to use descriptor 3: "},
	} {
		shell := []string{"/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@" 3</dev/null`}
		r := command(t, "", shell, "0", "0", "echo")
		r.cmd.Env = append(r.cmd.Env, "LISTEN_FDS="+tt.count)
		if err := r.cmd.Run(); err == nil || !strings.HasPrefix(r.said(), tt.want) {
			t.Errorf("%s: %v, %q", tt.count, err, r.said())
		}
	}
	shell := []string{"/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@" 3</dev/null`}
	r := command(t, "", shell, "127.0.0.1", "0", "echo")
	r.cmd.Env = append(r.cmd.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES=status")
	if err := r.cmd.Run(); err == nil || !strings.HasPrefix(r.said(), "tcpserver: fatal: unable to use descriptor 3: ") {
		t.Errorf("%v, %q", err, r.said())
	}
	// Another process's are nobody's.
	r = command(t, "", nil, "-1RHl0", "127.0.0.1", "0", "env")
	r.cmd.Env = append(r.cmd.Env, "LISTEN_FDS=1", "LISTEN_PID="+strconv.Itoa(os.Getpid()))
	if out := r.start(t).ask(t, "127.0.0.1"); !strings.Contains(out, "LISTEN_FDS=1\n") {
		t.Errorf("%q", out)
	}
}

// A server before that does not hand its sockets over keeps the next one from
// nothing.
func TestReplaceRefused(t *testing.T) {
	r := command(t, "", nil, "-1RHl0", "-K", "socket", "127.0.0.1", "0", "echo", "hi")
	l, err := net.Listen("unix", r.dir+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
	}()
	if out := r.start(t).ask(t, "127.0.0.1"); out != "hi\n" {
		t.Errorf("%q", out)
	}
	if want := "tcpserver: warning: unable to take over from socket: it does not hand its sockets over: it is ending, or another user's\n"; r.said() != want {
		t.Errorf("%q, want %q", r.said(), want)
	}
}

func TestSeveralAddresses(t *testing.T) {
	r := serve(t, "", "-RHl0", "127.0.0.1,127.0.0.2", "0", "echo", "hi")
	if out := r.ask(t, "127.0.0.1"); out != "hi\n" {
		t.Errorf("%q", out)
	}
}
