// Package e2e tests the whole system as "make run" brings it up: real
// processes under svscan, real SMTP, real Maildirs.
package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/proc/proctest"
	"paperpath/test/bin"
)

func TestMain(m *testing.M) { bin.Main(m) }

// patience bounds every wait. It is not a measure of anything: a machine may
// be busy with other tests.
const patience = 2 * time.Minute

// eventually polls until ok returns true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("still waiting: %s", what)
}

// server is a running "make run".
type server struct {
	t    testing.TB
	dir  string // RUN_DIR
	port int    // of SMTP

	ports     map[string]int    // by protocol
	passwords map[string]string // by user; of the first start
	cmd       *exec.Cmd
	out       *proctest.Buffer
	done      chan struct{} // closed when it has ended
}

// runDir returns a place for a server that an ordinary user can reach.
func runDir(t testing.TB) string {
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	return filepath.Join(dir, "run")
}

var (
	portLine     = regexp.MustCompile(`(?m)^  ([A-Z0-9]+) +127\.0\.0\.1 port ([0-9]+)$`)
	passwordLine = regexp.MustCompile(`(?m)^  password +([a-z]+) +(\S+)$`)
)

// start brings a server up in dir and waits until it says that it runs.
func start(t testing.TB, dir string) *server {
	t.Helper()
	s := &server{t: t, dir: dir, out: &proctest.Buffer{}, done: make(chan struct{})}
	s.cmd = exec.Command(filepath.Join(bin.Dir(t), "demo"))
	s.cmd.Env = append(os.Environ(), "RUN_DIR="+dir, "SMTP_PORT=0", "POP3_PORT=0", "QMTP_PORT=0", "QMQP_PORT=0")
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(s.cleanUp)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if text := s.out.String(); strings.Contains(text, "Ctrl-C") {
			s.ports, s.passwords = map[string]int{}, map[string]string{}
			for _, m := range portLine.FindAllStringSubmatch(text, -1) {
				s.ports[m[1]], _ = strconv.Atoi(m[2])
			}
			for _, m := range passwordLine.FindAllStringSubmatch(text, -1) {
				s.passwords[m[1]] = m[2]
			}
			s.port = s.ports["SMTP"]
			return s
		}
		select {
		case <-s.done:
			t.Fatalf("the server did not start\n%s", s.out)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("the server did not start in time\n%s", s.out)
		}
	}
}

// stop ends the server as Ctrl-C does and checks that no process is left.
func (s *server) stop() {
	s.t.Helper()
	below := s.processes()
	s.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-s.done:
	case <-time.After(patience):
		s.t.Fatalf("the server does not stop\n%s", s.out)
	}
	if !s.cmd.ProcessState.Success() {
		s.t.Errorf("the server ended with %v", s.cmd.ProcessState)
	}
	for pid, name := range below {
		if comm(pid) == name {
			s.t.Errorf("%s (%d) is left running", name, pid)
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// cleanUp leaves no process behind, whatever the test did.
func (s *server) cleanUp() {
	below := s.processes()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(patience):
		s.t.Errorf("the server does not stop\n%s", s.out)
		for pid := range below {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		s.cmd.Process.Kill()
		<-s.done
	}
	if s.t.Failed() {
		s.t.Logf("output:\n%s", s.out)
		for _, log := range []string{"svscan", "qmail-send/current", "qmail-smtpd/current"} {
			text, _ := os.ReadFile(filepath.Join(s.dir, "log", log))
			s.t.Logf("the end of %s:\n%s", log, text[max(0, len(text)-4000):])
		}
	}
}

// processes returns the names of all processes below the server's, by pid.
func (s *server) processes() map[int]string { return descendants(s.cmd.Process.Pid) }

func descendants(root int) map[int]string {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(name, "/")[2])
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 2 || fields[0] == "Z" {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], pid)
	}
	found := map[int]string{}
	var walk func(int)
	walk = func(pid int) {
		for _, c := range children[pid] {
			if found[c] == "" {
				found[c] = comm(c)
				walk(c)
			}
		}
	}
	walk(root)
	return found
}

func comm(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(text))
}

// tool runs one of the server's programs in its environment.
func (s *server) tool(name string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(s.dir, "bin", name), args...)
	cmd.Env = []string{"QMAILHOME=" + s.dir, "PATH=" + s.dir + "/bin:/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// write replaces a file below the server's directory.
func (s *server) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) log(service string) string {
	var all []byte
	names, _ := filepath.Glob(filepath.Join(s.dir, "log", service, "[@c]*"))
	for _, name := range names {
		text, _ := os.ReadFile(name)
		all = append(all, text...)
	}
	return string(all)
}

// client is an SMTP dialogue.
type client struct {
	conn net.Conn
	r    *bufio.Reader
}

func (s *server) dial() (*client, error) {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.port), patience)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	c := &client{conn, bufio.NewReader(conn)}
	if reply, err := c.reply(); err != nil || reply[0] != '2' {
		conn.Close()
		return nil, fmt.Errorf("greeting %q: %w", reply, err)
	}
	return c, nil
}

func (c *client) reply() (string, error) {
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return line, err
		}
		if len(line) < 4 || line[3] != '-' {
			return strings.TrimRight(line, "\r\n"), nil
		}
	}
}

func (c *client) say(text string) (string, error) {
	if _, err := io.WriteString(c.conn, text); err != nil {
		return "", err
	}
	return c.reply()
}

// submit sends one message, data given as it goes over the wire without the
// final dot, and returns the reply to it or to the first command refused.
func (s *server) submit(from string, to []string, data string) (string, error) {
	c, err := s.dial()
	if err != nil {
		return "", err
	}
	defer c.conn.Close()
	lines := []string{"EHLO client.test", "MAIL FROM:<" + from + ">"}
	for _, r := range to {
		lines = append(lines, "RCPT TO:<"+r+">")
	}
	for _, l := range append(lines, "DATA") {
		if reply, err := c.say(l + "\r\n"); err != nil || reply[0] > '3' {
			return reply, err
		}
	}
	reply, err := c.say(data + ".\r\n")
	if err == nil {
		c.say("QUIT\r\n")
	}
	return reply, err
}

// send submits a message that must be taken.
func (s *server) send(from, to, data string) {
	s.t.Helper()
	reply, err := s.submit(from, []string{to}, data)
	if err != nil || !strings.HasPrefix(reply, "250 ok ") {
		s.t.Fatalf("sending to %s: %q, %v", to, reply, err)
	}
}

// arrived returns the file in alice's Maildir that contains mark.
func (s *server) arrived(mark string) (text string) {
	s.t.Helper()
	eventually(s.t, "a message with "+mark, func() bool {
		text = s.find("home/alice/Maildir/new", mark)
		return text != ""
	})
	return text
}

func (s *server) find(dir, mark string) string {
	names, _ := filepath.Glob(filepath.Join(s.dir, dir, "*"))
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil && bytes.Contains(text, []byte(mark)) {
			return string(text)
		}
	}
	return ""
}

// empty waits until nothing is queued. (A qmail-queue that was killed leaves
// its unfinished message to the cleaner, which comes after 36 hours.)
func (s *server) empty() {
	s.t.Helper()
	eventually(s.t, "the queue to be empty", func() bool {
		return s.tool("qmail-qread") == "" && strings.HasSuffix(s.tool("qmail-qstat"), "not yet preprocessed: 0\n")
	})
}
