package send

import (
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/fsys/crashfs"
	"paperpath/internal/proc/proctest"
	"paperpath/mta/queue/store"
)

func TestMessageGoesThrough(t *testing.T) {
	h := open(t, emptyQueue(), usual)
	h.send("Subject: hello\n\nhello\n", "a@there.example", "me@here.example", "you@there.example")
	h.awaitEmpty()
	h.close()
	if d := h.deliveries(); len(d) != 2 || d[0].sender != "a@there.example" || !strings.Contains(d[0].body, "hello") {
		t.Errorf("%+v", d)
	}
	for _, want := range []string{
		"status: local 0/10 remote 0/20\nnew msg ", " from <a@there.example> qp 4711 uid 7791\n",
		"starting delivery 1: msg ", " to local me@here.example\n", " to remote you@there.example\n",
		"status: local 1/10 remote 1/20\n", "delivery 2: success: did_1+0+0/\n", "end msg ", "status: exiting\n",
	} {
		if !strings.Contains(h.log.String(), want) {
			t.Errorf("no %q in the log:\n%s", want, h.log)
		}
	}
}

// A queue of the big-todo patch works as it is.
func TestBigTodo(t *testing.T) {
	fs := bigTodoQueue()
	h := open(t, fs, controls{"me": "here.example\n", "holdlocal": "1\n"})
	h.send("x\n", "a@there.example", "me@here.example", "you@there.example")
	h.send("y\n", "a@there.example", "fail@there.example")
	h.awaitLog("failure: ")
	h.close()
	held := h.deliveries() // to you@; the bounce may have gone out by now, or not
	h = open(t, fs, usual)
	h.awaitEmpty()
	h.close()
	if d := h.deliveries(); len(held)+len(d) != 3 || slices.ContainsFunc(held, toMe) || !slices.ContainsFunc(d, toMe) {
		t.Errorf("with local deliveries held %+v, then %+v", held, d)
	}
	fs = bigTodoQueue()
	if _, bad := crash(t, fs, scenarioStraight(), crashfs.Strict, 1, seed); bad != nil {
		t.Error(bad)
	}
}

func toMe(d delivered) bool { return d.recipient == "me@here.example" }

// makeBig gives a plain queue the subdirectories of the big-todo patch.
func makeBig(t *testing.T, fs *crashfs.FS) {
	t.Helper()
	for _, dir := range slices.Concat(store.Subdirs("intd"), store.Subdirs("todo")) {
		if err := fs.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// A queue becomes one of the big-todo patch with a message in it, before
// qmail-send starts and while it runs: that message is taken in by its old
// name, new ones by theirs.
func TestTodoOfBothForms(t *testing.T) {
	for _, running := range []bool{false, true} {
		for _, recipients := range [][]string{{"ok1@here.example"}, {"ok1@here.example", "ok2@here.example"}} {
			fs := emptyQueue()
			put := func(body string) {
				if err := putIn(fs, body, envelope("s@here.example", recipients...)); err != nil {
					t.Fatal(err)
				}
			}
			var h *house
			if running {
				h = open(t, fs, usual)
				h.send("zero\n", "s@here.example", recipients...)
				h.awaitEmpty()
			}
			put("old\n")
			makeBig(t, fs)
			put("new\n")
			if !running {
				h = open(t, fs, usual)
			}
			h.pull()
			h.awaitEmpty()
			h.close()
			want := 2
			if running {
				want = 3
			}
			if d := h.deliveries(); len(d) != want*len(recipients) {
				t.Errorf("running %v: %+v\n%s", running, d, h.log)
			}
			// Both directories that a name may have been in are synced when
			// it is gone.
			unsynced := map[string]bool{}
			for _, c := range fs.Log() {
				switch {
				case c.Op == "remove" && strings.HasPrefix(c.Name, "todo/"):
					unsynced[path.Dir(c.Name)] = true
				case c.Op == "syncdir":
					delete(unsynced, c.Name)
				}
			}
			if len(unsynced) > 0 {
				t.Errorf("running %v: not synced: %v", running, unsynced)
			}
		}
	}
}

// Of a queue that was one of the big-todo patch, and is plain again, no message
// is removed that still has its old name in todo.
func TestTodoOfTheOtherFormIsNotOwnerless(t *testing.T) {
	const id = store.ID(23001)
	for _, c := range []struct {
		queue func() *crashfs.FS
		todo  string
	}{
		{emptyQueue, store.Form{}.Todo(id)},
		{emptyQueue, store.Form{BigTodo: true}.Todo(id)},
		{bigTodoQueue, store.Form{}.Todo(id)},
		{bigTodoQueue, store.Form{BigTodo: true}.Todo(id)},
	} {
		fs := c.queue()
		fs.Mkdir("todo/1", 0o700)
		putFile(t, fs, id.Mess(), "text\n")
		putFile(t, fs, c.todo, envelope("s@here.example", "a@here.example"))
		fs.SetTimes(id.Mess(), time.Now().Add(-2*store.Ossified))
		form, _ := store.FindForm(fs)
		f := newFinisher(fs, form, &logger{w: &proctest.Buffer{}}, time.Now, nil, nil, nil)
		if f.ownerless(id) {
			t.Errorf("%+v: with %s", form, c.todo)
		}
		fs.Remove(c.todo)
		if !f.ownerless(id) {
			t.Errorf("%+v: without %s", form, c.todo)
		}
	}
}

func TestDeferredRecipientsWaitAndTheOthersAreMarked(t *testing.T) {
	fs := emptyQueue()
	h := open(t, fs, usual)
	h.send("x\n", "s@here.example", "ok1@here.example", "defer2@here.example", "defer3@there.example")
	h.awaitLog("delivery 3: ")
	h.await("end of the deliveries", func() bool { return strings.Count(h.log.String(), "deferral: not_now/\n") == 2 })
	h.close()
	ids, _ := store.List(fs, "info/"+lastPart(t, fs))
	if len(ids) != 1 {
		t.Fatalf("queue: %q", files(fs))
	}
	id := ids[0]
	if got := read(t, fs, id.Local()); got != "Dok1@here.example\x00Tdefer2@here.example\x00" {
		t.Errorf("local %q", got)
	}
	// TERM leaves the schedule in the modification times.
	for c := range channels {
		st, err := fs.Stat(c.file(id))
		info, _ := fs.Stat(id.Info())
		wait := st.Mtime.Unix() - info.Mtime.Unix()
		if want := skip[c] * skip[c]; err != nil || wait < want || wait > want+skip[c]*3 {
			t.Errorf("%v is due %d seconds after birth, want %d or a little more", c, wait, want)
		}
	}

	// The next one keeps it, and ALRM makes everything due.
	h = open(t, fs, usual)
	h.verdict = func(string) string { return "K\n" }
	h.awaitLog("status: local 0/10 remote 0/20\n")
	time.Sleep(50 * time.Millisecond)
	if strings.Contains(h.log.String(), "starting") {
		t.Errorf("tried too soon\n%s", h.log)
	}
	h.signals <- syscall.SIGALRM
	h.awaitEmpty()
	h.close()
	if d := h.deliveries(); len(d) != 2 {
		t.Errorf("%+v", d)
	}
}

func lastPart(t *testing.T, fs *crashfs.FS) string {
	t.Helper()
	for _, dir := range store.Subdirs("info") {
		if ids, _ := store.List(fs, dir); len(ids) > 0 {
			return strings.TrimPrefix(dir, "info/")
		}
	}
	t.Fatal("nothing in info/")
	return ""
}

func TestTooOldMeansTheDeferralFails(t *testing.T) {
	fs := emptyQueue()
	h := open(t, fs, usual)
	h.send("x\n", "s@here.example", "defer1@here.example")
	h.awaitLog("deferral: ")
	h.close()
	for _, dir := range store.Subdirs("info") {
		ids, _ := store.List(fs, dir)
		for _, id := range ids {
			fs.SetTimes(id.Info(), time.Now().Add(-604900*time.Second))
			fs.SetTimes(id.Local(), time.Now())
		}
	}
	h = open(t, fs, usual)
	h.awaitEmpty()
	h.close()
	if want := "failure: not_now/I'm_not_going_to_try_again;_this_message_has_been_in_the_queue_too_long./\n"; !strings.Contains(h.log.String(), want) {
		t.Errorf("no %q in\n%s", want, h.log)
	}
	if d := h.deliveries(); len(d) != 1 || !strings.Contains(d[0].body, "<defer1@here.example>:\nnot now\nI'm not going") {
		t.Errorf("%+v", d)
	}
}

func TestConcurrencyIsKeptAndHUPChangesIt(t *testing.T) {
	c := controls{"me": "here.example\n", "concurrencylocal": "2\n", "concurrencyremote": "500\n"}
	h := open(t, emptyQueue(), c)
	release := make(chan struct{})
	h.verdict = func(string) string { <-release; return "K\n" }
	h.send("x\n", "s@here.example", "a@here.example", "b@here.example", "c@here.example", "d@virtual.example")
	h.awaitLog("status: local 2/2 remote 1/120\n") // the spawner said 120
	if strings.Contains(h.log.String(), "c@here.example") {
		t.Errorf("a third delivery\n%s", h.log)
	}
	h.control(t, "concurrencylocal", "3\n")
	h.control(t, "virtualdomains", "virtual.example:v\n")
	h.signals <- syscall.SIGHUP
	h.awaitLog("status: local 3/3 remote 1/120\n")
	h.send("y\n", "s@here.example", "e@virtual.example")
	close(release)
	h.awaitLog("to local v-e@virtual.example\n")
	h.awaitEmpty()
	// What cannot be read leaves everything as it was.
	h.control(t, "locals/x", "")
	h.signals <- syscall.SIGHUP
	h.awaitLog("alert: unable to reread control/locals\n")
	h.send("y\n", "s@here.example", "f@here.example")
	h.awaitLog("to local f@here.example\n")
	h.awaitEmpty()
	h.close()
}

func TestConcurrencyZeroHoldsDeliveries(t *testing.T) {
	c := controls{"me": "here.example\n", "concurrencylocal": "0\n"}
	fs := emptyQueue()
	h := open(t, fs, c)
	h.send("x\n", "s@here.example", "a@here.example", "b@there.example")
	h.awaitLog("delivery 1: success")
	h.close()
	if d := h.deliveries(); len(d) != 1 || d[0].recipient != "b@there.example" {
		t.Errorf("%+v", d)
	}
}

// What a held channel has is tried as soon as HUP finds it held no more; the
// other channel goes on all the time.
func TestHeldChannels(t *testing.T) {
	fs := emptyQueue()
	h := open(t, fs, controls{"me": "here.example\n", "holdremote": "1\n"})
	h.awaitLog("status: local 0/10 remote 0/20 (held)\n")
	h.send("x\n", "s@here.example", "a@here.example", "once@there.example")
	h.send("y\n", "s@here.example", "b@there.example")
	h.awaitLog("delivery 1: success")
	h.close() // a held channel is no reason to stay

	h = open(t, fs, controls{"me": "here.example\n", "holdremote": "1\n"})
	h.awaitLog("new msg")
	h.control(t, "holdremote", "0\n")
	h.control(t, "holdlocal", "1\n")
	h.signals <- syscall.SIGHUP
	h.awaitLog("local deliveries temporarily held\n")
	h.awaitLog("remote deliveries resumed\nstatus: local 0/10 (held) remote 0/20\n")
	h.awaitLog("to remote b@there.example\n")
	h.awaitLog("deferral: not_now/\n")
	h.send("z\n", "s@here.example", "c@here.example")

	// What was tried and deferred need not wait for its time once more.
	h.control(t, "holdremote", "1\n")
	h.signals <- syscall.SIGHUP
	h.awaitLog("remote deliveries temporarily held\n")
	h.control(t, "holdlocal/x", "")
	h.control(t, "holdremote", "0\n")
	h.signals <- syscall.SIGHUP
	h.awaitLog("alert: unable to reread control/holdlocal\n")
	h.await("third delivery", func() bool { return len(h.deliveries()) == 2 })
	if d := h.deliveries(); d[0].recipient != "b@there.example" || d[1].recipient != "once@there.example" {
		t.Errorf("%+v", d)
	}
	os.Remove(h.home + "/control/holdlocal")
	h.signals <- syscall.SIGHUP
	h.awaitEmpty()
	h.close()
}

func TestTERMWaitsForDeliveriesAndStartsNone(t *testing.T) {
	fs := emptyQueue()
	h := open(t, fs, usual)
	release := make(chan struct{})
	h.verdict = func(string) string { <-release; return "K\n" }
	h.send("x\n", "s@here.example", "a@here.example")
	h.awaitLog("status: local 1/10")
	h.signals <- syscall.SIGTERM
	time.Sleep(20 * time.Millisecond)
	h.send("y\n", "s@here.example", "b@here.example")
	close(release)
	<-h.ended
	log := h.log.String()
	if !strings.Contains(log, "status: local 0/10 remote 0/20 exitasap\n") || !strings.HasSuffix(log, "status: exiting\n") {
		t.Errorf("log\n%s", log)
	}
	if strings.Contains(log, "b@here.example") {
		t.Errorf("started after TERM\n%s", log)
	}
	if todo, _ := store.List(fs, "todo"); len(todo) != 1 {
		t.Errorf("todo %v", todo)
	}
}

func TestReportsAreNotTrusted(t *testing.T) {
	fs := emptyQueue()
	h := open(t, fs, usual)
	reports := map[string]string{
		"a@here.example": "Xwhat\n",
		"b@here.example": "",
		"c@here.example": "D" + strings.Repeat("x", 20000),
	}
	h.verdict = func(r string) string {
		if reports[r] == "" {
			return "\x01" // a verdict nobody knows
		}
		return reports[r]
	}
	h.send("x\n", "s@here.example", "a@here.example", "b@here.example", "c@here.example")
	h.await("reports", func() bool { return strings.Count(h.log.String(), "status: local 0/10") >= 2 })
	h.s.post(func() { h.s.report(local, 77, "Knobody asked") })
	h.s.post(func() { h.s.report(local, 200, "Knobody asked") })
	h.awaitLog("warning: internal error: delivery report out of range\n")
	h.close()
	log := h.log.String()
	if n := strings.Count(log, ": report mangled, will defer\n"); n != 2 {
		t.Errorf("%d mangled reports\n%.2000s", n, log)
	}
	if n := strings.Count(log, "x"); n < maxReport-10 || n > maxReport+10 {
		t.Errorf("report cut to %d bytes", n)
	}
}

func TestLosingAPartnerEndsQmailSend(t *testing.T) {
	for _, partner := range []string{"spawn", "qmail-clean"} {
		fs := emptyQueue()
		h := open(t, fs, usual)
		switch partner {
		case "spawn":
			h.s.post(func() { h.s.spawnerDied(local) })
		default:
			h.s.post(func() { h.s.lost("qmail-clean") })
		}
		select {
		case <-h.ended:
		case <-time.After(30 * time.Second):
			t.Fatalf("goes on\n%s", h.log)
		}
		if want := "alert: oh no! lost " + partner + " connection! dying...\n"; !strings.Contains(h.log.String(), want) {
			t.Errorf("no %q in\n%s", want, h.log)
		}
	}
}

func TestCorruptMessagesAreHeldAndTheOthersGoOn(t *testing.T) {
	fs := emptyQueue()
	put := func(name, text string) { putFile(t, fs, name, text) }
	bad := map[store.ID]string{}
	for i, text := range []string{"garbage", "Fa\x00", "Fa\x00Xb\x00", "Fa\x00Fb\x00Tc@here.example\x00", "u1\x00"} {
		id := store.ID(100_000 + i)
		put(id.Mess(), "body "+id.String()+"\n")
		if text == "Fa\x00" {
			text += "Tc" // no final NUL
		}
		put(store.Form{}.Todo(id), text)
		put(store.Form{}.Intd(id), text)
		bad[id] = text
	}
	orphan := store.ID(100_100) // no mess
	put(store.Form{}.Todo(orphan), "Fa\x00Tb@here.example\x00")
	noSender := store.ID(100_200)
	put(noSender.Mess(), "body\n")
	put(noSender.Info(), "")
	put(noSender.Local(), "Tx@here.example\x00")
	badList := store.ID(100_300)
	put(badList.Mess(), "body\n")
	put(badList.Info(), "Fs@here.example\x00")
	put(badList.Local(), "Tx@here.example\x00Zy\x00")

	h := open(t, fs, usual)
	h.send("good\n", "s@here.example", "ok@here.example")
	h.await("empty queue", h.finished)
	h.await("notes", func() bool { return strings.Count(h.log.String(), "alert: ") >= len(bad)+3 })
	h.await("empty queue", h.finished)
	h.close()
	for id, text := range bad {
		if got := read(t, fs, "corrupt/"+id.String()+".todo"); got != text {
			t.Errorf("todo %q became %q", text, got)
		}
		if got := read(t, fs, "corrupt/"+id.String()+".mess"); got != "body "+id.String()+"\n" {
			t.Errorf("mess became %q", got)
		}
	}
	read(t, fs, "corrupt/"+noSender.String()+".mess")
	read(t, fs, badList.Local()+".corrupt")
	notes, ok := 0, 0
	for _, d := range h.deliveries() {
		switch {
		case d.recipient == "postmaster@here.example" && d.sender == "#@[]" && strings.Contains(d.body, "corrupt/"):
			notes++
		case d.recipient == "ok@here.example":
			ok++
		}
	}
	if notes != len(bad)+3 || ok != 1 {
		t.Errorf("%d notes, %d good messages\n%s", notes, ok, h.log)
	}
}

// Whatever call of the file system fails once: nothing is lost, and the next
// qmail-send finishes what this one could not.
func TestNoFaultLosesAMessage(t *testing.T) {
	for _, messages := range [][]*sent{{scenario()[1]}, scenarioStraight()[:1], scenarioStraight()[1:2], scenarioStraight()[2:3]} {
		t.Run(messages[0].recipients[0], func(t *testing.T) { noFaultLoses(t, messages) })
	}
}

func noFaultLoses(t *testing.T, messages []*sent) {
	run := func(n int, fault error) (first, total int) {
		fs := emptyQueue()
		if err := putIn(fs, messages[0].body, envelope(messages[0].sender, messages[0].recipients...)); err != nil {
			t.Fatal(err)
		}
		base := fs.Calls()
		if n >= 0 {
			fs.Fault = crashfs.FailNth(base+n, fault)
		}
		h := open(t, fs, usual)
		size, quiet := 0, 0
		h.await("quiet", func() bool {
			if now := len(h.log.String()); now != size {
				size, quiet = now, 0
			}
			quiet++
			return quiet > 15
		})
		total = fs.Calls() - base
		first = slices.IndexFunc(fs.Log()[base:], func(c crashfs.Call) bool { return c.Op == "list" && c.Name == "todo" })
		h.close()
		before := h.deliveries()
		fs.Fault = nil
		h = open(t, fs, usual)
		h.awaitFinished("end")
		h.close()
		if err := account(messages, fs.Calls(), before, h.deliveries()); err != nil {
			t.Errorf("call %d failing with %v: %v\n%s", n, fault, err, h.log)
		}
		return first, total
	}
	first, total := run(-1, nil)
	if len(messages[0].recipients) > 1 {
		first = 0 // the start, too; that is slow
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 32) // most wait: after a fault qmail-send sleeps
	for n := first; n < total; n++ {
		slots <- struct{}{}
		wg.Go(func() {
			run(n, []error{enospc, syscall.EIO, crashfs.Short(enospc)}[n%3])
			<-slots
		})
	}
	wg.Wait()
	t.Logf("%d calls", total)
}

// A full disk stops what needs room, not the rest, and the messages wait in
// todo/.
func TestFullDiskLeavesMessagesInTodo(t *testing.T) {
	fs := emptyQueue()
	if err := putIn(fs, "x\n", envelope("s@here.example", "a@here.example", "b@here.example")); err != nil {
		t.Fatal(err)
	}
	fs.Fault = func(c crashfs.Call) error {
		if c.Op == "write" && strings.HasPrefix(c.Name, "info/") {
			return enospc
		}
		return nil
	}
	h := open(t, fs, usual)
	h.awaitLog("warning: trouble writing to info/")
	for range 50 {
		h.pull() // a flood does not make it try again and again
	}
	time.Sleep(100 * time.Millisecond)
	if n := strings.Count(h.log.String(), "trouble writing"); n != 1 {
		t.Errorf("tried %d times", n)
	}
	h.close()
	fs.Fault = nil
	h = open(t, fs, usual)
	h.awaitEmpty()
	h.close()
}

func TestClockJumps(t *testing.T) {
	log := &proctest.Buffer{}
	now := time.Now()
	s := &scheduler{log: &logger{w: log}, clock: func() time.Time { return now }}
	s.tick()
	s.due[remote].push(entry{s.now + 5000, 1})
	s.done.push(entry{s.now + 5000, 2})
	now = now.Add(1000 * time.Second)
	s.tick()
	if due, _ := s.due[remote].first(); due != s.now+4000 {
		t.Error("time passing is a jump")
	}
	// Monotonic readings cannot be faked; a time without one shows the wall.
	s.last = s.last.Add(10 * 365 * 24 * time.Hour)
	s.jumped(-10 * 365 * 24 * time.Hour)
	s.log.flush()
	if due, _ := s.due[remote].first(); due > s.now || !strings.Contains(log.String(), "warning: clock went back 315360000 seconds") {
		t.Errorf("due in %d\n%s", due-s.now, log)
	}
	s.jumped(10 * 365 * 24 * time.Hour)
	s.log.flush()
	if !strings.Contains(log.String(), "warning: clock went forward 315360000 seconds") {
		t.Errorf("%s", log)
	}
}
