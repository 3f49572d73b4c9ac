package service

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

// at returns a label: the time when a process started or ended.
func at(n int64) time.Time { return time.Unix(1e9+n, 0) }

func TestReached(t *testing.T) {
	down := Status{Stamp: at(1), Want: Down}
	up := Status{Stamp: at(1), PID: 7, Want: Up, Phase: PhaseUp}
	starting := Status{Stamp: at(1), PID: 7, Want: Up, Phase: PhaseStarting}
	stopping := Status{Stamp: at(1), PID: 7, Want: Down, Phase: PhaseStopping}
	finishing := Status{Stamp: at(1), Want: Down, Phase: PhaseFinishing}
	later := func(s Status) Status { s.Stamp = at(2); return s }
	once := func(s Status) Status { s.Want = 0; return s }
	for _, c := range []struct {
		what             string
		first, last, now Status
		reached          string // goals
	}{
		{"down", down, down, down, "dD"},
		{"up", up, up, up, "uU"},
		{"starting", starting, starting, starting, "u"},
		{"finishing", finishing, finishing, finishing, "d"},
		{"stopping", stopping, stopping, stopping, "u"},
		{"from starting to stopping", starting, starting, stopping, "u"},
		{"from stopping to up", stopping, stopping, later(up), "uUdDrR"},
		{"from down to up", down, down, later(up), "uUrR"},
		{"from down to starting", down, down, later(starting), "ur"},
		{"from starting to up", starting, starting, up, "uU"},
		{"from up to down", up, up, later(down), "dD"},
		{"from up to finishing", up, up, later(finishing), "d"},
		{"from up to another process", up, up, later(up), "uUdDrR"},
		{"from up to another one that is starting", up, up, later(starting), "udDr"},
		{"from up long ago", up, later(down), later(up), "uUrR"},
		{"from finishing to up", finishing, finishing, later(up), "uUDrR"},
		{"down again, and will be up", down, down, later(Status{Want: Up, Phase: PhaseDelayed}), "dD"},
		{"down again, after it ran once", once(down), once(down), later(once(down)), "udDr"},
		{"down, and told to run once", down, down, once(down), "dD"},
	} {
		got := ""
		for _, g := range []byte(goals) {
			if goal(g).reached(&c.first, &c.last, &c.now) {
				got += string(g)
			}
		}
		sorted := ""
		for _, g := range goals {
			if strings.ContainsRune(c.reached, g) {
				sorted += string(g)
			}
		}
		if got != sorted {
			t.Errorf("%s: %q are reached, want %q", c.what, got, sorted)
		}
	}
}

// start runs a program until stop is called, which returns its result.
func start(t *testing.T, p *proc.Program, base string, args ...string) (stop func() proctest.Result) {
	t.Helper()
	result := make(chan proctest.Result, 1)
	go func() { result <- run(p, base, args...) }()
	return func() proctest.Result {
		t.Helper()
		select {
		case r := <-result:
			return r
		case <-time.After(30 * time.Second):
			t.Fatalf("%s %q does not end", p.Name, args)
			panic("unreached")
		}
	}
}

func announce(t *testing.T, owner *Owner, s Status) {
	t.Helper()
	if err := owner.Announce(s); err != nil {
		t.Fatal(err)
	}
}

// Each goal is not reached at first, and then is: with our status, and with the 18
// bytes of the C program as far as they show it.
func TestSvwait(t *testing.T) {
	up := Status{Stamp: at(1), PID: 7, Want: Up, Phase: PhaseUp}
	for _, c := range []struct {
		goal         string
		before, then Status
		old          bool // daemontools can tell it too
	}{
		{"-u", Status{Stamp: at(0), Want: Up, Phase: PhaseWaiting}, up, true},
		{"-U", Status{Stamp: at(0), Want: Up, Phase: PhaseDelayed}, up, true},
		{"-U", Status{Stamp: at(1), PID: 7, Want: Up, Phase: PhaseStarting}, up, false},
		{"-d", up, Status{Stamp: at(2), Want: Down, Phase: PhaseFinishing}, true},
		{"-D", Status{Stamp: at(2), Want: Down, Phase: PhaseFinishing}, Status{Stamp: at(2), Want: Down}, false},
		{"-D", up, Status{Stamp: at(2), Want: Down}, true},
		{"-r", up, Status{Stamp: at(2), PID: 7, Want: Up, Phase: PhaseStarting}, true},
		{"-R", up, Status{Stamp: at(2), PID: 7, Want: Up, Phase: PhaseUp}, true},
		{"-du", Status{Stamp: at(0), Want: Down}, up, true},
	} {
		for _, length := range []int{statusLen, classicLen} {
			if length == classicLen && !c.old {
				continue
			}
			base, owner := supervised(t)
			tell := func(s Status) {
				t.Helper()
				announce(t, owner, s)
				if length == classicLen {
					// As the C program would have: what is behind is cut off.
					file := base + "/s/supervise/status"
					if err := os.Truncate(file, classicLen); err != nil {
						t.Fatal(err)
					}
					if err := os.Rename(file, file+"2"); err != nil {
						t.Fatal(err)
					}
					if err := os.Rename(file+"2", file); err != nil {
						t.Fatal(err)
					}
				}
			}
			tell(c.before)
			if r := run(&Svwait, base, c.goal, "-t", "1", "s"); r.Status != statusTimedOut ||
				!strings.HasSuffix(r.Err, "svwait: fatal: timed out\n") || !strings.HasPrefix(r.Err, "svwait: warning: s is ") {
				t.Errorf("%s too early: %+v", c.goal, r)
			}
			// What happens between the first look and the wait is not missed either.
			w, err := newWait(&proc.Env{Dir: base}, goal(c.goal[len(c.goal)-1]), []string{"s"})
			if err != nil {
				t.Fatal(err)
			}
			w.until = time.Now().Add(20 * time.Second)
			tell(c.then)
			if err := w.run(); err != nil {
				t.Errorf("%s, %d bytes: %v", c.goal, length, err)
			}
			w.close()
		}
	}
}

// A waiter is woken by a change; the first look is not enough.
func TestSvwaitWakes(t *testing.T) {
	base, owner := supervised(t)
	announce(t, owner, Status{Stamp: at(0), Want: Down})
	stop := start(t, &Svwait, base, "-t", "20000", "s")
	time.Sleep(50 * time.Millisecond) // it should be asleep now; if it is not, the test sees less
	announce(t, owner, Status{Stamp: at(1), PID: 7, Want: Up, Phase: PhaseUp})
	if r := stop(); r.Status != 0 || r.Err != "" {
		t.Errorf("%+v", r)
	}
}

func TestSvwaitSeveral(t *testing.T) {
	base, owner := supervised(t)
	other, otherOwner := supervised(t)
	two := other + "/s"
	announce(t, owner, Status{Stamp: at(0), Want: Down})
	announce(t, otherOwner, Status{Stamp: at(1), PID: 7, Want: Up, Phase: PhaseUp})
	for _, c := range []struct {
		args   string
		status int
		err    string
	}{
		{"", 0, ""},
		{"-U", 0, ""},
		{"-a -t 1 s TWO", 99, "svwait: warning: s is down\nsvwait: fatal: timed out\n"},
		{"-o -t 20000 s TWO", 0, ""},
		{"-o -D -t 20000 s TWO", 0, ""},
		{"-oa -d -t 1 s TWO", 99, "svwait: warning: TWO is up\nsvwait: fatal: timed out\n"},
		{"-t 0 TWO TWO", 0, ""},
		{"-q s", 100, "svwait: usage: svwait " + Svwait.Usage + "\n"},
		{"-t", 100, "svwait: usage: svwait " + Svwait.Usage + "\n"},
		{"-t 1s s", 100, "svwait: usage: svwait " + Svwait.Usage + "\n"},
		{"-t -1 s", 100, "svwait: usage: svwait " + Svwait.Usage + "\n"},
		{"none TWO", 111, "svwait: fatal: unable to chdir to none: file does not exist\n"},
	} {
		args := strings.Fields(strings.ReplaceAll(c.args, "TWO", two))
		want := strings.ReplaceAll(c.err, "TWO", two)
		if r := run(&Svwait, base, args...); r.Status != c.status || r.Err != want || r.Out != "" {
			t.Errorf("%s: %+v", c.args, r)
		}
	}
}

// When supervise exits, the wait fails, unless the last status is the goal.
func TestSvwaitSuperviseEnds(t *testing.T) {
	const died = "svwait: fatal: unable to watch s: supervise not running\n"
	for _, c := range []struct {
		goal   string
		last   Status
		status int
		err    string
	}{
		{"-d", Status{Stamp: at(2), Want: Down}, 0, ""},
		{"-D", Status{Stamp: at(2), Want: Down}, 0, ""},
		{"-d", Status{Stamp: at(1), PID: 7, Want: Up, Phase: PhaseUp}, 102, died},
		{"-D", Status{Stamp: at(2), Want: Down, Phase: PhaseFinishing}, 102, died},
		{"-r", Status{Stamp: at(2), Want: Down}, 102, died},
		{"-R", Status{Stamp: at(1), PID: 7, Want: Up, Phase: PhaseUp}, 102, died},
	} {
		base, owner := supervised(t)
		announce(t, owner, Status{Stamp: at(1), PID: 7, Want: Up, Phase: PhaseUp})
		stop := start(t, &Svwait, base, c.goal, "s")
		time.Sleep(20 * time.Millisecond)
		announce(t, owner, c.last)
		owner.Close()
		if r := stop(); r.Status != c.status || r.Err != c.err {
			t.Errorf("%s: %+v", c.goal, r)
		}
		// When it is gone before, the same holds, and whatever runs is not up.
		if r := run(&Svwait, base, c.goal, "s"); r.Status != c.status || r.Err != c.err {
			t.Errorf("%s afterwards: %+v", c.goal, r)
		}
		if r := run(&Svwait, base, "-u", "s"); r.Status != 102 || r.Err != died {
			t.Errorf("up afterwards: %+v", r)
		}
	}
	base := t.TempDir()
	os.Mkdir(base+"/s", 0o755)
	for _, goal := range []string{"-u", "-d"} {
		if r := run(&Svwait, base, goal, "s"); r.Status != 102 || r.Err != died {
			t.Errorf("%s of what was never supervised: %+v", goal, r)
		}
	}
}

func TestSvwaitFailed(t *testing.T) {
	base, owner := supervised(t)
	other, otherOwner := supervised(t)
	two := other + "/s"
	announce(t, otherOwner, Status{Stamp: at(1), PID: 7, Want: Up, Phase: PhaseUp})
	announce(t, owner, Status{Stamp: at(0), Want: Up, Phase: PhaseDelayed})
	stop := start(t, &Svwait, base, "-U", two, "s")
	time.Sleep(20 * time.Millisecond)
	announce(t, owner, Status{Stamp: at(0), Want: Up, Phase: PhaseFailed})
	if r := stop(); r.Status != 1 || r.Err != "svwait: fatal: s failed permanently\n" {
		t.Errorf("%+v", r)
	}
	if r := run(&Svwait, base, "s", two, "s"); r.Status != 2 ||
		r.Err != "svwait: warning: s failed permanently\nsvwait: fatal: s failed permanently\n" {
		t.Errorf("two: %+v", r)
	}
	if r := run(&Svwait, base, "-o", "s", two); r.Status != 0 {
		t.Errorf("one of them is up: %+v", r)
	}
	if r := run(&Svwait, base, "-d", "s"); r.Status != 0 {
		t.Errorf("what failed is down: %+v", r)
	}
}

func TestSvwaitGarbage(t *testing.T) {
	base, _ := supervised(t)
	status := base + "/s/supervise/status"
	for want, prepare := range map[string]func() error{
		"unable to read s/supervise/status: bad format":     func() error { return os.WriteFile(status, []byte("x"), 0o644) },
		"unable to read s/supervise/status: is a directory": func() error { os.Remove(status); return os.Mkdir(status, 0o755) },
	} {
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
		if r := run(&Svwait, base, "s"); r.Status != 111 || r.Err != "svwait: fatal: "+want+"\n" {
			t.Errorf("%+v, want %s", r, want)
		}
		os.Remove(status)
	}
}

// descriptors limits how many descriptors this process may still open, until
// restore is called.
func descriptors(t *testing.T, free int) (restore func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	highest := 0
	for _, name := range names {
		n, _ := strconv.Atoi(name.Name())
		highest = max(highest, n)
	}
	// No numbers in between are free then.
	var filled []int
	for {
		n, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		filled = append(filled, n)
		if n > highest {
			break
		}
	}
	limit := unix.Rlimit{Cur: uint64(filled[len(filled)-1] + 1 + free), Max: before.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
		for _, n := range filled {
			unix.Close(n)
		}
	}
}

// Without inotify, here for want of descriptors, a waiter looks from time to time.
func TestSvwaitWithoutWatch(t *testing.T) {
	base, owner := supervised(t)
	announce(t, owner, Status{Stamp: at(0), Want: Down})
	var w *wait
	for free := 0; w == nil; free++ {
		restore := descriptors(t, free)
		got, err := newWait(&proc.Env{Dir: base}, goalUp, []string{"s"})
		restore()
		if err == nil {
			w = got
		} else if !errors.Is(err, unix.EMFILE) {
			t.Fatal(err)
		}
	}
	defer w.close()
	if w.watcher != nil {
		t.Fatal("it has a watcher as soon as it has all else")
	}
	w.until = time.Now().Add(20 * time.Second)
	ended := make(chan error, 1)
	go func() { ended <- w.run() }()
	time.Sleep(20 * time.Millisecond)
	announce(t, owner, Status{Stamp: at(1), PID: 7, Want: Up, Phase: PhaseUp})
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// obey plays supervise: it waits for orders and announces the resulting status.
func obey(t *testing.T, owner *Owner, orders string, steps ...Status) {
	t.Helper()
	var b [20]byte
	owner.Control().SetReadDeadline(time.Now().Add(20 * time.Second))
	n, err := owner.Control().Read(b[:])
	if err != nil || string(b[:n]) != orders {
		t.Fatalf("orders %q, %v; want %q", b[:n], err, orders)
	}
	for _, s := range steps {
		announce(t, owner, s)
	}
}

func TestSvcWaits(t *testing.T) {
	const zeroOrOne = -1 // whether it sees it up before it has failed
	up := Status{Stamp: at(1), PID: 7, Want: Up, Phase: PhaseUp}
	down := Status{Stamp: at(2), Want: Down}
	failed := Status{Stamp: at(0), Want: Up, Phase: PhaseFailed}
	later := func(s Status, n int64) Status { s.Stamp = at(n); return s }
	for _, c := range []struct {
		args, orders string
		before       Status
		steps        []Status
		status       int
	}{
		{"-wd -d", "d", up, []Status{down}, 0},
		{"-dwD", "d", up, []Status{later(Status{Phase: PhaseFinishing}, 2), down}, 0},
		{"-u -wU", "u", down, []Status{later(up, 3)}, 0},
		// Too quick to be seen, and not missed.
		{"-t -wd", "t", up, []Status{down, later(up, 3)}, 0},
		{"-t -w R -T 20000", "t", up, []Status{down, later(up, 3)}, 0},
		{"-o -wu", "o", down, []Status{later(Status{PID: 7}, 3), later(Status{}, 4)}, 0},
		// Told to run once, a service that is down goes down after that.
		{"-o -wd", "o", down, []Status{later(Status{PID: 7}, 3), later(Status{}, 4)}, 0},
		{"-wD -o", "o", down, []Status{later(Status{Phase: PhaseFinishing}, 4), later(Status{}, 4)}, 0},
		{"-wD -o -T200", "o", down, []Status{{Stamp: at(2)}, later(Status{PID: 7}, 3)}, 99},
		{"-wd -o -T200", "o", down, []Status{{Stamp: at(2), Phase: PhaseWaiting}}, 99},
		{"-wd -o", "o", up, []Status{later(Status{}, 3)}, 0},
		// A service that is told to end does not count as up.
		{"-du -wU", "du", up, []Status{up, {Stamp: at(1), PID: 7, Want: Up, Phase: PhaseStopping}, down, later(up, 3)}, 0},
		{"-du -wu", "du", up, []Status{later(up, 3)}, 0},
		{"-kwu -T200", "k", up, nil, 99},
		{"-dwu -T200", "d", up, []Status{down}, 99},
		{"-duwu", "du", down, []Status{later(up, 3)}, 0},
		{"-twU", "t", up, nil, 0},
		// What is about to end is not ready.
		{"-wU -u -T200", "u", Status{Stamp: at(1), PID: 7, Want: Down, Phase: PhaseStopping}, nil, 99},
		// What failed before is no reason to give up; what fails now is.
		{"-uwU", "u", failed, []Status{later(up, 3)}, 0},
		{"-uwU", "u", failed, []Status{later(up, 3), later(failed, 4)}, zeroOrOne},
		{"-wU -u", "u", down, []Status{later(failed, 4)}, 1},
		{"-T1 -wd -h", "h", up, nil, 99},
	} {
		base, owner := supervised(t)
		announce(t, owner, c.before)
		stop := start(t, &Svc, base, append(strings.Fields(c.args), "s")...)
		obey(t, owner, c.orders, c.steps...)
		r := stop()
		ok := r.Status == c.status || c.status == zeroOrOne && (r.Status == 0 || r.Status == 1)
		if !ok || (r.Status == 0) != (r.Err == "") {
			t.Errorf("%s: %+v, want status %d", c.args, r, c.status)
		}
	}
}

// A service that is down only until its next start does not count as down before
// it has read the order.
func TestSvcWaitsUntilHeard(t *testing.T) {
	base, owner := supervised(t)
	announce(t, owner, Status{Stamp: at(1), Want: Up, Phase: PhaseDelayed})
	result := make(chan proctest.Result, 1)
	go func() { result <- run(&Svc, base, "-wD", "-d", "s") }()
	obey(t, owner, "d", Status{Stamp: at(1), Want: Up, Phase: PhaseDelayed}) // not heard
	select {
	case r := <-result:
		t.Fatalf("it ended before: %+v", r)
	case <-time.After(200 * time.Millisecond):
	}
	announce(t, owner, Status{Stamp: at(1), Want: Down})
	if r := <-result; r.Status != 0 || r.Err != "" {
		t.Errorf("%+v", r)
	}
}

func TestSvcWaitErrors(t *testing.T) {
	base, owner := supervised(t)
	usage := "svc: usage: svc " + Svc.Usage + "\n"
	for _, c := range []struct {
		args   string
		status int
		err    string
	}{
		{"-wx s", 100, usage},
		{"-wud s", 100, usage},
		{"-T x -wu s", 100, usage},
		{"-w", 100, "svc: option requires an argument -- w\n" + svcOptions + "\n"},
		{"-wd none s", 111, "svc: fatal: unable to chdir to none: file does not exist\n"},
		{"-wu", 0, ""},
	} {
		if r := run(&Svc, base, strings.Fields(c.args)...); r.Status != c.status || r.Err != c.err {
			t.Errorf("%s: %+v", c.args, r)
		}
	}
	announce(t, owner, Status{Stamp: at(2), Want: Down})
	owner.Close()
	const warning = "svc: warning: unable to control s: supervise not running\n"
	if r := run(&Svc, base, "-dwd", "s"); r.Status != 0 || r.Err != warning {
		t.Errorf("it is down already: %+v", r)
	}
	os.Mkdir(base+"/never", 0o755)
	if r := run(&Svc, base, "-uwu", "never"); r.Status != 102 || !strings.HasPrefix(r.Err, "svc: warning: unable to control never: file does not exist\n") {
		t.Errorf("it was never supervised: %+v", r)
	}
	if r := run(&Svc, base, "-owD", "s"); r.Status != 102 || r.Err != warning+"svc: fatal: unable to watch s: supervise not running\n" {
		t.Errorf("it cannot run once: %+v", r)
	}
	if r := run(&Svc, base, "-uwu", "s"); r.Status != 102 || r.Err != warning+"svc: fatal: unable to watch s: supervise not running\n" {
		t.Errorf("it cannot come up: %+v", r)
	}
}

// Each line is one object, whatever bytes the names contain, with all the fields
// that svstat(8) promises.
func TestJSON(t *testing.T) {
	base, owner := supervised(t)
	odd := "\xff\n\"\\\x01<\u2028"
	if err := os.Symlink("s", filepath.Join(base, odd)); err != nil {
		t.Fatal(err)
	}
	announce(t, owner, Status{
		Stamp: time.Unix(1e9, 5e8), PID: 7, Paused: true, Want: Up, Phase: PhaseUp,
		Ready: time.Unix(1e9+1, 0), Restarts: 3, Last: Ending{Known: true, Signal: 9},
	})
	r := run(&Svstat, base, "-j", "s", odd, "none")
	lines := strings.SplitAfter(r.Out, "\n")
	if r.Status != 0 || r.Err != "" || len(lines) != 4 {
		t.Fatalf("%+v", r)
	}
	for i, name := range []string{"s", strings.ToValidUTF8(odd, "\ufffd"), "none"} {
		var got map[string]any
		if err := json.Unmarshal([]byte(lines[i]), &got); err != nil {
			t.Fatalf("%s: %v", lines[i], err)
		}
		if got["name"] != name {
			t.Errorf("name %q, want %q", got["name"], name)
		}
		delete(got, "seconds")
		delete(got, "name")
		want := map[string]any{"path": filepath.Join(base, name), "supervised": false, "error": "unable to chdir: file does not exist"}
		if i < 2 {
			want = map[string]any{
				"path": filepath.Join(base, name), "supervised": true, "state": "up", "up": true, "pid": 7.,
				"since": "2001-09-09T01:46:40.5Z", "ready": true, "readySince": "2001-09-09T01:46:41Z",
				"paused": true, "want": "up", "normally": "up", "exitCode": nil, "signal": "SIGKILL",
				"restarts": 3., "nextStart": nil, "finishPid": nil,
			}
		}
		for k, v := range want {
			if g, ok := got[k]; !ok || g != v {
				t.Errorf("%s: %s is %v, want %v", name, k, g, v)
			}
			delete(got, k)
		}
		if len(got) != 0 {
			t.Errorf("%s: unknown %v", name, got)
		}
	}
}

func TestJSONStates(t *testing.T) {
	base, owner := supervised(t)
	os.WriteFile(base+"/s/down", nil, 0o644)
	for want, s := range map[string]Status{
		`"state":"down","up":false,"pid":null`:                      {Stamp: at(1), Want: Down},
		`"ready":false,"readySince":null,`:                          {Stamp: at(1), PID: 7, Phase: PhaseStarting},
		`"state":"stopping","up":true,"pid":7,`:                     {Stamp: at(1), PID: 7, Phase: PhaseStopping},
		`"ready":false,"readySince":"2001-09-09T01:46:41Z"`:         {Stamp: at(1), PID: 7, Phase: PhaseStopping, Ready: at(1)},
		`"want":"once","normally":"down","exitCode":100,`:           {Stamp: at(1), Last: Ending{Known: true, Code: 100}},
		`"signal":"64","restarts":4294967295`:                       {Stamp: at(1), Want: Up, Restarts: 1<<32 - 1, Last: Ending{Known: true, Signal: 64}},
		`"nextStart":"2001-09-09T01:46:49Z","finishPid":8}`:         {Stamp: at(1), Phase: PhaseDelayed, Due: at(9), FinishPID: 8},
		`"since":null,"seconds":0,"ready":true,"readySince":null,`:  {Stamp: time.Unix(1<<60, 0), PID: 7, Phase: PhaseUp},
		`"since":null,"seconds":1152921`:                            {Stamp: time.Unix(-1<<60, 0), PID: 7, Phase: PhaseUp},
		`"state":"unknown","up":false,"pid":null,"since":"2001-09-`: {Stamp: at(1), Phase: 99},
	} {
		announce(t, owner, s)
		if r := run(&Svstat, base, "-j", "s"); !strings.Contains(r.Out, want) || !json.Valid([]byte(r.Out)) {
			t.Errorf("%+v: %s lacks %s", s, r.Out, want)
		}
	}
	// Whether supervise runs is not always to be seen.
	os.Mkdir(base+"/n", 0o755)
	os.Symlink("supervise", base+"/n/supervise")
	os.WriteFile(base+"/file", nil, 0o644)
	r := run(&Svstat, base, "-j", "n", "file")
	for _, want := range []string{
		`"supervised":null,"error":"unable to open supervise/ok: symbolic link loop"}`,
		`"supervised":null,"error":"unable to chdir: not a directory"}`,
	} {
		if !strings.Contains(r.Out, want) {
			t.Errorf("%s lacks %s", r.Out, want)
		}
	}
	os.Truncate(base+"/s/supervise/status", 3)
	if r := run(&Svstat, base, "-j", "s"); !strings.Contains(r.Out, `"supervised":true,"error":"unable to read supervise/status: bad format"}`) {
		t.Errorf("%s", r.Out)
	}
	// Any other word is a directory, as ever.
	if r := run(&Svstat, base, "s2", "-j"); r.Out != "s2: unable to chdir: file does not exist\n-j: unable to chdir: file does not exist\n" {
		t.Errorf("%+v", r)
	}
	if r := run(&Svstat, base, "-j"); r.Out != "" || r.Status != 0 {
		t.Errorf("%+v", r)
	}
}
