package supervise

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"paperpath/service"
)

// testWorld records the decisions of the machine.
type testWorld struct {
	now  time.Time
	pid  int
	fail error
	did  []string
	last service.Status

	rules   service.Rules
	finish  bool // there is one
	blocked bool
}

func (w *testWorld) Now() time.Time { return w.now }

func (w *testWorld) Start(service.Rules) (int, error) {
	w.did = append(w.did, "start")
	if w.fail != nil {
		return 0, w.fail
	}
	w.pid++
	return w.pid, nil
}

func (w *testWorld) Finish(pid int, how service.Ending) (int, error) {
	if !w.finish {
		return 0, nil
	}
	w.did = append(w.did, "finish")
	w.pid++
	return w.pid, nil
}

func (w *testWorld) Late() { w.did = append(w.did, "late") }

func (w *testWorld) Rules() service.Rules { return w.rules }

func (w *testWorld) Blocked(service.Rules) bool { return w.blocked }

func (w *testWorld) Signal(sig syscall.Signal) { w.did = append(w.did, sig.String()) }

func (w *testWorld) Announce(s service.Status) { w.last = s }

// state returns the state as svstat would see it.
func (w *testWorld) state(s *machine) string {
	text := "down"
	if w.last.PID != 0 {
		text = "up"
	}
	if w.last.Paused && w.last.PID != 0 {
		text += " paused"
	}
	switch w.last.Want {
	case 0:
		text += " once"
	case service.Up:
		text += " u"
	case service.Down:
		text += " d"
	default:
		text += " ?"
	}
	if s.Gone() {
		text += " gone"
	}
	return text
}

// A case plays events: letters are orders, "!" is the end of the process, "+"
// a second that passes, "m" a minute, "F" and "E" make starts fail (no process, no program),
// "K" makes them work again.
func TestService(t *testing.T) {
	for _, c := range []struct {
		events string
		down   bool // there is a file "down"
		did    string
		state  string
	}{
		{events: "", did: "start", state: "up u"},
		{events: "", down: true, did: "", state: "down d"},
		{events: "u", down: true, did: "start", state: "up u"},
		{events: "o", down: true, did: "start", state: "up once"},
		{events: "o+!", down: true, did: "start", state: "down once"},
		{events: "d", did: "start terminated continued", state: "up d"},
		{events: "d!", did: "start terminated continued", state: "down d"},
		{events: "+d!+++", did: "start terminated continued", state: "down d"},
		{events: "tkhia", did: "start terminated killed hangup interrupt alarm clock", state: "up u"},
		{events: "tkhiapc", down: true, did: "", state: "down d"},
		{events: "p", did: "start stopped (signal)", state: "up paused u"},
		{events: "pc", did: "start stopped (signal) continued", state: "up u"},
		{events: "pd", did: "start stopped (signal) terminated continued", state: "up d"},
		{events: "p+!", did: "start stopped (signal) start", state: "up u"},
		{events: "zZ\x00\xff1 \n", did: "start", state: "up u"},

		// Once a second, and the truth in between.
		{events: "!", did: "start", state: "down u"},
		{events: "!!", did: "start", state: "down u"},
		{events: "!+", did: "start start", state: "up u"},
		{events: "!+!+", did: "start start start", state: "up u"},
		{events: "+!", did: "start start", state: "up u"},
		{events: "++!!", did: "start start", state: "down u"},
		{events: "!uuu", did: "start", state: "down u"},
		{events: "!d+", did: "start", state: "down d"},
		{events: "!du+", did: "start start", state: "up u"},
		{events: "!o+", did: "start start", state: "up once"},

		// An exit waits for the process, not for the next one.
		{events: "x", did: "start", state: "up u"},
		{events: "x!", did: "start", state: "down u gone"},
		{events: "+x!", did: "start", state: "down u gone"},
		{events: "!x", did: "start", state: "down u gone"},
		{events: "x", down: true, did: "", state: "down d gone"},
		{events: "dx!", did: "start terminated continued", state: "down d gone"},
		{events: "dxu!", did: "start terminated continued", state: "down u gone"},
		{events: "ox", down: true, did: "start", state: "up once"},
		{events: "ox+!", down: true, did: "start", state: "down once gone"},
		{events: "!ox", did: "start", state: "down once"},
		{events: "!ox+", did: "start start", state: "up once"},
		{events: "!oxd", did: "start", state: "down d gone"},

		// Starts that fail.
		{events: "+E!", did: "start start", state: "down u"},
		{events: "+E!+", did: "start start start", state: "down u"},
		{events: "+E!+K+", did: "start start start start", state: "up u"},
		{events: "+E!x", did: "start start", state: "down u gone"},
		{events: "F+!++++", did: "start start", state: "down u"},
		{events: "F+!mK+++m", did: "start start start start", state: "up u"},
		{events: "F+!d", did: "start start", state: "down d"},
		{events: "Fommm", down: true, did: "start", state: "down once"},
		{events: "Foxmmm", down: true, did: "start", state: "down once gone"},
	} {
		w := &testWorld{now: time.Unix(1e9, 0), rules: service.DefaultRules}
		s := newMachine(w, !c.down)
		s.Begin()
		s.Announce()
		for _, e := range []byte(c.events) {
			switch e {
			case '!':
				if s.Status().PID != 0 {
					s.Ended(service.Ending{Known: true})
				}
			case '+':
				w.now = w.now.Add(time.Second)
			case 'm':
				w.now = w.now.Add(time.Minute)
			case 'F':
				w.fail = errFork
			case 'E':
				w.fail = errors.New("no such program")
			case 'K':
				w.fail = nil
			default:
				s.Order(e)
			}
			s.Tick()
		}
		if did := strings.Join(w.did, " "); did != c.did {
			t.Errorf("%q: did %q, want %q", c.events, did, c.did)
		}
		if state := w.state(s); state != c.state {
			t.Errorf("%q: %q, want %q", c.events, state, c.state)
		}
	}
}

// The effects of the files in the service directory. In the events, "!" is the end
// of the running process with status 0, "#" with 100, "$" by a signal, "%" with 125;
// "R" announces that the service is ready, "B" and "G" block and free its start, "+"
// is a second and "T" ten.
func TestServiceWithRules(t *testing.T) {
	rules := func(change func(*service.Rules)) service.Rules {
		r := service.DefaultRules
		r.Permafail = true
		change(&r)
		return r
	}
	plain := rules(func(*service.Rules) {})
	ready := rules(func(r *service.Rules) { r.NotifyFD = 3 })
	kill := rules(func(r *service.Rules) { r.KillAfter = 2 * time.Second; r.DownSignal = syscall.SIGINT })
	delay := rules(func(r *service.Rules) { r.MaxDelay = 5 * time.Second })
	for _, c := range []struct {
		events string
		rules  service.Rules
		finish bool
		did    string
		phase  string
		state  string
	}{
		// Readiness.
		{events: "", rules: ready, did: "start", phase: "starting", state: "up u"},
		{events: "R", rules: ready, did: "start", phase: "up ready", state: "up u"},
		{events: "RR", rules: ready, did: "start", phase: "up ready", state: "up u"},
		{events: "R!", rules: ready, did: "start", phase: "delayed", state: "down u"},
		{events: "R!+", rules: ready, did: "start start", phase: "starting", state: "up u"},
		{events: "dR", rules: ready, did: "start terminated continued", phase: "stopping ready", state: "up d"},
		{events: "+!R", rules: plain, did: "start start", phase: "up ready", state: "up u"},

		// Finish.
		{events: "!", finish: true, did: "start finish", phase: "finishing", state: "down u"},
		{events: "!!", finish: true, did: "start finish", phase: "delayed", state: "down u"},
		{events: "!+!", finish: true, did: "start finish start", phase: "up", state: "up u"},
		{events: "!+++", finish: true, did: "start finish", phase: "finishing", state: "down u"},
		{events: "!+++++", rules: plain, finish: true, did: "start finish late killed continued", phase: "finishing", state: "down u"},
		{events: "!TTT", rules: rules(func(r *service.Rules) { r.FinishWithin = 0 }), finish: true, did: "start finish", phase: "finishing", state: "down u"},
		{events: "+!d!", finish: true, did: "start finish", phase: "down", state: "down d"},
		{events: "+!du!", finish: true, did: "start finish start", phase: "up", state: "up u"},
		{events: "+d!o!", finish: true, did: "start terminated continued finish start", phase: "up", state: "up once"},
		{events: "+!k", finish: true, did: "start finish killed", phase: "finishing", state: "down u"},
		{events: "+!thp", finish: true, did: "start finish", phase: "finishing", state: "down u"},
		{events: "x!", finish: true, did: "start finish", phase: "finishing", state: "down u"},
		{events: "x!!", finish: true, did: "start finish", phase: "down", state: "down u gone"},
		{events: "!%++", finish: true, did: "start finish", phase: "failed", state: "down d"},
		{events: "!%u+", finish: true, did: "start finish start", phase: "up", state: "up u"},
		{events: "d!%", finish: true, did: "start terminated continued finish", phase: "down", state: "down d"},

		// Exit code 100, and nothing else.
		{events: "#+", did: "start start", phase: "up", state: "up u"},
		{events: "#+", rules: plain, did: "start", phase: "failed", state: "down d"},
		{events: "#u+", rules: plain, did: "start start", phase: "up", state: "up u"},
		{events: "#o+", rules: plain, did: "start start", phase: "up", state: "up once"},
		{events: "#d", rules: plain, did: "start", phase: "down", state: "down d"},
		{events: "#x", rules: plain, did: "start", phase: "failed", state: "down d gone"},
		{events: "d#", rules: plain, did: "start terminated continued", phase: "down", state: "down d"},
		{events: "$+", rules: plain, did: "start start", phase: "up", state: "up u"},
		{events: "%+", rules: plain, did: "start start", phase: "up", state: "up u"},
		{events: "#+", rules: plain, finish: true, did: "start finish", phase: "finishing", state: "down u"},
		{events: "#!", rules: plain, finish: true, did: "start finish", phase: "failed", state: "down d"},

		// What 'd' does.
		{events: "d+", rules: kill, did: "start interrupt continued", phase: "stopping", state: "up d"},
		{events: "d++", rules: kill, did: "start interrupt continued killed continued", phase: "stopping", state: "up d"},
		{events: "d+d+", rules: kill, did: "start interrupt continued interrupt continued killed continued", phase: "stopping", state: "up d"},
		{events: "d++++++", rules: kill, did: "start interrupt continued killed continued", phase: "stopping", state: "up d"},
		{events: "d+++++++", rules: kill, did: "start interrupt continued killed continued killed continued", phase: "stopping", state: "up d"},
		{events: "du++!", rules: kill, did: "start interrupt continued killed continued start", phase: "up", state: "up u"},
		{events: "d!T", rules: kill, did: "start interrupt continued", phase: "down", state: "down d"},
		{events: "t++", rules: kill, did: "start terminated", phase: "up", state: "up u"},

		// The pause grows: 1, 2, 4, 5 seconds.
		{events: "!+!+", rules: delay, did: "start start", phase: "delayed", state: "down u"},
		{events: "!+!++", rules: delay, did: "start start start", phase: "up", state: "up u"},
		{events: "!+!++!+++", rules: delay, did: "start start start", phase: "delayed", state: "down u"},
		{events: "!+!++!++++!++++", rules: delay, did: "start start start start", phase: "delayed", state: "down u"},
		{events: "!+!++!++++!+++++", rules: delay, did: "start start start start start", phase: "up", state: "up u"},
		{events: "!+!+u", rules: delay, did: "start start start", phase: "up", state: "up u"},
		{events: "!+!++T!", rules: delay, did: "start start start start", phase: "up", state: "up u"},
		{events: "!+!++T!!+", rules: delay, did: "start start start start start", phase: "up", state: "up u"},

		// Others come first.
		{events: "dB!u", did: "start terminated continued", phase: "delayed", state: "down u"},
		{events: "dB!+uG", did: "start terminated continued", phase: "waiting", state: "down u"},
		{events: "dB!u+G+", did: "start terminated continued start", phase: "up", state: "up u"},
		{events: "B!T", did: "start", phase: "waiting", state: "down u"},
		{events: "B+!d", did: "start", phase: "down", state: "down d"},
		{events: "B+!x", did: "start", phase: "down", state: "down u gone"},
		{events: "dB!+oxG+", did: "start terminated continued start", phase: "up", state: "up once"},
	} {
		if c.rules.DownSignal == 0 {
			c.rules = service.DefaultRules
		}
		w := &testWorld{now: time.Unix(1e9, 0), rules: c.rules, finish: c.finish}
		s := newMachine(w, true)
		s.Begin()
		end := func(how service.Ending) {
			how.Known = true
			switch {
			case s.Status().PID != 0:
				s.Ended(how)
			case s.Status().FinishPID != 0:
				s.FinishEnded(how)
			}
		}
		for _, e := range []byte(c.events) {
			switch e {
			case '!':
				end(service.Ending{})
			case '#':
				end(service.Ending{Code: 100})
			case '%':
				end(service.Ending{Code: 125})
			case '$':
				end(service.Ending{Signal: 9})
			case 'R':
				s.Ready()
			case 'B', 'G':
				w.blocked = e == 'B'
			case '+':
				w.now = w.now.Add(time.Second)
			case 'T':
				w.now = w.now.Add(10 * time.Second)
			default:
				s.Order(e)
			}
			if e != 'G' {
				s.Tick()
			}
		}
		if did := strings.Join(w.did, " "); did != c.did {
			t.Errorf("%q: did %q, want %q", c.events, did, c.did)
		}
		phase := w.last.Phase.String()
		if !w.last.Ready.IsZero() {
			phase += " ready"
		}
		if phase != c.phase {
			t.Errorf("%q: %q, want %q", c.events, phase, c.phase)
		}
		if state := w.state(s); state != c.state {
			t.Errorf("%q: %q, want %q", c.events, state, c.state)
		}
	}
}

// Restarts counts the starts that were not ordered; Due is in the status.
func TestTold(t *testing.T) {
	w := &testWorld{now: time.Unix(1e9, 0), rules: service.DefaultRules}
	s := newMachine(w, true)
	s.Begin()
	s.Ended(service.Ending{Known: true, Code: 7})
	if want := w.now.Add(time.Second); !w.last.Due.Equal(want) || w.last.Last.Code != 7 {
		t.Errorf("%+v, want due %v after code 7", w.last, want)
	}
	for range 3 {
		w.now = w.now.Add(time.Second)
		s.Tick()
		s.Ended(service.Ending{Known: true})
	}
	s.Order(service.Down)
	s.Order(service.Up)
	w.now = w.now.Add(time.Second)
	s.Tick()
	if w.last.Restarts != 3 || !w.last.Due.IsZero() || w.last.PID == 0 {
		t.Errorf("%+v, want 3 restarts", w.last)
	}
}

// The stamp changes when the process does, and only then.
func TestStamp(t *testing.T) {
	w := &testWorld{now: time.Unix(1e9, 0), rules: service.DefaultRules}
	s := newMachine(w, true)
	s.Begin()
	started := w.now
	w.now = w.now.Add(time.Hour)
	s.Order(service.Pause)
	s.Order(service.Down)
	if !w.last.Stamp.Equal(started) {
		t.Errorf("stamp %v after orders, want %v", w.last.Stamp, started)
	}
	s.Ended(service.Ending{Known: true})
	if !w.last.Stamp.Equal(w.now) {
		t.Errorf("stamp %v after the end, want %v", w.last.Stamp, w.now)
	}
}

// The status of a predecessor remains valid, and its process counts as the service's.
func TestAdopt(t *testing.T) {
	w := &testWorld{now: time.Unix(1e9, 0), rules: service.DefaultRules}
	last := service.Status{Stamp: time.Unix(9e8, 7), PID: 4711, Paused: true, Want: 0}
	s := newMachine(w, true)
	s.Adopt(last)
	s.Announce()
	s.Begin()
	if w.last != last || len(w.did) != 0 {
		t.Errorf("announces %+v and did %v", w.last, w.did)
	}
	s.Ended(service.Ending{Known: true})
	if got := w.state(s); got != "down once" || len(w.did) != 0 {
		t.Errorf("after its end %q and did %v", got, w.did)
	}
}

// A predecessor that was told to exit would not have started the service again:
// whether it is started depends on the directory, as if nothing had run.
func TestAdoptAtTheEnd(t *testing.T) {
	for _, up := range []bool{true, false} {
		w := &testWorld{now: time.Unix(1e9, 0), rules: service.DefaultRules}
		s := newMachine(w, up)
		s.Adopt(service.Status{PID: 4711, Phase: service.PhaseStopping, Want: service.Down, Exit: true})
		s.Announce()
		if w.last.Phase != service.PhaseStopping || w.last.Exit || s.Gone() {
			t.Errorf("%+v", w.last)
		}
		s.Ended(service.Ending{})
		if started := len(w.did) == 1; started != up {
			t.Errorf("wanted up: %v; did %q", up, w.did)
		}
	}
}

// The state in which a predecessor was killed. "+" and "m" as in TestService.
func TestResume(t *testing.T) {
	now := time.Unix(1e9, 0)
	failed := service.Ending{Known: true, Code: 100}
	permafail := service.DefaultRules
	permafail.Permafail = true
	for what, c := range map[string]struct {
		last   service.Status
		down   bool // there is a file "down"
		rules  service.Rules
		events string
		did    string
		phase  string
		state  string
	}{
		"svc -d":                         {last: service.Status{Want: service.Down}, phase: "down", state: "down d"},
		"svc -d, then svc -u":            {last: service.Status{Want: service.Down}, events: "u", did: "start", phase: "up", state: "up u"},
		"svc -d, and it ended meanwhile": {last: service.Status{PID: 7, Phase: service.PhaseStopping, Want: service.Down}, phase: "down", state: "down d"},
		"svc -u in spite of down":        {last: service.Status{PID: 7, Phase: service.PhaseUp, Want: service.Up}, down: true, did: "start", phase: "up", state: "up u"},
		"svc -o, and it ended meanwhile": {last: service.Status{PID: 7, Phase: service.PhaseUp}, phase: "down", state: "down once"},
		"the pause in spite of down":     {last: service.Status{Want: service.Up, Phase: service.PhaseDelayed, Due: now.Add(time.Second)}, down: true, phase: "delayed", state: "down u"},
		"after the pause":                {last: service.Status{Want: service.Up, Phase: service.PhaseDelayed, Due: now.Add(time.Second)}, down: true, events: "+", did: "start", phase: "up", state: "up u"},
		"the pause is over":              {last: service.Status{Want: service.Up, Phase: service.PhaseDelayed, Due: now.Add(-time.Second)}, did: "start", phase: "up", state: "up u"},
		"the clock was set back":         {last: service.Status{Want: service.Up, Phase: service.PhaseDelayed, Due: now.Add(time.Hour)}, events: "m", did: "start", phase: "up", state: "up u"},
		"svc -o in the pause":            {last: service.Status{Phase: service.PhaseDelayed, Due: now.Add(time.Second)}, events: "+", did: "start", phase: "up", state: "up once"},
		"waiting for others":             {last: service.Status{Phase: service.PhaseWaiting}, did: "start", phase: "up", state: "up once"},
		"about to start":                 {last: service.Status{Want: service.Up, Phase: service.PhaseStarting}, did: "start", phase: "up", state: "up u"},
		"failed":                         {last: service.Status{Want: service.Down, Phase: service.PhaseFailed}, phase: "failed", state: "down d"},
		"finish ended meanwhile":         {last: service.Status{FinishPID: 7, Phase: service.PhaseFinishing, Want: service.Up}, did: "start", phase: "up", state: "up u"},
		"finish after failure":           {last: service.Status{FinishPID: 7, Phase: service.PhaseFinishing, Want: service.Up, Last: failed}, rules: permafail, phase: "failed", state: "down d"},
		"finish after failure, told d":   {last: service.Status{FinishPID: 7, Phase: service.PhaseFinishing, Want: service.Down, Last: failed}, rules: permafail, phase: "down", state: "down d"},
		"died of it, nobody knows":       {last: service.Status{PID: 7, Phase: service.PhaseUp, Want: service.Up, Last: failed}, rules: permafail, did: "start", phase: "up", state: "up u"},
	} {
		if c.rules.DownSignal == 0 {
			c.rules = service.DefaultRules
		}
		w := &testWorld{now: now, rules: c.rules}
		s := newMachine(w, !c.down)
		s.Resume(c.last)
		s.Announce()
		s.Begin()
		for _, e := range []byte(c.events) {
			switch e {
			case '+':
				w.now = w.now.Add(time.Second)
			case 'm':
				w.now = w.now.Add(time.Minute)
			default:
				s.Order(e)
			}
			s.Tick()
		}
		if did := strings.Join(w.did, " "); did != c.did {
			t.Errorf("%s: did %q, want %q", what, did, c.did)
		}
		if phase := w.last.Phase.String(); phase != c.phase {
			t.Errorf("%s: %q, want %q", what, phase, c.phase)
		}
		if state := w.state(s); state != c.state {
			t.Errorf("%s: %q, want %q", what, state, c.state)
		}
	}
}

// Whatever the orders, the events and the files in the directory: there is at most
// one start a second, none while run or finish runs or others are waited for, and
// signals are sent only to a process that exists.
func FuzzService(f *testing.F) {
	f.Add("u!d+ox!u", byte(0))
	f.Add("!!!!+++xo", byte(1))
	f.Add("!!B+G+R#u+!%x", byte(0xfe))
	f.Fuzz(func(t *testing.T, events string, with byte) {
		w := &testWorld{now: time.Unix(1e9, 0), rules: service.DefaultRules, finish: with&2 != 0}
		if with&4 != 0 {
			w.rules.KillAfter = time.Second
		}
		if with&8 != 0 {
			w.rules.MaxDelay = 3 * time.Second
		}
		if with&16 != 0 {
			w.rules.NotifyFD = 3
		}
		w.rules.Permafail = with&32 != 0
		s := newMachine(w, with&1 == 0)
		s.Announce()
		s.Begin()
		starts, seconds := len(w.did), 1
		for _, e := range []byte(events) {
			before, running := len(w.did), s.running()
			how := service.Ending{Known: true}
			switch e {
			case '#':
				how.Code = 100
			case '%':
				how.Code = 125
			}
			switch e {
			case '!', '#', '%':
				if s.Status().PID != 0 {
					s.Ended(how)
				} else if s.Status().FinishPID != 0 {
					s.FinishEnded(how)
				}
			case '+':
				w.now = w.now.Add(time.Second)
				seconds++
			case 'B', 'G':
				w.blocked = e == 'B'
			case 'R':
				s.Ready()
			default:
				s.Order(e)
			}
			s.Tick()
			for _, did := range w.did[before:] {
				switch did {
				case "start":
					starts++
					if w.blocked || running && e != '!' && e != '#' && e != '%' {
						t.Fatalf("%q: a start that may not be", events)
					}
				case "finish":
				default:
					if !running {
						t.Fatalf("%q: %s to nobody", events, did)
					}
				}
			}
			if s.Status().PID != 0 && s.Status().FinishPID != 0 {
				t.Fatalf("%q: run and finish at the same time", events)
			}
		}
		if starts > seconds {
			t.Fatalf("%q: %d starts in %d seconds", events, starts, seconds)
		}
		if w.last != s.Status() {
			t.Fatalf("%q: status says %+v, it is %+v", events, w.last, s.Status())
		}
	})
}
