package spawn

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/child"
	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/proc/host"
	"paperpath/mta/agent"
	"paperpath/mta/local"
)

// behaviour is how this test binary acts as bin/qmail-local when asked to be an
// agent.
const behaviour = "TEST_AGENT"

func TestMain(m *testing.M) {
	asked := len(os.Args) == 2 && os.Args[1] == agent.Argument
	if !asked && (len(os.Args) < 2 || os.Args[1] != "--") {
		os.Exit(m.Run())
	}
	buf := make([]byte, agent.MaxRequest)
	number := func() uint32 {
		request, _, err := agent.Receive(0, buf)
		if err != nil {
			os.Exit(0)
		}
		n, _, _ := agent.ParseRequest(request)
		return n
	}
	switch mode := os.Getenv(behaviour); {
	case !asked || mode == "":
		host.Main(&local.QmailLocal)
	case mode == "other greeting":
		agent.Reply(0, []byte("hello"))
	case mode == "silent":
	case mode == "ends":
		agent.Reply(0, []byte(agent.Greeting))
		number()
		os.Exit(0)
	case mode == "other's number":
		agent.Reply(0, []byte(agent.Greeting))
		agent.Reply(0, agent.AppendReply(nil, number()+1, 0, []byte("did 1+0+0\n")))
	case mode == "twice":
		agent.Reply(0, []byte(agent.Greeting))
		n := number()
		agent.Reply(0, agent.AppendReply(nil, n, 111, []byte("once\x00not this\n")))
		agent.Reply(0, agent.AppendReply(nil, n, 0, nil))
	case mode == "too much":
		agent.Reply(0, []byte(agent.Greeting))
		number()
		agent.Reply(0, make([]byte, agent.MaxReply+1))
	case mode == "closes":
		agent.Reply(0, []byte(agent.Greeting))
		number()
		syscall.Close(0)
	case mode == "no report":
		agent.Reply(0, []byte(agent.Greeting))
		number()
		agent.Reply(0, []byte("12"))
	case mode == "deaf":
		agent.Reply(0, []byte(agent.Greeting))
	}
	time.Sleep(2 * time.Minute) // until it is killed, whatever else happens
}

// anAgent is a qmail home whose qmail-local is this test binary, and a user who
// has a Maildir.
type anAgent struct {
	*locals
	t         *testing.T
	home, dir string // of qmail, of the user
	uid, gid  int
}

func agentOf(t *testing.T, mode string) *anAgent {
	t.Helper()
	l, home := testLocals(t)
	uid, gid, _ := someone(t, home)
	a := &anAgent{l, t, home, home + "/joe", uid, gid}
	// The race detector has a program wait a second before it ends.
	l.vars = proc.Vars{behaviour + "=" + mode, "PATH=" + os.Getenv("PATH"), "QMAILHOME=" + home, "GORACE=atexit_sleep_ms=0"}
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.null = int(null.Fd())
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"bin", "joe", "joe/Maildir", "joe/Maildir/tmp", "joe/Maildir/new", "joe/Maildir/cur"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(dir, "joe") {
			if err := os.Chown(filepath.Join(home, dir), uid, gid); err != nil {
				t.Fatal(err)
			}
		}
	}
	a.install(self)
	// By its build information this is not qmail-local.
	l.agents.look()
	l.agents.able = true
	t.Cleanup(func() {
		null.Close()
		l.agents.mu.Lock()
		var last []*serving
		for _, g := range l.agents.live {
			g.leave()
			last = append(last, g)
		}
		l.agents.mu.Unlock()
		for _, g := range last {
			waitFor(t, "an agent to end", func() bool {
				l.agents.mu.Lock()
				defer l.agents.mu.Unlock()
				return g.process == nil
			})
		}
	})
	return a
}

func (a *anAgent) install(from string) {
	in, err := os.Open(from)
	if err != nil {
		a.t.Fatal(err)
	}
	defer in.Close()
	os.Remove(a.home + "/bin/qmail-local")
	out, err := os.OpenFile(a.home+"/bin/qmail-local", os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		a.t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		a.t.Fatal(err)
	}
	out.Close()
}

func (a *anAgent) qmail(ext, text string) {
	a.t.Helper()
	if err := os.WriteFile(a.dir+"/.qmail"+ext, []byte(text), 0o644); err != nil {
		a.t.Fatal(err)
	}
}

// begin delivers to joe-ext.
func (a *anAgent) begin(d *delivery, done func(string)) {
	ids := strconv.Itoa(a.uid) + "\x00" + strconv.Itoa(a.gid)
	ext := strings.TrimPrefix(d.local(), "joe")
	a.deliver(d, []byte("joe\x00"+ids+"\x00"+a.dir+"\x00"+ext[:min(1, len(ext))]+"\x00"+strings.TrimPrefix(ext, "-")+"\x00"), func(report string) {
		d.message.Close()
		done(report)
	})
}

// try makes one delivery.
func (a *anAgent) try(ext string) string {
	a.t.Helper()
	return report(a.t, a.home, a, "me@x", "joe"+ext+"@here")
}

func (a *anAgent) serving() *serving {
	a.agents.mu.Lock()
	defer a.agents.mu.Unlock()
	return a.agents.live[owner{uint32(a.uid), uint32(a.gid)}]
}

func (a *anAgent) messages() []string {
	a.t.Helper()
	all, err := filepath.Glob(a.dir + "/Maildir/new/*")
	if err != nil {
		a.t.Fatal(err)
	}
	return all
}

// waitFor polls until ok.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("still waiting: " + what)
		}
	}
}

func (a *anAgent) waitNobody() {
	a.t.Helper()
	waitFor(a.t, "the agent to end", func() bool { return a.serving() == nil })
}

func TestAgent(t *testing.T) {
	a := agentOf(t, "")
	a.defaultDelivery = "./Maildir/"
	if got := a.try(""); got != "Kdid 1+0+0\n" {
		t.Fatalf("%q", got)
	}
	g := a.serving()
	if g == nil || g.number != 1 {
		t.Fatal("it was not delivered by an agent")
	}
	text, err := os.ReadFile(a.messages()[0])
	if err != nil || string(text) != "Return-Path: <me@x>\nDelivered-To: joe@here\ntext" {
		t.Errorf("%q %v", text, err)
	}
	if info, err := (fsys.OS{}).Stat(a.messages()[0]); err != nil || info.UID != uint32(a.uid) || info.Mode&0o777 != 0o600 {
		t.Errorf("%+v %v", info, err)
	}
	// Many at once, all by the same agent.
	var commands []string
	for n := range 50 {
		commands = append(commands, command4(byte(n), "1/24", "", "joe@x"))
	}
	for _, report := range talk(t, testSpawner(a.home, a), commands...) {
		if report[1:] != "Kdid 1+0+0\n\x00" {
			t.Errorf("%q", report)
		}
	}
	if a.serving() != g || g.number != 51 {
		t.Errorf("%d deliveries by the agent", g.number)
	}
	if n := len(a.messages()); n != 51 {
		t.Errorf("%d messages", n)
	}
	// Failures are the delivery's own.
	if got := a.try("-nobody"); got != "DSorry, no mailbox here by that name. (#5.1.1)\n" {
		t.Errorf("%q", got)
	}
	if a.serving() != g {
		t.Error("another agent")
	}
	// The idle agent is let go, and another comes for the next delivery.
	g.expire()
	a.waitNobody()
	if got := a.try(""); got != "Kdid 1+0+0\n" || a.serving() == nil || a.serving() == g {
		t.Errorf("after a rest: %q", got)
	}
}

// A command finds what it would find in a qmail-local of its own.
func TestAgentCommand(t *testing.T) {
	a := agentOf(t, "")
	a.qmail("-cmd", `|echo out; echo err >&2; cat; echo; id -u; id -G; pwd; umask; echo "$SENDER $RECIPIENT $TEST_AGENT"; ls /proc/self/fd | wc -l`)
	byAgent := a.try("-cmd")
	if g := a.serving(); g == nil || g.number != 1 {
		t.Fatal("it was not delivered by an agent")
	}
	a.agents.mostEach = 0
	classic := a.try("-cmd")
	if byAgent != classic || !strings.HasPrefix(classic, "Kout\nerr\ntext\n") || !strings.Contains(classic, "\n0077\nme@x joe-cmd@here \n") {
		t.Errorf("by the agent %q\nclassic %q", byAgent, classic)
	}
	a.qmail("-stop", "|echo no; exit 100")
	a.qmail("-long", "|i=0; while [ $i -lt 20000 ]; do echo 012345678; i=$((i+1)); done; exit 111")
	a.qmail("-background", "|sleep 1000 & echo $!")
	for _, ext := range []string{"-stop", "-long", "-background"} {
		a.agents.mostEach = 0
		classic := a.try(ext)
		a.agents.mostEach = 10
		byAgent := a.try(ext)
		if ext == "-background" {
			for _, r := range []*string{&classic, &byAgent} {
				pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix((*r)[1:], "did 0+0+1\n")))
				if err != nil {
					t.Fatalf("%q", *r)
				}
				syscall.Kill(pid, syscall.SIGKILL)
				*r = (*r)[:1]
			}
		}
		if ext == "-long" { // the cut may be some bytes off
			byAgent, classic = byAgent[:2900], classic[:2900]
		}
		if byAgent != classic {
			t.Errorf("%s: by the agent %q\nclassic %q", ext, byAgent, classic)
		}
	}
	if n := a.serving().number; n != 4 {
		t.Errorf("%d deliveries by the agent", n)
	}
}

// A delivery that hangs holds up no other. What an agent had not finished when
// it died is tried again.
func TestAgentHangs(t *testing.T) {
	a := agentOf(t, "")
	a.defaultDelivery = "./Maildir/"
	a.qmail("-hang", "|echo $$ > pid; exec sleep 1000")
	hanging := make(chan string)
	go func() { hanging <- a.try("-hang") }()
	pid := 0
	waitFor(t, "the command", func() bool {
		text, _ := os.ReadFile(a.dir + "/pid")
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return pid > 0
	})
	defer syscall.Kill(pid, syscall.SIGKILL)
	g := a.serving()
	for range 3 {
		if got := a.try(""); got != "Kdid 1+0+0\n" || a.serving() != g {
			t.Errorf("%q", got)
		}
	}
	g.expire() // not idle
	if a.serving() != g {
		t.Error("an agent with work was let go")
	}
	a.agents.kill(g.process)
	if got := <-hanging; got != localCrashed {
		t.Errorf("%q", got)
	}
	a.waitNobody()
}

// Without a greeting, deliveries are made the classic way, and for some time
// no agent is asked for.
func TestAgentDoesNotGreet(t *testing.T) {
	for _, mode := range []string{"other greeting", "silent"} {
		a := agentOf(t, mode)
		a.defaultDelivery = "./Maildir/"
		done := make(chan string)
		go func() { done <- a.try("") }()
		if mode == "silent" {
			waitFor(t, "the agent", func() bool { return a.serving() != nil })
			a.serving().expire()
		}
		if got := <-done; got != "Kdid 1+0+0\n" || len(a.messages()) != 1 {
			t.Errorf("%s: %q, %d messages", mode, got, len(a.messages()))
		}
		g := a.serving()
		if g == nil || !g.refused {
			t.Errorf("%s: it will be asked again at once", mode)
			continue
		}
		if got := a.try(""); got != "Kdid 1+0+0\n" || a.serving() != g {
			t.Errorf("%s: again: %q", mode, got)
		}
		g.expire()
		if a.serving() != nil {
			t.Errorf("%s: it will never be asked again", mode)
		}
	}
}

// What a hostile agent says harms its own deliveries and nobody else.
func TestAgentHostile(t *testing.T) {
	for mode, want := range map[string]string{
		"ends": localCrashed, "other's number": localCrashed, "too much": localCrashed,
		"closes": localCrashed, "no report": localCrashed, "twice": "Zonce",
	} {
		a := agentOf(t, mode)
		if got := a.try(""); got != want {
			t.Errorf("%s: %q", mode, got)
		}
		a.waitNobody()
	}
}

// An agent that does not read fills its socket and its share of deliveries;
// the others are made without it, and everybody else's.
func TestAgentDeaf(t *testing.T) {
	a := agentOf(t, "deaf")
	a.defaultDelivery = "./Maildir/"
	a.agents.mostEach = 3
	stuck := make(chan string)
	for range 3 {
		go func() { stuck <- a.try("") }()
	}
	waitFor(t, "three deliveries", func() bool {
		g := a.serving()
		a.agents.mu.Lock()
		defer a.agents.mu.Unlock()
		return g != nil && len(g.pending) == 3
	})
	for i := range 5 {
		if got := a.try(""); got != "Kdid 1+0+0\n" {
			t.Errorf("%d: %q", i, got)
		}
	}
	a.agents.kill(a.serving().process)
	for range 3 {
		got := <-stuck
		if got != localCrashed && got != "Kdid 1+0+0\n" { // killed before its greeting was read
			t.Errorf("%q", got)
		}
	}
}

// A qmail-local that is replaced is replaced for the next delivery, and one
// that is not ours is never asked to be an agent.
func TestAgentReplaced(t *testing.T) {
	a := agentOf(t, "")
	a.defaultDelivery = "./Maildir/"
	a.try("")
	if a.serving() == nil {
		t.Fatal("no agent")
	}
	os.Remove(a.home + "/bin/qmail-local")
	script(t, a.home, "qmail-local", `echo "$#"`)
	for range 2 {
		if got := a.try(""); got != "K9\n" || a.serving() != nil {
			t.Errorf("%q", got)
		}
	}
}

// A process that is killed as soon as it runs dies then, not when something else
// happens.
func TestKillAtOnce(t *testing.T) {
	p := testProcesses(t)
	for range 100 {
		started, err := child.Start(&child.Command{Argv: []string{"sleep", "60"}, Path: "/bin/sleep", Files: []int{-1, -1, -1}})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan child.Status, 1)
		q := &process{child: started, out: -1, done: func(status child.Status, _ []byte) { ended <- status }}
		p.add(q)
		p.kill(q)
		select {
		case status := <-ended:
			if !status.Crashed() {
				t.Fatalf("status %v", status)
			}
		case <-time.After(20 * time.Second):
			started.Signal(syscall.SIGKILL)
			t.Fatal("it lives on")
		}
	}
}

// There are only so many agents; the one that has rested longest makes room.
func TestAgentsMakeRoom(t *testing.T) {
	a := &agents{live: map[owner]*serving{}, mostEach: 1, processes: testProcesses(t)}
	now := time.Now()
	for i := range 4 {
		as := owner{uint32(i), 1}
		a.live[as] = &serving{of: a, as: as, greeted: true, since: now.Add(-time.Duration(i) * time.Second)}
	}
	a.live[owner{3, 1}].pending = map[uint32]*handed{1: nil}
	a.live[owner{9, 1}] = &serving{of: a, as: owner{9, 1}}
	for _, want := range []string{"2", "1", "0"} {
		if !a.makeRoom() {
			t.Fatal("no room")
		}
		if uid, _ := strconv.Atoi(want); a.live[owner{uint32(uid), 1}] != nil {
			t.Errorf("agent %s stays: %v", want, fmt.Sprint(a.live))
		}
	}
	if a.makeRoom() || len(a.live) != 2 {
		t.Error("an agent with work made room")
	}
}
