package tcpserver

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/internal/tcp"
	"paperpath/tcpserver/inside"
	"paperpath/test/bin"
)

// play is a program for these tests. Its first argument says what it does.
var play = proc.Program{Name: "play", Run: func(ctx context.Context, env *proc.Env) error {
	in, out := env.Files[0], env.Files[1]
	switch env.Args[1] {
	case "echo":
		_, err := io.Copy(out, in)
		return err
	case "vars":
		io.WriteString(out, strings.Join(env.Vars, "\n")+"\n"+strings.Join(env.Args[1:], " "))
		return nil
	case "wait":
		in.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := in.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			io.WriteString(out, "timeout")
		}
		return nil
	case "panic":
		var nobody *proc.Env
		nobody.Vars.Set("A", "B")
	case "exec":
		env.Vars.Set("SET", "by the one before")
		return env.Next(ctx, env, env.Args[2:])
	}
	return proc.Exit(7)
}}

// logTo is a descriptor 2.
type logTo struct {
	proc.Closed
	r *running
}

func (l logTo) Write(p []byte) (int, error) { return l.r.Write(p) }

// serveInside serves play, which is this test's own binary, in this process.
func serveInside(t *testing.T, limit uint64, args ...string) *running {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &running{}
	fd, err := bind(netip.MustParseAddrPort("127.0.0.1:0"), 20)
	if err != nil {
		t.Fatal(err)
	}
	local, err := tcp.Local(fd)
	if err != nil {
		t.Fatal(err)
	}
	unix.SetNonblock(fd, true)
	env := &proc.Env{Name: "tcpserver", Vars: proc.Vars{"PATH=" + filepath.Dir(self) + ":/usr/bin:/bin"}}
	env.Files[2] = logTo{r: r}
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "play", filepath.Base(self))
	}
	files := [8]proc.File{2: sys.NewFD(2)}
	for i := range files {
		if files[i] == nil {
			files[i] = proc.Closed{}
		}
	}
	s := newServer(&settings{verbosity: 2, limit: limit, hasLocalHost: true, inside: true}, env, files, []int{fd}, args)
	s.inside = inside.NewTable(map[string]*proc.Program{"paperpath/tcpserver.test": &play})
	done := make(chan error, 1)
	go func() { done <- s.serve(func() {}) }()
	r.port = strconv.Itoa(int(local.Port()))
	t.Cleanup(func() {
		s.stop()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("the server ended with %v", err)
			}
		case <-time.After(patience):
			t.Error("the server does not end")
		}
	})
	return r
}

func (r *running) ends(t *testing.T, status string) {
	t.Helper()
	r.waitLog(t, "end P status "+status+"\n")
}

func TestInside(t *testing.T) {
	r := serveInside(t, 40, "play", "echo")
	c := r.dial(t, "127.0.0.1", "127.0.0.1")
	io.WriteString(c, "hello")
	c.(*net.TCPConn).CloseWrite()
	if out, err := io.ReadAll(c); err != nil || string(out) != "hello" {
		t.Errorf("%q, %v", out, err)
	}
	r.waitLog(t, "status: 1/40\ntcpserver: pid P from 127.0.0.1\ntcpserver: ok P :127.0.0.1:PORT :127.0.0.1::N\n"+
		"tcpserver: end P status 0\ntcpserver: status: 0/40\n")
	if !strings.Contains(r.log.String(), "end "+strconv.Itoa(firstNumber)+" status") {
		t.Errorf("number:\n%s", r.log.String())
	}
}

func TestInsideEnvironmentAndStatus(t *testing.T) {
	r := serveInside(t, 40, "play", "vars", "an argument")
	out := r.ask(t, "127.0.0.1")
	if want := "PROTO=TCP TCPLOCALHOST= TCPLOCALIP=127.0.0.1 TCPLOCALPORT TCPREMOTEIP=127.0.0.1 TCPREMOTEPORT"; environment(out, "PROTO") != want ||
		!strings.HasSuffix(out, "vars an argument") {
		t.Errorf("%q", out)
	}
	serveInside(t, 40, "play", "what").ask(t, "127.0.0.1")
	r = serveInside(t, 40, "play", "fail")
	r.ask(t, "127.0.0.1")
	r.ends(t, "1792")
	if out := serveInside(t, 40, "play", "wait").ask(t, "127.0.0.1"); out != "timeout" {
		t.Errorf("%q", out)
	}
}

// A panic ends its connection and nothing else.
func TestInsidePanic(t *testing.T) {
	r := serveInside(t, 40, "play", "panic")
	for range 3 {
		if out := r.ask(t, "127.0.0.1"); out != "" {
			t.Errorf("%q", out)
		}
	}
	for end := time.Now().Add(patience); strings.Count(r.said(), "end P status 28416\n") < 3; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(r.said())
		}
	}
}

// What a program inside becomes is again one, or a process, which has the
// connection as if it had been started at once.
func TestInsideNext(t *testing.T) {
	for _, tt := range []struct {
		argv        []string
		out, status string
	}{
		{[]string{"play", "exec", "play", "vars"}, "SET=by the one before\nvars", "0"},
		{[]string{"play", "exec", "play", "fail"}, "", "1792"},
		{[]string{"play", "exec", "sh", "-c", "echo $SET; exit 3"}, "by the one before\n", "768"},
		{[]string{"play", "exec", "play", "exec", "sh", "-c", "kill -9 $$"}, "", "9"},
		{[]string{"play", "exec", "nothing-of-that-name"}, "", "28416"},
		{[]string{"sh", "-c", "exit 3"}, "", "768"},
	} {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range tt.argv {
			tt.argv[i] = strings.ReplaceAll(a, "play", filepath.Base(self))
		}
		r := serveInside(t, 40, tt.argv...)
		if out := r.ask(t, "127.0.0.1"); !strings.HasSuffix(out, tt.out) || tt.out == "" && out != "" {
			t.Errorf("%q: %q", tt.argv, out)
		}
		r.ends(t, tt.status)
		if strings.Count(r.said(), "pid P") != 1 || strings.Count(r.said(), "ok P") != 1 {
			t.Errorf("%q:\n%s", tt.argv, r.said())
		}
	}
	// The process waits for a slow client, as on any descriptor.
	r := serveInside(t, 40, "play", "exec", "head", "-n", "1")
	c := r.dial(t, "127.0.0.1", "127.0.0.1")
	r.waitLog(t, "ok P")
	time.Sleep(50 * time.Millisecond)
	io.WriteString(c, "a line\n")
	if out, err := io.ReadAll(c); err != nil || string(out) != "a line\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestInsideLimit(t *testing.T) {
	const limit, clients = 3, 10
	r := serveInside(t, limit, "play", "echo")
	var conns []net.Conn
	for range clients {
		conns = append(conns, r.dial(t, "127.0.0.1", "127.0.0.1"))
	}
	for _, c := range conns {
		io.WriteString(c, "x")
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	for _, m := range regexp.MustCompile(`status: (\d+)/3`).FindAllStringSubmatch(r.said(), -1) {
		if n, err := strconv.Atoi(m[1]); err != nil || n > limit {
			t.Errorf("status: %s", m[1])
		}
	}
}

func TestNumbers(t *testing.T) {
	var s server
	if a, b := s.newNumber(), s.newNumber(); a != firstNumber || b != firstNumber+1 {
		t.Error(a, b)
	}
	s.last = 1<<31 - 1
	if n := s.newNumber(); n != firstNumber {
		t.Error(n)
	}
}

// smtpServer runs the real tcpserver -i with the real qmail-smtpd.
func smtpServer(t *testing.T, port string, options ...string) *running {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/control", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/control/me", []byte("me.example\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := &running{dir: dir}
	r.cmd = exec.Command(filepath.Join(bin.Dir(t), "tcpserver"),
		slices.Concat(options, []string{"-i1vRHl0", "127.0.0.1", port, "qmail-smtpd"})...)
	r.cmd.Env = []string{"PATH=" + bin.Dir(t) + ":/bin:/usr/bin", "QMAILHOME=" + dir}
	log, err := os.Create(dir + "/log") // not a pipe: the worker outlives the server
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r.cmd.Stderr = log
	return r.start(t)
}

func (r *running) logFile(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(r.dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (r *running) waitFile(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(r.logFile(t), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log lacks %q:\n%s", text, r.logFile(t))
		}
	}
}

// worker returns the process number of the worker.
func (r *running) worker(t *testing.T) int {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		all, _ := filepath.Glob("/proc/" + strconv.Itoa(r.cmd.Process.Pid) + "/task/*/children")
		for _, name := range all {
			text, _ := os.ReadFile(name)
			for _, f := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
					return pid
				}
			}
		}
	}
	t.Fatal("no worker") // and no kill(0), which would end the test's own group
	return 0
}

func gone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(patience); syscall.Kill(pid, 0) == nil; time.Sleep(5 * time.Millisecond) {
		if text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); strings.Contains(string(text), ") Z ") {
			return // and nobody reaps it here
		}
		if time.Now().After(end) {
			t.Fatalf("process %d stays", pid)
		}
	}
}

// Whichever way the server ends, who is being served goes on, the port is free
// for the next server, and nothing stays after the last client.
func TestInsideEnd(t *testing.T) {
	for sig, ok := range map[syscall.Signal]bool{syscall.SIGTERM: true, syscall.SIGKILL: false} {
		r := smtpServer(t, "0")
		c := r.dial(t, "127.0.0.1", "127.0.0.1")
		b := bufio.NewReader(c)
		if line, err := b.ReadString('\n'); line != "220 me.example ESMTP\r\n" {
			t.Fatalf("%q, %v\n%s", line, err, r.logFile(t))
		}
		r.waitFile(t, "tcpserver: ok "+strconv.Itoa(firstNumber)+" 0:127.0.0.1:")
		worker := r.worker(t)
		r.cmd.Process.Signal(sig)
		if err := r.cmd.Wait(); (err == nil) != ok {
			t.Errorf("%v: %v", sig, err)
		}
		var next *running
		if ok {
			next = smtpServer(t, r.port) // at once
		}
		io.WriteString(c, "NOOP\r\n")
		if line, err := b.ReadString('\n'); line != "250 ok\r\n" {
			t.Errorf("%v: %q, %v", sig, line, err)
		}
		io.WriteString(c, "QUIT\r\n")
		if rest, err := io.ReadAll(b); string(rest) != "221 me.example\r\n" {
			t.Errorf("%v: %q, %v", sig, rest, err)
		}
		gone(t, worker)
		r.waitFile(t, "tcpserver: end "+strconv.Itoa(firstNumber)+" status 0\ntcpserver: status: 0/40\n")
		if next != nil && !strings.HasPrefix(next.ask0(t), "220 me.example ESMTP") {
			t.Error("the next server does not serve")
		}
	}
}

// ask0 returns the first line.
func (r *running) ask0(t *testing.T) string {
	t.Helper()
	line, _ := bufio.NewReader(r.dial(t, "127.0.0.1", "127.0.0.1")).ReadString('\n')
	return line
}

func TestWorkerDies(t *testing.T) {
	r := smtpServer(t, "0")
	r.waitFile(t, "status: 0/40")
	syscall.Kill(r.worker(t), syscall.SIGKILL)
	err := r.cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 111 || !strings.HasSuffix(r.logFile(t), "tcpserver: fatal: the process with the connections died\n") {
		t.Errorf("%v\n%s", err, r.logFile(t))
	}
}

// A qmail-smtpd that is not this server's own is a process, as without -i.
func TestInsideForeign(t *testing.T) {
	r := serve(t, "", "-iRHl0", "127.0.0.1", "0", "sh", "-c", "echo $$")
	out := strings.TrimSpace(r.ask(t, "127.0.0.1"))
	r.ends(t, "0")
	if !strings.Contains(r.log.String(), "pid "+out+" from") {
		t.Errorf("%s:\n%s", out, r.log.String())
	}
}
