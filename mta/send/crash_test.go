package send

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/fsys/crashfs"
	"paperpath/mta/queue/store"
)

// seed of the sampled states; change it to look elsewhere, and put it back
// where a failure was found.
const seed = 20261121

// sent is a message of a scenario.
type sent struct {
	body, sender string
	recipients   []string
	acked        int // calls of the file system after which it was in the queue
}

// scenario has deliveries on both channels, a bounce, a double bounce, and a
// bounce of several failures.
func scenario() []*sent {
	return []*sent{
		{body: "one\n", sender: "s1@here.example", recipients: []string{"ok1@here.example", "ok2@there.example"}},
		{body: "two\n", sender: "s2@here.example", recipients: []string{"fail2@here.example", "ok3@here.example"}},
		{body: "three\n", sender: "", recipients: []string{"fail3@there.example"}},
		{body: "four\n", sender: "list-@here.example-@[]", recipients: []string{"fail4@here.example", "fail5@there.example", "ok4@here.example"}},
	}
}

// notice returns who is told when a recipient of m fails.
func (m *sent) notice() string {
	switch sender := bounceSender(m.sender); sender {
	case "":
		return "postmaster@here.example"
	default:
		return sender
	}
}

// account says which recipients of the scenario have neither been delivered to
// nor bounced, in any of the lists of deliveries.
func account(messages []*sent, at int, lists ...[]delivered) error {
	count := func(recipient, text string) (n int) {
		for _, list := range lists {
			for _, d := range list {
				if d.recipient == recipient && strings.Contains(d.body, text) {
					n++
				}
			}
		}
		return n
	}
	for _, m := range messages {
		for _, r := range m.recipients {
			to, text := r, "\n"+m.body
			if strings.HasPrefix(r, "fail") {
				to, text = m.notice(), "<"+r+">:\nSorry, no mailbox"
			}
			n := count(to, text)
			if n == 0 && m.acked <= at {
				return fmt.Errorf("%s of message %q: nothing was delivered to %s", r, m.body, to)
			}
			if n > 3 {
				return fmt.Errorf("%s of message %q: delivered %d times", r, m.body, n)
			}
		}
	}
	for _, list := range lists {
		for _, d := range list {
			if strings.HasPrefix(d.recipient, "ok") {
				if err := belongs(messages, d); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// belongs says whether a recipient got somebody else's message.
func belongs(messages []*sent, d delivered) error {
	for _, m := range messages {
		for _, r := range m.recipients {
			if r == d.recipient && strings.HasSuffix(d.body, "\n"+m.body) && d.sender == senderFor(m.sender, r) {
				return nil
			}
		}
	}
	return fmt.Errorf("foreign message for %s: %q from %s", d.recipient, d.body, d.sender)
}

// states says whether every file in the queue fits one of the states that
// INTERNALS knows.
func states(fs *crashfs.FS) error {
	exists := func(name string) bool { _, err := fs.Stat(name); return err == nil }
	form, err := store.FindForm(fs)
	if err != nil {
		return err
	}
	for _, dir := range form.TodoDirs() {
		todo, err := form.ListTodo(fs, dir)
		if err != nil {
			return err
		}
		for _, id := range todo {
			if !exists(id.Mess()) {
				return fmt.Errorf("%s without message", form.Todo(id))
			}
		}
	}
	for _, dir := range store.Subdirs("info") {
		ids, err := store.List(fs, dir)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if exists(form.Todo(id)) {
				continue // S4
			}
			if !exists(id.Mess()) {
				return fmt.Errorf("%s without message", id.Info())
			}
			if _, _, err := store.ReadInfo(fs, id); err != nil {
				return fmt.Errorf("%s: %w", id.Info(), err)
			}
		}
	}
	return nil
}

// finished reports whether no message is left, whatever else is.
//
// A bounce may go from info/ to todo/ and on while the directories are read;
// then there is a new line in the log.
func (h *house) finished() bool {
	for before := h.log.String(); ; {
		if !h.noMessages() {
			return false
		}
		after := h.log.String()
		if after == before {
			return true
		}
		before = after
	}
}

// awaitFinished waits for that, having what was deferred tried again at once.
func (h *house) awaitFinished(what string) {
	h.t.Helper()
	round := 0
	h.await(what, func() bool {
		if round++; round%10 == 0 {
			h.s.post(h.s.allDue)
		}
		return h.finished()
	})
}

func (h *house) noMessages() bool {
	form, err := store.FindForm(h.fs)
	if err != nil {
		return false
	}
	for _, dir := range form.TodoDirs() {
		if ids, err := form.ListTodo(h.fs, dir); err != nil || len(ids) > 0 {
			return false
		}
	}
	for _, dir := range store.Subdirs("info") {
		if ids, err := store.List(h.fs, dir); err != nil || len(ids) > 0 {
			return false
		}
	}
	return true
}

// crash runs the scenario on fs and then, for states that cuts may have left,
// lets a new qmail-send finish the queue. It returns the first bad state.
func crash(t *testing.T, fs *crashfs.FS, messages []*sent, model crashfs.Model, limit int, seed uint64) (looked int, bad error) {
	t.Helper()
	h := open(t, fs, usual)
	for _, m := range messages {
		h.send(m.body, m.sender, m.recipients...)
		m.acked = fs.Calls()
		if strings.Contains(m.recipients[0], "once") {
			// States are looked at where something changes: here, the next
			// message comes, between the deferral and the second delivery.
			h.await("list", func() bool { return !slices.ContainsFunc(files(fs), isTodo) })
		}
	}
	h.awaitFinished("end")
	h.close()
	before := h.deliveries()
	if err := account(messages, fs.Calls(), before); err != nil {
		t.Fatalf("without any cut: %v\n%s", err, h.log)
	}

	return recoverAll(t, fs, messages, before, model, limit, seed)
}

// recoverAll lets a qmail-send finish what cuts may have left on fs. It returns
// how many states it looked at, and the first bad one.
func recoverAll(t *testing.T, fs *crashfs.FS, messages []*sent, before []delivered, model crashfs.Model, limit int, seed uint64) (looked int, bad error) {
	t.Helper()
	// Several recoveries at a time: they wait for each other's partners more
	// than they compute.
	var wg sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, 8)
	home := usual.write(t)
	seen := map[string]bool{}
	for c := range fs.Crashes(model, limit, seed) {
		mu.Lock()
		found := bad
		mu.Unlock()
		if found != nil {
			break
		}
		// The same files, with the same promises made: nothing new.
		state := fmt.Sprint(promises(messages, before, c.At), "\n", c.Dump())
		if seen[state] {
			continue
		}
		seen[state] = true
		looked++
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			err := recoverFrom(t, home, c, messages, before)
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if bad == nil {
				bad = fmt.Errorf("%v: %w", c, err)
			}
		})
	}
	wg.Wait()
	return looked, bad
}

// promises counts what had been done at some moment that a cut then may not
// undo: messages in the queue and deliveries.
func promises(messages []*sent, deliveries []delivered, at int) (n int) {
	for _, m := range messages {
		if m.acked <= at {
			n++
		}
	}
	for _, d := range deliveries {
		if d.at <= at {
			n++
		}
	}
	return n
}

func recoverFrom(t *testing.T, home string, c *crashfs.Crash, messages []*sent, before []delivered) error {
	if err := states(c.FS); err != nil {
		return err
	}
	var saved []delivered
	for _, d := range before {
		if d.at <= c.At {
			saved = append(saved, d)
		}
	}
	c.FS.Now = time.Now
	h := openIn(t, c.FS, home, oldSpawners)
	h.awaitFinished("recovery")
	h.close()
	if log := h.log.String(); strings.Contains(log, "alert:") || strings.Contains(log, "trouble") {
		return errors.New(log)
	}
	return account(messages, c.At, saved, h.deliveries())
}

// scenarioStraight has messages that are tried straight from todo/: they
// succeed, are deferred, fail.
func scenarioStraight() []*sent {
	return []*sent{
		{body: "five\n", sender: "s5@here.example", recipients: []string{"ok-once5@here.example"}},
		{body: "six\n", sender: "s6@here.example", recipients: []string{"fail6@here.example"}},
		{body: "seven\n", sender: "s7@here.example", recipients: []string{"ok7@there.example"}},
		{body: "eight\n", sender: "s8@here.example", recipients: []string{"ok-once8@there.example"}},
		{body: "nine\n", sender: "s9@here.example", recipients: []string{"ok9@here.example"}},
	}
}

func TestNoCutLosesAMessageOrABounce(t *testing.T) {
	for _, scenario := range []func() []*sent{scenario, scenarioStraight} {
		for _, model := range []crashfs.Model{crashfs.Strict, crashfs.Journal} {
			looked, bad := crash(t, emptyQueue(), scenario(), model, 3, seed)
			if bad != nil {
				t.Error(bad)
			}
			t.Logf("%v: %d states", model, looked)
		}
	}
}

// maxTries is how often a scenario is run to find what a missing sync spoils.
const maxTries = 10

// Each sync is needed: without it a cut does harm that the tests see.
func TestEverySyncIsNeeded(t *testing.T) {
	if testing.Short() {
		t.Skip("recovers from some thousand states")
	}
	for name, lie := range map[string]func(crashfs.Call) bool{
		"info":    func(c crashfs.Call) bool { return c.Op == "sync" && strings.HasPrefix(c.Name, "info/") },
		"local":   func(c crashfs.Call) bool { return c.Op == "sync" && strings.HasPrefix(c.Name, "local/") },
		"remote":  func(c crashfs.Call) bool { return c.Op == "sync" && strings.HasPrefix(c.Name, "remote/") },
		"bounce":  func(c crashfs.Call) bool { return c.Op == "sync" && strings.HasPrefix(c.Name, "bounce/") },
		"info/S":  func(c crashfs.Call) bool { return c.Op == "syncdir" && strings.HasPrefix(c.Name, "info/") },
		"local/S": func(c crashfs.Call) bool { return c.Op == "syncdir" && strings.HasPrefix(c.Name, "local/") },
		"bounce/": func(c crashfs.Call) bool { return c.Op == "syncdir" && c.Name == "bounce" },
	} {
		straight := scenarioStraight()[:2]
		switch name {
		case "remote":
			straight = scenarioStraight()[3:]
		case "bounce", "bounce/":
			straight = scenarioStraight()[1:2]
		}
		for i, messages := range [][]*sent{scenario()[:2], straight} {
			// Which states a run has depends on how its workers take turns,
			// and only some are looked at: one run may miss the bad ones.
			var bad error
			lies := 0
			for try := 0; try < maxTries && bad == nil; try++ {
				fs := emptyQueue()
				fs.Lie = func(c crashfs.Call) bool {
					if lie(c) {
						lies++
					}
					return lie(c)
				}
				_, bad = crash(t, fs, messages, crashfs.Strict, 12*(i+1), seed+uint64(try))
			}
			if bad == nil || lies == 0 {
				t.Errorf("%q: without the sync of %s (left out %d times in %d runs) no state is bad", messages[0].body, name, lies, maxTries)
			}
		}
	}
}

// The removal of a message that never had a list must be durable before its
// number may be another's: else that message goes to the old one's recipient.
func TestTodoIsSyncedBeforeTheNumberIsFree(t *testing.T) {
	for _, c := range []struct {
		queue func() *crashfs.FS
		big   bool // gets subdirectories when the message has its name
		lie   string
	}{
		{emptyQueue, false, ""},
		{emptyQueue, false, "todo"},
		{bigTodoQueue, false, ""},
		{bigTodoQueue, false, "todo/"},
		{emptyQueue, true, ""},
		{emptyQueue, true, "todo"},
	} {
		fs := c.queue()
		first := &sent{body: "first\n", sender: "s1@here.example", recipients: []string{"ok1@here.example"}}
		second := &sent{body: "second\n", sender: "s2@here.example", recipients: []string{"ok2@here.example"}}
		if err := putIn(fs, first.body, envelope(first.sender, first.recipients...)); err != nil {
			t.Fatal(err)
		}
		if c.big {
			makeBig(t, fs)
		}
		fs.Settle()
		number := inTodo(t, fs)
		ended := 0 // the first call after the first message
		fs.Lie = func(call crashfs.Call) bool {
			return ended == 0 && call.Op == "syncdir" && c.lie != "" &&
				(call.Name == c.lie || strings.HasSuffix(c.lie, "/") && strings.HasPrefix(call.Name, c.lie))
		}
		h := open(t, fs, usual)
		h.awaitEmpty()
		h.close()
		ended = fs.Calls()
		before := h.deliveries()
		if err := putIn(fs, second.body, envelope(second.sender, second.recipients...)); err != nil {
			t.Fatal(err)
		}
		if again := inTodo(t, fs); !slices.Equal(again, number) {
			t.Fatalf("%v, and then %v: the number was not used again", number, again)
		}
		second.acked = fs.Calls()
		_, bad := recoverAll(t, fs, []*sent{first, second}, before, crashfs.Strict, 30, seed)
		if lying := c.lie != ""; lying != (bad != nil) {
			t.Errorf("number %v, changed %v: sync of %q left out: %v", number, c.big, c.lie, bad)
		}
	}
}

// inTodo returns the messages in todo/.
func inTodo(t *testing.T, fs fsys.FS) (ids []store.ID) {
	t.Helper()
	form, err := store.FindForm(fs)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range form.TodoDirs() {
		some, err := form.ListTodo(fs, dir)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, some...)
	}
	return ids
}

// Lists that a crash left are removed, and that is durable, before the message
// leaves todo/: else a second crash brings them back as if they were its own.
func TestOldListsDoNotComeBack(t *testing.T) {
	fs := emptyQueue()
	m := &sent{body: "x\n", sender: "s@here.example", recipients: []string{"ok@here.example"}}
	if err := putIn(fs, m.body, envelope(m.sender, m.recipients...)); err != nil {
		t.Fatal(err)
	}
	ids, _ := store.List(fs, "todo")
	for name, text := range map[string]string{ids[0].Info(): "Fs@here.example\x00", ids[0].Local(): "Tok-old@here.example\x00"} {
		f, err := fs.Open(name, os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte(text))
		f.Close()
	}
	fs.Settle()
	h := open(t, fs, usual)
	h.awaitEmpty()
	h.close()
	if _, bad := recoverAll(t, fs, []*sent{m}, h.deliveries(), crashfs.Strict, 30, seed); bad != nil {
		t.Error(bad)
	}
}
