package send

import (
	"os"
	"sync"
	"syscall"
	"time"

	"paperpath/internal/fsys"
	"paperpath/mta/control"
	"paperpath/mta/queue/store"
)

// A channel is one of the two ways out.
type channel int

const (
	local channel = iota
	remote
	channels
)

func (c channel) String() string {
	if c == local {
		return "local"
	}
	return "remote"
}

// file is the name of a message's list of recipients on channel c.
func (c channel) file(id store.ID) string {
	if c == local {
		return id.Local()
	}
	return id.Remote()
}

// scheduler is the heart of qmail-send. One goroutine, run, owns everything in
// it; the others post functions to events, for run to call.
type scheduler struct {
	fs       fsys.FS // the queue directory
	form     store.Form
	control  *control.Dir
	log      *logger
	clock    func() time.Time
	settings settings
	events   *mailbox[func()]

	noMore   chan struct{} // closed when exiting begins
	stop     chan struct{} // closed when the workers shall end
	workers  sync.WaitGroup
	readers  sync.WaitGroup // they end with their spawners, after run
	intake   *intake
	finisher *finisher
	recorder *recorder

	now     int64     // of this round
	last    time.Time // of the round before
	exiting bool

	// Where a preprocessed message waits, until its job is opened:
	due   [channels]dueHeap // has a local or remote file
	done  dueHeap           // hopefully has neither
	retry dueHeap           // nobody knows: stat failed

	// What is tried straight from todo/:
	straights map[store.ID]*straight
	fresh     [channels][]*straight // those not started, but for settling ones
	late      dueHeap               // when they are settled
	settling  int                   // how many the intake settles now

	spawners [channels]*spawner
	passes   [channels]pass
	jobs     int    // open ones
	started  uint64 // deliveries so far
}

// run works until TERM has been obeyed or a partner is lost.
func (s *scheduler) run(signals <-chan os.Signal) {
	timer := time.NewTimer(0)
	for {
		s.tick()
		s.settleLate()
		busy := s.startDeliveries()
		s.passOnDone()
		s.log.flush()
		if s.exiting && s.canExit() {
			break
		}
		timer.Reset(s.untilNext(busy))
		select {
		case <-s.events.ready:
		case sig := <-signals:
			s.obey(sig)
		case <-timer.C:
		}
		for _, event := range s.events.take() {
			event()
		}
	}
	close(s.stop)
	s.workers.Wait() // a bounce left half injected would be injected twice
	s.saveSchedule()
	s.log.line("status: exiting")
	s.log.flush()
}

// post hands f to run's goroutine.
func (s *scheduler) post(f func()) { s.events.put(f) }

func (s *scheduler) obey(sig os.Signal) {
	switch sig {
	case syscall.SIGTERM:
		s.exit() // let the deliveries that run end, start nothing more
	case syscall.SIGALRM:
		s.allDue()
	case syscall.SIGHUP:
		s.reload()
	}
}

// allDue reschedules every message for now.
func (s *scheduler) allDue() {
	for c := range s.due {
		s.due[c].allDue(s.now)
	}
}

// reload obeys HUP: locals and virtualdomains, and, more than the C program
// reads, the concurrencies and what is held. What cannot be read stays as it
// was.
func (s *scheduler) reload() {
	locals, virtual, err := readDomains(s.control)
	if err != nil {
		s.log.line("alert: ", err.Error())
		return
	}
	s.settings.locals, s.settings.virtual = locals, virtual
	rules := s.settings.rules
	s.intake.rules.Store(&rules)

	changed := false
	for c, name := range concurrencyFiles {
		n, err := s.control.Int(name, concurrencyDefaults[c])
		if err != nil {
			s.log.line("alert: unable to reread control/", name)
			continue
		}
		changed = s.spawners[c].setConcurrency(n) || changed
	}
	for c, name := range holdFiles {
		n, err := s.control.Int(name, 0)
		if err != nil {
			s.log.line("alert: unable to reread control/", name)
			continue
		}
		changed = s.hold(channel(c), n != 0) || changed
	}
	if changed {
		s.logStatus()
	}
}

// hold holds a channel, or lets it go on: then all that has waited is tried,
// since that is what it waited for. It reports whether that changed anything.
func (s *scheduler) hold(c channel, held bool) (changed bool) {
	switch {
	case held == s.settings.held[c]:
		return false
	case held:
		s.log.line(c.String(), " deliveries temporarily held")
	default:
		s.log.line(c.String(), " deliveries resumed")
		s.due[c].allDue(s.now)
	}
	s.settings.held[c] = held
	return true
}

// clockSlop is how far the clock may step without anybody calling it a jump.
const clockSlop = time.Minute

// tick reads the clock. Everything is scheduled by the clock on the wall. If
// somebody sets that back, all that waits would wait until it has caught up,
// perhaps for years; so it is tried now. What a clock set forward must not do
// is the business of isLastTry.
func (s *scheduler) tick() {
	now := s.clock()
	before := s.last
	s.last, s.now = now, now.Unix()
	if before.IsZero() {
		return
	}
	s.jumped(now.Round(0).Sub(before.Round(0)) - now.Sub(before)) // wall less monotonic
}

func (s *scheduler) jumped(jump time.Duration) {
	switch {
	case jump < -clockSlop:
		s.log.line("warning: clock went back ", decimal(int64(-jump/time.Second)), " seconds; trying every message now")
		s.allDue()
		s.done.allDue(s.now)
		s.retry.allDue(s.now)
		s.late.allDue(s.now)
	case jump > clockSlop:
		s.log.line("warning: clock went forward ", decimal(int64(jump/time.Second)), " seconds")
	}
}

// longestSleep bounds a sleep: a machine that was suspended wakes with its
// timers late.
const longestSleep = sleepTodo

// untilNext returns for how long there is nothing to do unless something
// happens.
func (s *scheduler) untilNext(busy bool) time.Duration {
	if busy {
		return 0
	}
	next := s.now + longestSleep
	sooner := func(h dueHeap) {
		if due, ok := h.first(); ok {
			next = min(next, due)
		}
	}
	if !s.exiting {
		for c := range s.passes {
			// A pass under way and a fresh message wait for a free delivery,
			// a full table of jobs for one to end, a held channel for HUP: all
			// come as events.
			if s.passes[c].job == nil && !s.settings.held[c] && s.jobFree() && !s.freshNext(channel(c)) {
				sooner(s.due[c])
			}
		}
	}
	sooner(s.retry)
	sooner(s.done)
	sooner(s.late)
	// To the end of the clock's tick, so as not to wake too soon and again.
	wake := time.Unix(next, 0).Add(time.Millisecond)
	return max(0, wake.Sub(s.last.Round(0)))
}

// canExit reports whether every delivery has been reported and recorded. What
// a dead spawner had is for the next qmail-send.
func (s *scheduler) canExit() bool {
	for _, sp := range s.spawners {
		if sp.alive && sp.used > 0 {
			return false
		}
	}
	return s.settling == 0 && s.recorder.idleOrStuck()
}

// logStatus writes the status line (del_status).
func (s *scheduler) logStatus() {
	parts := []string{"status:"}
	for c, sp := range s.spawners {
		parts = append(parts, " ", channel(c).String(), " ", decimal(sp.used), "/", decimal(sp.concurrency))
		if s.settings.held[c] {
			parts = append(parts, " (held)")
		}
	}
	if s.exiting {
		parts = append(parts, " exitasap")
	}
	s.log.line(parts...)
}

// lost is what the end of a partner means: qmail-start's whole set must be
// started anew.
func (s *scheduler) lost(partner string) {
	s.log.line("alert: oh no! lost ", partner, " connection! dying...")
	s.exit()
}

func (s *scheduler) exit() {
	if !s.exiting {
		s.exiting = true
		close(s.noMore)
	}
}
