package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/proc"
	"paperpath/mta/queue/resident"
	"paperpath/test/bin"
)

func TestMain(m *testing.M) { bin.Main(m) }

// patience bounds the waiting for what must come.
const patience = 30 * time.Second

// realHome lays out a home with a queue and our qmail-queue, without any rights
// but the caller's.
func realHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	if err := os.Mkdir(home+"/bin", 0o700); err != nil {
		t.Fatal(err)
	}
	makeQueue(t, home)
	if err := os.Symlink(filepath.Join(bin.Dir(t), "qmail-queue"), home+"/bin/qmail-queue"); err != nil {
		t.Fatal(err)
	}
	return home
}

func makeQueue(t *testing.T, home string) {
	t.Helper()
	dirs := []string{"pid", "intd", "todo", "lock"}
	for i := range 23 {
		dirs = append(dirs, "mess/"+strconv.Itoa(i))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(filepath.Join(home, "queue", dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// queued returns what of the messages follows qmail-queue's own line.
func queued(t *testing.T, home string) (bodies map[string]int) {
	t.Helper()
	bodies = map[string]int{}
	todo, err := filepath.Glob(home + "/queue/todo/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range todo {
		envelope, err1 := os.ReadFile(name)
		mess, _ := filepath.Glob(home + "/queue/mess/*/" + filepath.Base(name))
		if len(mess) != 1 {
			t.Fatalf("%s has the messages %q", name, mess)
		}
		text, err2 := os.ReadFile(mess[0])
		head, body, _ := strings.Cut(string(text), "\n")
		if err1 != nil || err2 != nil || !strings.HasPrefix(head, "Received: (qmail ") ||
			!strings.HasSuffix(string(envelope), "\x00Fs@x\x00Tr@y\x00") {
			t.Errorf("%q, %q (%v, %v)", envelope, head, err1, err2)
		}
		bodies[body]++
	}
	return bodies
}

// hand hands one message to the queue.
func hand(t *testing.T, p *Pool, home, body string, vars ...string) (answer string, pid int) {
	t.Helper()
	c, err := p.Start(home, proc.Vars(vars))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte(body)); err != nil {
		t.Log(err)
	}
	c.Envelope("s@x")
	c.Recipient("r@y")
	return c.Close(), c.PID()
}

func TestPool(t *testing.T) {
	home := realHome(t)
	p := NewPool()
	const clients, each = 6, 20
	if answer, _ := hand(t, p, home, "first\n"); answer != "" { // others would not wait for what comes of it
		t.Fatal(answer)
	}
	pids := map[int]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for j := range each {
				body := strings.Repeat(fmt.Sprintf("message %d of client %d\n", j, i), 1+j*j*20)
				answer, pid := hand(t, p, home, body)
				if answer != "" {
					t.Errorf("message %d of client %d: %q", j, i, answer)
				}
				mu.Lock()
				pids[pid] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	bodies := queued(t, home)
	if len(bodies) != clients*each+1 {
		t.Errorf("%d messages, want %d", len(bodies), clients*each+1)
	}
	for body, n := range bodies {
		line, _, _ := strings.Cut(body, "\n")
		if n != 1 || strings.Count(body, line+"\n")*(len(line)+1) != len(body) {
			t.Errorf("%q: %d times, or not whole", line, n)
		}
	}
	if len(pids) > clients {
		t.Errorf("%d processes for %d clients", len(pids), clients)
	}
}

// A queue that was put in the place of another gets the next message.
func TestPoolQueueReplaced(t *testing.T) {
	home := realHome(t)
	p := NewPool()
	_, pid := hand(t, p, home, "first\n")
	if err := os.Rename(home+"/queue", home+"/queue.old"); err != nil {
		t.Fatal(err)
	}
	makeQueue(t, home)
	if got, next := hand(t, p, home, "second\n"); got != "" || next != pid {
		t.Errorf("%q, from process %d after %d", got, next, pid)
	}
	if bodies := queued(t, home); len(bodies) != 1 || bodies["second\n"] != 1 {
		t.Errorf("queued: %v", bodies)
	}
	// And none at all is trouble that may pass.
	if err := os.Rename(home+"/queue", home+"/queue.new"); err != nil {
		t.Fatal(err)
	}
	if got, _ := hand(t, p, home, "third\n"); len(got) == 0 || got[0] != 'Z' {
		t.Errorf("without a queue: %q", got)
	}
}

// A message that is refused or given up leaves nothing, and the next one is
// taken.
func TestPoolRefusals(t *testing.T) {
	home := realHome(t)
	p := NewPool()
	for what, tt := range map[string]struct {
		do   func(c *Client)
		want string
	}{
		"too long": {func(c *Client) { c.Envelope(strings.Repeat("x", MaxAddress)); c.Recipient("r") },
			"Denvelope address too long for qq (#5.1.3)"},
		"failed":         {func(c *Client) { c.Fail() }, "Zqq read error (#4.3.0)"},
		"failed late":    {func(c *Client) { c.Envelope("s"); c.Recipient("r"); c.Fail() }, "Zqq read error (#4.3.0)"},
		"no envelope":    {func(c *Client) {}, "Zqq read error (#4.3.0)"},
		"NUL":            {func(c *Client) { c.Envelope("s\x00Tx") }, "Zqq read error (#4.3.0)"},
		"long and given": {func(c *Client) { c.Write(make([]byte, 1<<20)); c.Fail() }, "Zqq read error (#4.3.0)"},
	} {
		c, err := p.Start(home, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("x\n"))
		tt.do(c)
		if got := c.Close(); got != tt.want {
			t.Errorf("%s: %q, want %q", what, got, tt.want)
		}
		if got, _ := hand(t, p, home, what+"\n"); got != "" {
			t.Errorf("after %s: %q", what, got)
		}
		if len(queued(t, home)) == 0 {
			t.Errorf("after %s: nothing queued", what)
		}
		if left, _ := filepath.Glob(home + "/queue/intd/*"); len(left) != len(queued(t, home)) {
			t.Errorf("after %s: %q in intd", what, left)
		}
	}
}

// Processes may be killed. A message that one had is refused for now, not given
// to another; one that had none is not missed.
func TestPoolKilled(t *testing.T) {
	home := realHome(t)
	p := NewPool()
	_, pid := hand(t, p, home, "first\n")
	syscall.Kill(pid, syscall.SIGKILL)
	for end := time.Now().Add(patience); waitsFor(p) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a killed process still waits")
		}
	}
	if got, next := hand(t, p, home, "second\n"); got != "" || next == pid {
		t.Errorf("killed while idle: %q", got)
	}
	c, err := p.Start(home, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Write(make([]byte, 100_000))
	syscall.Kill(c.PID(), syscall.SIGKILL)
	c.Envelope("s@x")
	c.Recipient("r@y")
	if got := c.Close(); got != crashed {
		t.Errorf("killed with a message: %q", got)
	}
	if got, _ := hand(t, p, home, "third\n"); got != "" {
		t.Error(got)
	}
	if n := len(queued(t, home)); n != 3 {
		t.Errorf("%d messages, want 3", n)
	}
}

// waitsFor counts the idle processes that are alive.
func waitsFor(p *Pool) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.idle {
		if a.waits() {
			n++
		}
	}
	return n
}

// One that is not needed for a while ends.
func TestPoolIdle(t *testing.T) {
	home := realHome(t)
	p := NewPool()
	p.idleTime = 50 * time.Millisecond
	_, pid := hand(t, p, home, "x\n")
	for end := time.Now().Add(patience); syscall.Kill(pid, 0) == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("an idle process stays")
		}
	}
	if got, _ := hand(t, p, home, "y\n"); got != "" {
		t.Error(got)
	}
}

// A program that knows nothing of staying is asked once, with nothing to lose,
// and then runs as ever; its successor counts at once.
func TestPoolForeign(t *testing.T) {
	// As the C program: arguments ignored, no envelope is 54.
	script := "exec 9<&1 1>&2; echo $# >>runs; cat >message; envelope=$(cat <&9 | tr '\\0' .); test -n \"$envelope\" || exit 54; echo $envelope $COLOR >>envelopes"
	home := qq(t, script)
	p := NewPool()
	for range 3 {
		if got, _ := hand(t, p, home, "body\n", vars...); got != "" {
			t.Error(got)
		}
	}
	for name, want := range map[string]string{
		"runs": "1\n0\n0\n0\n", "message": "body\n", "envelopes": strings.Repeat("Fs@x.Tr@y.. blue\n", 3),
	} {
		if got, err := os.ReadFile(home + "/" + name); err != nil || string(got) != want {
			t.Errorf("%s: %q, want %q (%v)", name, got, want, err)
		}
	}
	program := home + "/bin/qmail-queue"
	for name, want := range map[string]string{"exit 31": "Dmail server permanently rejected message (#5.3.0)", "kill -9 $$": crashed} {
		if err := os.WriteFile(program+".new", []byte("#!/bin/sh\ncat >/dev/null\n"+name+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(program+".new", program); err != nil {
			t.Fatal(err)
		}
		if got, _ := hand(t, p, home, "body\n", vars...); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if got, _ := hand(t, p, home, "body\n", vars...); got != "Zunable to exec qq (#4.3.0)" {
		t.Errorf("no program: %q", got)
	}
}

// The same the other way round: idle processes of a program that was replaced,
// or shut off, get no message more.
func TestPoolReplaced(t *testing.T) {
	home := realHome(t)
	p := NewPool()
	hand(t, p, home, "x\n")
	program := home + "/bin/qmail-queue"
	os.Remove(program)
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexit 71\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, _ := hand(t, p, home, "y\n"); got != "Zmail server temporarily rejected message (#4.3.0)" {
		t.Error(got)
	}
	if got, _ := hand(t, p, home, "z\n", "QMAILQUEUE=/bin/false"); got != "Zqq temporary problem (#4.3.0)" {
		t.Errorf("QMAILQUEUE: %q", got)
	}
}

// Residents that misbehave: the answer is never "queued", and no message is
// handed over twice.
func TestPoolBadResidents(t *testing.T) {
	greet := "printf '" + strings.TrimSuffix(resident.Greeting, "\n") + "\\n' >&3; "
	for script, want := range map[string]string{
		greet + "head -c 5 <&3 >got; exit 0":                             crashed,
		greet + "kill -9 $$":                                             crashed,
		greet + "head -c 1 <&3 >got; exit 53":                            crashed,
		greet + "head -c 20 <&3 >got; printf '\\065' >&3; exit 53":       "Zqq write error or disk full (#4.3.0)",
		greet + "head -c 20 <&3 >got; printf '\\377' >&3; exit 53":       "Zqq temporary problem (#4.3.0)",
		"printf 'qmail-queue resident 2\\n' >&3; cat >got; exit 71":      "Zmail server temporarily rejected message (#4.3.0)",
		"test $# = 0 || printf x >&3; cat >got; exit 71":                 "Zmail server temporarily rejected message (#4.3.0)",
		"if test $# = 1; then exec 3>&-; sleep 1; fi; cat >got; exit 71": "Zmail server temporarily rejected message (#4.3.0)",
	} {
		home := qq(t, "echo $# >>runs; "+script)
		p := NewPool()
		if got, _ := hand(t, p, home, strings.Repeat("x", 60), vars...); got != want {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
		runs, err := os.ReadFile(home + "/runs")
		want := "1\n0\n"
		if strings.HasPrefix(script, greet) {
			want = "1\n"
		}
		if string(runs) != want || err != nil {
			t.Errorf("%s: runs %q, want %q (%v)", script, runs, want, err)
		}
	}
}
