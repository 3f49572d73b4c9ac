package supervise

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"paperpath/service"
)

// testWorld writes down what the machine does.
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

func (w *testWorld) Rules() service.Rules { return w.rules }

func (w *testWorld) Blocked(service.Rules) bool { return w.blocked }

func (w *testWorld) Signal(sig syscall.Signal) { w.did = append(w.did, sig.String()) }

func (w *testWorld) Announce(s service.Status) { w.last = s }

// state says what svstat would see.
func (w *testWorld) state(s *Service) string {
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
		s := NewService(w, !c.down)
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
				w.fail = ErrFork
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

// The stamp changes when the process does, and then only.
func TestStamp(t *testing.T) {
	w := &testWorld{now: time.Unix(1e9, 0), rules: service.DefaultRules}
	s := NewService(w, true)
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

// What a predecessor said holds on, and its process counts as the service's.
func TestAdopt(t *testing.T) {
	w := &testWorld{now: time.Unix(1e9, 0), rules: service.DefaultRules}
	last := service.Status{Stamp: time.Unix(9e8, 7), PID: 4711, Paused: true, Want: 0}
	s := NewService(w, true)
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

// Whatever is ordered and happens, there is one start a second at the most, and
// signals go to a process only.
func FuzzService(f *testing.F) {
	f.Add("u!d+ox!u", false)
	f.Add("!!!!+++xo", true)
	f.Fuzz(func(t *testing.T, events string, down bool) {
		w := &testWorld{now: time.Unix(1e9, 0), rules: service.DefaultRules}
		s := NewService(w, !down)
		s.Begin()
		seconds := 1
		for _, e := range []byte(events) {
			before := len(w.did)
			running := s.Status().PID != 0
			switch e {
			case '!':
				if running {
					s.Ended(service.Ending{Known: true})
				}
			case '+':
				w.now = w.now.Add(time.Second)
				seconds++
			default:
				s.Order(e)
			}
			s.Tick()
			for _, did := range w.did[before:] {
				if did != "start" && !running {
					t.Fatalf("%q: %s to nobody", events, did)
				}
			}
		}
		if w.pid > seconds {
			t.Fatalf("%q: %d starts in %d seconds", events, w.pid, seconds)
		}
		if (w.last.PID != 0) != (s.Status().PID != 0) {
			t.Fatalf("%q: status says %d, process is %d", events, w.last.PID, s.Status().PID)
		}
	})
}
