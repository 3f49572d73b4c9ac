package send

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/fsys/crashfs"
	"paperpath/internal/proc/proctest"
	"paperpath/mta/queue/store"
)

// logged returns the calls of the file system that match, "op directory" each.
func logged(fs *crashfs.FS, ops ...string) (list []string) {
	for _, c := range fs.Log() {
		dir, _, _ := strings.Cut(c.Name, "/")
		if slices.Contains(ops, c.Op+" "+dir) {
			list = append(list, c.Op+" "+dir)
		}
	}
	return list
}

func TestWhatSucceedsAtOnceNeedsNoLists(t *testing.T) {
	for _, to := range []string{"ok@here.example", "ok@there.example"} {
		fs := emptyQueue()
		h := open(t, fs, usual)
		h.send("x\n", "s@here.example", to)
		h.awaitEmpty()
		h.close()
		if list := logged(fs, "open info", "open local", "open remote", "sync info", "syncdir info"); len(list) > 0 {
			t.Errorf("%s: %q", to, list)
		}
		// mess/ once before todo/N is linked, and for good at the end.
		want := []string{"remove todo", "syncdir todo", "remove mess"}
		if list := logged(fs, "remove todo", "syncdir todo", "remove mess"); !slices.Equal(list[len(list)-3:], want) {
			t.Errorf("%s: %q", to, list)
		}
		var words []string
		for line := range strings.Lines(h.log.String()) {
			words = append(words, strings.Fields(line)[0])
		}
		if got := strings.Join(words, " "); got != "status: new info starting status: delivery status: end status:" {
			t.Errorf("log:\n%s", h.log)
		}
	}
}

// What fails has its lists, and has left todo/, before bounce/N begins: a
// program that finds todo/N begins anew.
func TestAFailureIsPreprocessedFirst(t *testing.T) {
	fs := emptyQueue()
	h := open(t, fs, usual)
	h.send("x\n", "s@here.example", "fail@there.example")
	h.awaitLog("bounce msg ")
	h.awaitEmpty()
	h.close()
	// The last todo/N is the bounce's own, which is delivered at once.
	want := []string{"sync info", "sync remote", "remove todo", "sync bounce", "remove todo"}
	got := logged(fs, "sync info", "sync remote", "remove todo", "sync bounce")
	slices.Sort(got[:min(2, len(got))]) // these go together
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestADeferralIsPreprocessedWithItsSchedule(t *testing.T) {
	for c, to := range []string{"defer@here.example", "defer@there.example"} {
		fs := emptyQueue()
		h := open(t, fs, usual)
		h.send("x\n", "s@here.example", to)
		h.awaitLog("deferral: ")
		h.close()
		id := onlyMessage(t, fs)
		if got := read(t, fs, channel(c).file(id)); got != "T"+to+"\x00" {
			t.Errorf("list %q", got)
		}
		if got := read(t, fs, id.Info()); got != "Fs@here.example\x00" {
			t.Errorf("info %q", got)
		}
		if todo, _ := store.List(fs, "todo"); len(todo) > 0 {
			t.Errorf("todo %v", todo)
		}
		st, _ := fs.Stat(channel(c).file(id))
		info, _ := fs.Stat(id.Info())
		wait := st.Mtime.Unix() - info.Mtime.Unix()
		if want := skip[c] * skip[c]; wait < want || wait > want+skip[c]*3 {
			t.Errorf("%v is due %d seconds after birth, want %d or a little more", channel(c), wait, want)
		}
	}
}

func onlyMessage(t *testing.T, fs *crashfs.FS) store.ID {
	t.Helper()
	ids, _ := store.List(fs, "info/"+lastPart(t, fs))
	if len(ids) != 1 {
		t.Fatalf("queue: %q", files(fs))
	}
	return ids[0]
}

// settleNow does what comes when patience ends.
func (h *house) settleNow() { h.s.post(func() { h.s.late.allDue(h.s.now) }) }

// A delivery that takes long is shown in the queue, whatever its end will be.
func TestALongDeliveryIsPreprocessedMeanwhile(t *testing.T) {
	for report, line := range map[string]string{
		"K\n":        "success: /",
		"Dno\n":      "failure: no/",
		"Znot now\n": "deferral: not_now/",
	} {
		fs := emptyQueue()
		h := open(t, fs, usual)
		release := make(chan struct{})
		h.verdict = func(string) string { <-release; return report }
		h.send("x\n", "", "a@here.example") // a double bounce at most
		h.awaitLog("starting delivery 1")
		if list := files(fs); len(list) != 3 { // mess, intd, todo
			t.Errorf("%q", list)
		}
		h.settleNow()
		h.await("a list", func() bool { return !slices.ContainsFunc(files(fs), isTodo) })
		id := onlyMessage(t, fs)
		if got := read(t, fs, id.Local()); got != "Ta@here.example\x00" {
			t.Errorf("%q", got)
		}
		close(release)
		h.awaitLog(line)
		switch report[0] {
		case 'K':
			h.awaitEmpty()
		case 'D':
			h.awaitLog("bounce msg ")
		case 'Z':
			h.await("the end of the job", func() bool {
				read(t, fs, id.Local())
				c := make(chan int)
				h.s.post(func() { c <- len(h.s.due[local]) })
				return <-c == 1
			})
		}
		h.close()
		if n := strings.Count(h.log.String(), "new msg "+id.String()+"\n"); n != 1 {
			t.Errorf("%d times new\n%s", n, h.log)
		}
	}
}

func isTodo(name string) bool { return strings.HasPrefix(name, "todo/") }

// What does not find a delivery in time waits with the others.
func TestWhatCannotBeTriedSoonIsPreprocessed(t *testing.T) {
	c := controls{"me": "here.example\n", "concurrencylocal": "0\n"}
	fs := emptyQueue()
	h := open(t, fs, c)
	h.send("x\n", "s@here.example", "a@here.example")
	h.awaitLog("info msg")
	h.settleNow()
	h.await("a list", func() bool { return len(files(fs)) == 3 && !slices.ContainsFunc(files(fs), isTodo) })
	h.control(t, "concurrencylocal", "1\n")
	h.signals <- syscall.SIGHUP
	h.awaitEmpty()
	h.close()
	if d := h.deliveries(); len(d) != 1 {
		t.Errorf("%+v", d)
	}
}

// TERM leaves what was not started where the next qmail-send looks for it.
func TestTERMLeavesWhatWasNotStarted(t *testing.T) {
	c := controls{"me": "here.example\n", "concurrencylocal": "0\n"}
	fs := emptyQueue()
	h := open(t, fs, c)
	h.send("x\n", "s@here.example", "a@here.example")
	h.awaitLog("info msg")
	h.close()
	if !slices.ContainsFunc(files(fs), isTodo) {
		t.Errorf("%q", files(fs))
	}
	h = open(t, fs, usual)
	h.awaitEmpty()
	h.close()
}

// On a full disk a deferred message stays in todo/; it is neither forgotten
// nor tried all the time, and the others go on.
func TestFullDiskKeepsWhatWasDeferred(t *testing.T) {
	for _, report := range []string{"Znot now\n", "Dno\n"} {
		fs := emptyQueue()
		var full atomic.Bool
		full.Store(true)
		fs.Fault = func(c crashfs.Call) error {
			if full.Load() && c.Op == "write" && strings.HasPrefix(c.Name, "info/") {
				return enospc
			}
			return nil
		}
		h := open(t, fs, usual)
		h.verdict = func(r string) string {
			if r == "a@here.example" {
				return report
			}
			return "K\n"
		}
		h.send("x\n", "s@here.example", "a@here.example")
		h.awaitLog("warning: trouble writing to info/")
		h.send("y\n", "s@here.example", "b@here.example")
		h.awaitLog("end msg ")
		h.pull()
		time.Sleep(50 * time.Millisecond)
		if n := strings.Count(h.log.String(), "to local a@here.example"); n != 1 {
			t.Errorf("tried %d times\n%s", n, h.log)
		}
		full.Store(false)
		h.settleNow()
		if report[0] == 'D' {
			h.awaitLog("bounce msg ")
			h.awaitEmpty()
		} else {
			h.await("a list", func() bool { return !slices.ContainsFunc(files(fs), isTodo) })
		}
		h.close()
		if n := strings.Count(h.log.String(), "to local a@here.example"); n != 1 {
			t.Errorf("tried %d times\n%s", n, h.log)
		}
	}
}

// A message that is done is not delivered again because todo/N cannot be
// removed.
func TestTodoThatStaysIsNotTriedAgain(t *testing.T) {
	fs := emptyQueue()
	var failed atomic.Bool
	fs.Fault = func(c crashfs.Call) error {
		if c.Op == "remove" && strings.HasPrefix(c.Name, "todo/") && !failed.Swap(true) {
			return syscall.EIO
		}
		return nil
	}
	h := open(t, fs, usual)
	h.send("x\n", "s@here.example", "a@here.example")
	h.awaitLog("warning: qmail-clean unable to clean up todo/")
	h.pull()
	h.send("y\n", "s@here.example", "b@here.example")
	h.awaitLog("end msg ")
	h.close()
	if d := h.deliveries(); len(d) != 2 || len(files(fs)) > 0 {
		t.Errorf("%+v\n%q", d, files(fs))
	}
}

// Numbers come back at once here: a new message must never be taken for the
// one that is leaving, nor removed with it.
func TestNumbersThatComeBack(t *testing.T) {
	fs := emptyQueue()
	h := open(t, fs, usual)
	const senders, each = 8, 100
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for j := range each {
				h.send(fmt.Sprintf("%d-%d\n", i, j), "s@here.example", fmt.Sprintf("ok%d-%d@here.example", i, j))
			}
		})
	}
	wg.Wait()
	h.awaitEmpty()
	h.close()
	got := map[string]int{}
	for _, d := range h.deliveries() {
		if strings.HasSuffix(d.body, "\n"+strings.TrimSuffix(strings.TrimPrefix(d.recipient, "ok"), "@here.example")+"\n") {
			got[d.recipient]++
		}
	}
	if len(got) != senders*each || len(h.deliveries()) != senders*each {
		t.Errorf("%d messages arrived, %d deliveries", len(got), len(h.deliveries()))
	}
}

// The cleanup does not remove what the finisher is about to: by then that may
// be another message.
func TestCleanupLeavesWhatIsEnding(t *testing.T) {
	fs := emptyQueue()
	fs.Now = func() time.Time { return time.Now().Add(-40 * time.Hour) }
	if err := putIn(fs, "x\n", envelope("s@here.example", "a@here.example")); err != nil {
		t.Fatal(err)
	}
	ids, _ := store.List(fs, "todo")
	f := newFinisher(fs, store.Form{}, &logger{w: &proctest.Buffer{}}, time.Now, nil, nil, nil)
	if f.ownerless(ids[0]) {
		t.Error("in todo/")
	}
	fs.Remove(store.Form{}.Todo(ids[0]))
	if !f.ownerless(ids[0]) {
		t.Error("has nothing but mess/")
	}
	mess := ids[0].Mess()
	fs.SetTimes(mess, time.Now().Add(-store.Ossified+time.Minute))
	if f.ownerless(ids[0]) {
		t.Error("is younger than 36 hours")
	}
	fs.SetTimes(mess, time.Now().Add(-store.Ossified-time.Minute))
	f.swept[ids[0]] = true
	if f.ownerless(ids[0]) {
		t.Error("is ending")
	}
}

// What is left of an attempt to write lists must not outlive the message: the
// next one with its number would be sent to the same recipient.
func TestAttemptToPreprocessThatFailed(t *testing.T) {
	for what, log := range map[string]string{
		"sync info/":   "warning: trouble fsyncing info/",
		"syncdir info": "warning: trouble fsyncing info/",
		"remove todo/": "warning: qmail-clean unable to clean up todo/",
	} {
		fs := emptyQueue()
		var failed atomic.Bool
		fs.Fault = func(c crashfs.Call) error {
			if strings.HasPrefix(c.Op+" "+c.Name, what) && !failed.Swap(true) {
				return syscall.EIO
			}
			return nil
		}
		h := open(t, fs, usual)
		release := make(chan struct{})
		h.verdict = func(string) string { <-release; return "K\n" }
		h.send("x\n", "s@here.example", "a@here.example")
		h.awaitLog("starting delivery 1")
		h.settleNow()
		h.awaitLog(log)
		close(release)
		h.awaitEmpty()
		h.close()
		if d := h.deliveries(); len(d) != 1 {
			t.Errorf("%s: %+v", what, d)
		}
	}
}

// Both kinds of messages waiting for a free delivery are nothing to do.
func TestWaitingForADeliveryIsNotBusy(t *testing.T) {
	c := controls{"me": "here.example\n", "concurrencylocal": "0\n"}
	h := open(t, emptyQueue(), c)
	h.send("x\n", "s@here.example", "a@here.example")
	h.awaitLog("info msg")
	h.send("y\n", "s@here.example", "b@here.example", "c@here.example")
	var fresh, due int
	var sleep time.Duration
	h.await("both", func() bool {
		asked := make(chan struct{})
		h.s.post(func() {
			fresh, due, sleep = len(h.s.fresh[local]), len(h.s.due[local]), h.s.untilNext(false)
			close(asked)
		})
		<-asked
		return fresh == 1 && due == 1
	})
	if sleep < time.Second {
		t.Errorf("sleeps %v", sleep)
	}
	h.close()
}
