package accept

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/date822"
	"paperpath/internal/fsys"
	"paperpath/internal/fsys/crashfs"
	"paperpath/internal/proc"
	"paperpath/mta/layout"
	"paperpath/mta/queue/answer"
	"paperpath/mta/queue/store"
)

// seed of the sampled states; change it to look elsewhere, and put it back
// where a failure was found.
const seed = 20261121

// start is when the clients call; expired compares it with the wall clock.
var start = time.Now()

func emptyQueue() *crashfs.FS {
	dirs := []string{"pid", "intd", "todo"}
	for i := range layout.Split {
		dirs = append(dirs, "mess/"+strconv.Itoa(i))
	}
	fs := crashfs.New(dirs...)
	fs.Now = func() time.Time { return start }
	return fs
}

// bigTodoQueue is one of the big-todo patch.
func bigTodoQueue() *crashfs.FS {
	dirs := []string{"pid"}
	for i := range layout.Split {
		for _, dir := range []string{"mess/", "intd/", "todo/"} {
			dirs = append(dirs, dir+strconv.Itoa(i))
		}
	}
	fs := crashfs.New(dirs...)
	fs.Now = func() time.Time { return start }
	return fs
}

func formOf(fs fsys.FS) store.Form {
	form, _ := store.FindForm(fs)
	return form
}

// listTodo returns the names in todo, wherever.
func listTodo(fs fsys.FS) (names []string, err error) {
	for _, dir := range formOf(fs).TodoDirs() {
		some, e := fs.List(dir)
		some = slices.DeleteFunc(some, func(name string) bool {
			st, err := fs.Stat(dir + "/" + name)
			return err == nil && st.IsDir()
		})
		names, err = append(names, some...), errors.Join(err, e)
	}
	return names, err
}

// message is one that is handed in, and what must then be in the queue.
type message struct {
	body, sender string
	recipients   []string
	pid          int
	acked        int // after so many calls; 0: was not
}

func (m *message) mess() string {
	return fmt.Sprintf("Received: (qmail %d invoked from network); %s\n%s", m.pid, date822.String(start), m.body)
}

func (m *message) envelope() string {
	return "F" + m.sender + "\x00T" + strings.Join(m.recipients, "\x00T") + "\x00"
}

func (m *message) todo() string {
	return fmt.Sprintf("u1003\x00p%d\x00", m.pid) + m.envelope()
}

func (m *message) handIn(fs *crashfs.FS) error {
	client := Client{UID: 1003, PID: m.pid, By: "from network", Time: start}
	err := Accept(Queue{FS: fs, Form: formOf(fs)}, client, strings.NewReader(m.body), strings.NewReader(m.envelope()+"\x00"))
	if err == nil {
		m.acked = fs.Calls()
	}
	return err
}

func three() []*message {
	return []*message{
		{body: "Subject: small\n\nhello\n", sender: "a@b.example", recipients: []string{"c@d.example"}, pid: 101},
		{body: strings.Repeat("0123456789abcde\n", 4_200), sender: "", recipients: []string{"e@f.example", "g@h.example"}, pid: 102},
		{body: "", sender: "#@[]", recipients: []string{strings.Repeat("x", answer.MaxAddress-1)}, pid: 103},
	}
}

// check says what is wrong with a queue in which messages may be: each name in
// todo means a whole message with its own envelope, mess/N has number N, and
// what was acknowledged before the cut is there.
func check(fs fsys.FS, at int, sent []*message) error {
	names, err := listTodo(fs)
	if err != nil {
		return err
	}
	found := map[*message]int{}
	for _, name := range names {
		id, ok := store.ParseID(name)
		if !ok {
			return errors.New("todo/" + name)
		}
		info, err := fs.Stat(id.Mess())
		if err != nil {
			return fmt.Errorf("todo/%s without its message: %w", name, err)
		}
		if info.Ino != uint64(id) {
			return fmt.Errorf("%s has inode %d", id.Mess(), info.Ino)
		}
		mess, err1 := fsys.ReadFile(fs, id.Mess(), 1<<30)
		todo, err2 := fsys.ReadFile(fs, formOf(fs).Todo(id), 1<<30)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		whole := false
		for _, m := range sent {
			if string(mess) == m.mess() && string(todo) == m.todo() {
				whole = true
				found[m]++
			}
		}
		if !whole {
			return fmt.Errorf("todo/%s is torn or foreign: envelope %q, message of %d bytes", name, todo, len(mess))
		}
	}
	for _, m := range sent {
		if m.acked > 0 && at >= m.acked && found[m] != 1 {
			return fmt.Errorf("message of process %d was acknowledged and is there %d times", m.pid, found[m])
		}
	}
	return nil
}

// orphans finds envelopes without a message. An unordered file system may leave
// them, and taken numbers are skipped then; where the order of names is kept
// every number is in one of the states S1 to S4.
func orphans(fs fsys.FS) (err error) {
	dirs := []string{"intd"}
	if formOf(fs).BigTodo {
		dirs = store.Subdirs("intd")
	}
	var ids []store.ID
	for _, dir := range dirs {
		some, e := store.List(fs, dir)
		ids, err = append(ids, some...), errors.Join(err, e)
	}
	for _, id := range ids {
		if _, e := fs.Stat(id.Mess()); err == nil {
			err = e
		}
	}
	return err
}

// crash hands in messages and returns the first bad state and the number of
// states looked at.
func crash(t *testing.T, fs *crashfs.FS, sent []*message, model crashfs.Model) (states int, bad error) {
	t.Helper()
	for _, m := range sent {
		if err := m.handIn(fs); err != nil {
			t.Fatalf("message of process %d: %v", m.pid, err)
		}
	}
	for c := range fs.Crashes(model, 25, seed) {
		states++
		err := check(c, c.At, sent)
		if err == nil && model == crashfs.Journal {
			err = orphans(c)
		}
		if err != nil {
			return states, fmt.Errorf("%v: %w\n%s", c, err, c.Dump())
		}
	}
	return states, nil
}

func TestNoCutLosesAMessage(t *testing.T) {
	for _, model := range []crashfs.Model{crashfs.Strict, crashfs.Journal} {
		for _, reuse := range []bool{false, true} {
			fs := emptyQueue()
			fs.Reuse = reuse
			states, bad := crash(t, fs, three(), model)
			if bad != nil {
				t.Errorf("reuse %v: %v", reuse, bad)
			}
			t.Logf("%v, reuse %v: %d states", model, reuse, states)
		}
		fs := bigTodoQueue()
		if _, bad := crash(t, fs, three(), model); bad != nil {
			t.Errorf("big-todo: %v", bad)
		}
		if names, err := listTodo(fs); err != nil || len(names) != 3 {
			t.Errorf("big-todo: %q, %v", names, err)
		}
	}
}

// The same while messages are given up: what is discarded leaves in the order
// in which no number looks like a message.
func TestNoCutRevivesWhatWasGivenUp(t *testing.T) {
	for _, model := range []crashfs.Model{crashfs.Strict, crashfs.Journal} {
		fs := emptyQueue()
		fs.Reuse = true
		sent := three()
		for _, m := range sent {
			client := Client{UID: 1003, PID: m.pid, By: "from network", Time: start}
			Accept(Queue{FS: fs}, client, strings.NewReader(m.body), strings.NewReader(m.envelope()))
		}
		for c := range fs.Crashes(model, 100, seed) {
			if names, err := c.List("todo"); err != nil || len(names) > 0 {
				t.Fatalf("%v: todo %q %v", c, names, err)
			}
			if model == crashfs.Journal && orphans(c) != nil {
				t.Fatalf("%v: %v\n%s", c, orphans(c), c.Dump())
			}
		}
	}
}

// Each sync is needed: without it a cut does harm that the tests see.
func TestEverySyncIsNeeded(t *testing.T) {
	for name, lie := range map[string]func(crashfs.Call) bool{
		"todo/S": func(c crashfs.Call) bool { return c.Op == "syncdir" && strings.HasPrefix(c.Name, "todo/") },
		"mess":   func(c crashfs.Call) bool { return c.Op == "sync" && strings.HasPrefix(c.Name, "pid/") },
		"intd":   func(c crashfs.Call) bool { return c.Op == "sync" && strings.HasPrefix(c.Name, "intd/") },
		"mess/S": func(c crashfs.Call) bool { return c.Op == "syncdir" && strings.HasPrefix(c.Name, "mess/") },
		"todo":   func(c crashfs.Call) bool { return c.Op == "syncdir" && c.Name == "todo" },
	} {
		fs := emptyQueue()
		if name == "todo/S" {
			fs = bigTodoQueue()
		}
		lies := 0
		fs.Lie = func(c crashfs.Call) bool {
			if !lie(c) {
				return false
			}
			lies++
			return true
		}
		if _, bad := crash(t, fs, three(), crashfs.Strict); bad == nil || lies != 3 {
			t.Errorf("without the sync of %s (left out %d times) no state is bad", name, lies)
		}
	}
}

// After a cut the queue goes on: the same message sent again is queued in
// every state that the cut may have left, whatever number it gets, and old
// envelopes never meet new messages.
func TestTheQueueGoesOnAfterACut(t *testing.T) {
	first := &message{body: "first\n", sender: "old@b.example", recipients: []string{"old@d.example"}, pid: 101}
	fs := emptyQueue()
	fs.Reuse = true
	if err := first.handIn(fs); err != nil {
		t.Fatal(err)
	}
	// Delivered, and removed without any sync: the worst that a C qmail-send
	// or an administrator may leave.
	for _, dir := range []string{"intd", "todo", "mess/"} {
		for _, name := range list(t, fs, dir) {
			fs.Remove(name)
		}
	}
	for c := range fs.Crashes(crashfs.Strict, 100, seed) {
		before := c.Dump()
		second := &message{body: "second\n", sender: "n@b.example", recipients: []string{"n@d.example"}, pid: 102}
		first := *first
		first.acked = 0 // it may be there or gone
		if err := second.handIn(c.FS); err != nil {
			t.Fatalf("%v: refused with %v in\n%s", c, err, before)
		}
		for _, id := range list(t, c.FS, "todo") {
			todo, _ := fsys.ReadFile(c, id, 1<<20)
			n, _ := store.ParseID(strings.TrimPrefix(id, "todo/"))
			mess, err := fsys.ReadFile(c, n.Mess(), 1<<20)
			if err == nil && string(todo) == first.todo() && string(mess) == second.mess() {
				t.Fatalf("%v: the new message would go to the old recipients\n%s", c, before)
			}
		}
	}
}

// list returns the files in a directory of the queue, or of all split ones.
func list(t *testing.T, fs *crashfs.FS, dir string) (names []string) {
	t.Helper()
	dirs := []string{dir}
	if strings.HasSuffix(dir, "/") {
		dirs = nil
		for i := range layout.Split {
			dirs = append(dirs, dir+strconv.Itoa(i))
		}
	}
	for _, d := range dirs {
		entries, err := fs.List(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, d+"/"+e)
		}
	}
	return names
}

func leftovers(t *testing.T, fs *crashfs.FS) []string {
	var all []string
	for _, dir := range []string{"pid", "intd", "todo", "mess/"} {
		all = append(all, list(t, fs, dir)...)
	}
	return all
}

// Every call fails, once and from then on, in every way: the answer is a
// temporary one, nothing is queued by halves, and nothing stays unless a
// removal itself failed.
func TestEveryCallFails(t *testing.T) {
	faults := map[string]error{
		"ENOSPC": syscall.ENOSPC, "EIO": syscall.EIO, "EMFILE": syscall.EMFILE, "ENOMEM": syscall.ENOMEM,
		"EDQUOT": syscall.EDQUOT, "EROFS": syscall.EROFS, "short": crashfs.Short(syscall.ENOSPC),
	}
	for name, fault := range faults {
		for _, sticky := range []bool{false, true} {
			for n := 0; ; n++ {
				fs := emptyQueue()
				var failed crashfs.Call
				inject := crashfs.FailNth(n, fault)
				if sticky {
					inject = crashfs.FailFrom(n, fault)
				}
				fs.Fault = func(c crashfs.Call) error {
					if c.N == n {
						failed = c
					}
					return inject(c)
				}
				m := three()[1]
				err := m.handIn(fs)
				if fs.Calls() <= n {
					if err != nil {
						t.Fatalf("%s: no call failed, and %v", name, err)
					}
					break
				}
				fs.Fault = nil
				where := fmt.Sprintf("%s, sticky %v, %v: %v", name, sticky, failed, err)
				var exit proc.Exit
				if err != nil && (!errors.As(err, &exit) || !temporary(int(exit))) {
					t.Errorf("%s: not a temporary status", where)
				}
				for c := range fs.CrashesAt(fs.Calls(), crashfs.Strict, 50, seed) {
					if bad := check(c, c.At, []*message{m}); bad != nil {
						t.Errorf("%s: %v: %v", where, c, bad)
					}
				}
				left := leftovers(t, fs)
				switch {
				case err == nil || sticky:
				case failed.Op == "syncdir" && failed.Name == "todo":
					// qmail-send may have it: only its name may go.
					if len(list(t, fs, "todo")) > 0 || len(left) != 2 {
						t.Errorf("%s: left %q", where, left)
					}
				case len(left) > 0:
					t.Errorf("%s: left %q", where, left)
				}
			}
		}
	}
}

func temporary(status int) bool {
	return status >= 51 && status <= 53 || status >= 61 && status <= 66 || status == 81
}
