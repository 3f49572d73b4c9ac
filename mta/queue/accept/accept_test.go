package accept

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/fsys/crashfs"
	"paperpath/internal/proc"
	"paperpath/mta/control"
	"paperpath/mta/queue/answer"
	"paperpath/mta/queue/store"
)

func put(t *testing.T, fs *crashfs.FS, name, text string) {
	t.Helper()
	f, err := fs.Open(name, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, text)
	f.Close()
}

func TestEnvelopes(t *testing.T) {
	long := strings.Repeat("x", answer.MaxAddress-1)
	for _, c := range []struct {
		in   string
		want error
		out  string // without head
	}{
		{"Fs\x00Tr\x00\x00", nil, "Fs\x00Tr\x00"},
		{"F\x00\x00", nil, "F\x00"}, // no recipients: C takes it
		{"Fs\x00Ta\x00T\x00Tb\x00\x00", nil, "Fs\x00Ta\x00T\x00Tb\x00"},
		{"Fs\x00Tr\x00\x00rest", nil, "Fs\x00Tr\x00"},
		{"F" + long + "\x00T" + long + "\x00\x00", nil, "F" + long + "\x00T" + long + "\x00"},
		{"F" + long + "x\x00Tr\x00\x00", proc.Exit(11), ""},
		{"Fs\x00T" + long + "x\x00\x00", proc.Exit(11), ""},
		{"F" + long + "x", proc.Exit(11), ""}, // it is too long whatever follows
		{"", proc.Exit(54), ""},
		{"F", proc.Exit(54), ""},
		{"Fs", proc.Exit(54), ""},
		{"Fs\x00", proc.Exit(54), ""},
		{"Fs\x00Tr", proc.Exit(54), ""},
		{"Fs\x00Tr\x00", proc.Exit(54), ""},
		{"\x00", proc.Exit(91), ""},
		{"Ts\x00\x00", proc.Exit(91), ""},
		{"fs\x00\x00", proc.Exit(91), ""},
		{"Fs\x00Fr\x00\x00", proc.Exit(91), ""},
		{"Fs\x00Tr\x00D", proc.Exit(91), ""},
	} {
		for _, slow := range []bool{false, true} {
			var in io.Reader = strings.NewReader(c.in)
			if slow {
				in = iotest.OneByteReader(in)
			}
			var out strings.Builder
			err := copyEnvelope(&out, "u1\x00p2\x00", nil, in)
			if err != c.want {
				t.Errorf("%.40q: %v, want %v", c.in, err, c.want)
			}
			if err == nil && out.String() != "u1\x00p2\x00"+c.out {
				t.Errorf("%.40q: wrote %.60q", c.in, out.String())
			}
		}
	}
}

// Recipients that every message gets come first, also where there are no others.
func TestExtraRecipients(t *testing.T) {
	for in, want := range map[string]string{
		"Fs\x00Tr\x00\x00": "u1\x00p2\x00Fs\x00Tlog\x00Tall@b\x00Tr\x00",
		"F\x00\x00":        "u1\x00p2\x00F\x00Tlog\x00Tall@b\x00",
	} {
		var out strings.Builder
		if err := copyEnvelope(&out, "u1\x00p2\x00", []string{"log", "all@b"}, strings.NewReader(in)); err != nil || out.String() != want {
			t.Errorf("%q: %q, %v", in, out.String(), err)
		}
	}
	long := strings.Repeat("x", answer.MaxAddress)
	for text, want := range map[string]error{
		"log\n# not this\n\nall@b \n": nil,
		long[1:] + "\n":               nil,
		long + "\n":                   proc.Exit(55),
		"":                            nil,
	} {
		fs := crashfs.New("control")
		put(t, fs, "control/extraqueue", text)
		extra, err := readExtra(control.Open(fs))
		if err != want || text[:min(3, len(text))] == "log" && !slices.Equal(extra, []string{"log", "all@b"}) {
			t.Errorf("%.40q: %q, %v", text, extra, err)
		}
	}
	if extra, err := readExtra(control.Open(crashfs.New("control"))); extra != nil || err != nil {
		t.Errorf("without a file: %q, %v", extra, err)
	}
	if _, err := readExtra(control.Open(crashfs.New("control/extraqueue"))); err != proc.Exit(55) {
		t.Errorf("with one that cannot be read: %v", err)
	}
}

// An envelope is taken as a whole or not at all, and what is written reads as
// the same addresses.
func FuzzEnvelope(f *testing.F) {
	for _, s := range []string{"Fs\x00Tr\x00\x00", "F\x00\x00", "Fs\x00", "T\x00\x00", "Fs\x00Tr\x00Tq\x00\x00x", "Fs\x00F\x00\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var out strings.Builder
		err := copyEnvelope(&out, "u1\x00p2\x00", nil, strings.NewReader(string(in)))
		if err != nil {
			var exit proc.Exit
			if !errors.As(err, &exit) || exit != 11 && exit != 54 && exit != 91 {
				t.Fatalf("%q: %v", in, err)
			}
			return
		}
		rest, ok := strings.CutPrefix(out.String(), "u1\x00p2\x00F")
		if !ok || !strings.HasSuffix(rest, "\x00") {
			t.Fatalf("%q became %q", in, out.String())
		}
		again := "F" + rest + "\x00"
		if !strings.HasPrefix(string(in), again) {
			t.Fatalf("%q became %q", in, out.String())
		}
		for i, record := range strings.Split(strings.TrimSuffix("F"+rest, "\x00"), "\x00") {
			if want := "FT"[min(i, 1)]; record == "" || record[0] != want || len(record) > answer.MaxAddress {
				t.Fatalf("%q: record %q", in, record)
			}
		}
	})
}

// The client breaks off, or its envelope is bad, or it is too slow: nothing
// stays, and nothing was ever synced for it.
func TestGivingUpLeavesNothing(t *testing.T) {
	good := "Fs\x00Tr\x00\x00"
	for _, c := range []struct {
		message, envelope io.Reader
		want              error
	}{
		{strings.NewReader("x"), strings.NewReader(good[:6]), proc.Exit(54)},
		{strings.NewReader("x"), strings.NewReader("G"), proc.Exit(91)},
		{strings.NewReader("x"), strings.NewReader("F" + strings.Repeat("x", 2000)), proc.Exit(11)},
		{iotest.ErrReader(io.ErrUnexpectedEOF), strings.NewReader(good), proc.Exit(54)},
		{iotest.ErrReader(os.ErrDeadlineExceeded), strings.NewReader(good), proc.Exit(52)},
		{strings.NewReader("x"), iotest.ErrReader(os.ErrDeadlineExceeded), proc.Exit(52)},
	} {
		fs := emptyQueue()
		err := Accept(Queue{FS: fs}, Client{PID: 1, Time: start}, c.message, c.envelope)
		if err != c.want {
			t.Errorf("%v, want %v", err, c.want)
		}
		if left := leftovers(t, fs); len(left) > 0 {
			t.Errorf("%v left %q", err, left)
		}
		for _, call := range fs.Log() {
			if strings.HasPrefix(call.Op, "sync") {
				t.Errorf("%v: %v", err, call)
			}
		}
	}
}

// A process that was stopped for days must not queue a message whose file the
// cleaner may have taken meanwhile.
func TestOneDayIsTheLimit(t *testing.T) {
	fs := emptyQueue()
	late := Client{PID: 1, Time: start.Add(-death - time.Minute)}
	if err := Accept(Queue{FS: fs}, late, strings.NewReader("x"), strings.NewReader("Fs\x00\x00")); err != proc.Exit(52) {
		t.Errorf("%v", err)
	}
	if left := leftovers(t, fs); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

// nextNumber returns the number that the next message would get.
func nextNumber(t *testing.T, fs *crashfs.FS) store.ID {
	put(t, fs, "probe", "")
	info, err := fs.Stat("probe")
	if err != nil {
		t.Fatal(err)
	}
	fs.Remove("probe")
	return store.ID(info.Ino)
}

func TestTakenNumbers(t *testing.T) {
	for _, c := range []struct {
		what    string
		prepare func(fs *crashfs.FS, next store.ID)
		skipped bool
	}{
		{"nothing", func(*crashfs.FS, store.ID) {}, false},
		{"todo/N", func(fs *crashfs.FS, next store.ID) { fs.Link("old", store.Form{}.Todo(next)) }, true},
		{"mess/N", func(fs *crashfs.FS, next store.ID) { fs.Link("old", next.Mess()) }, true},
		{"young intd/N", func(fs *crashfs.FS, next store.ID) { fs.Link("old", store.Form{}.Intd(next)) }, true},
		{"old intd/N", func(fs *crashfs.FS, next store.ID) {
			fs.Now = func() time.Time { return start.Add(-ossified) }
			fs.Link("old", store.Form{}.Intd(next))
			fs.Now = func() time.Time { return start }
		}, false},
	} {
		fs := emptyQueue()
		fs.Reuse = true
		put(t, fs, "old", "old")
		next := nextNumber(t, fs)
		c.prepare(fs, next)
		m := three()[0]
		if err := m.handIn(fs); err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		mess, err := fsys.ReadFile(fs, next.Mess(), 1<<20)
		if got := string(mess) != m.mess(); got != c.skipped {
			t.Errorf("%s: number skipped %v: %q %v", c.what, got, mess, err)
		}
		if old, _ := fsys.ReadFile(fs, "old", 10); string(old) != "old" {
			t.Errorf("%s: wrote into it: %q", c.what, old)
		}
		if left := list(t, fs, "pid"); len(left) > 0 {
			t.Errorf("%s: left %q", c.what, left)
		}
	}
}

// In a queue of the big-todo patch a number is taken by either name.
func TestTakenNumbersBigTodo(t *testing.T) {
	for _, form := range []store.Form{{}, {BigTodo: true}} {
		fs := bigTodoQueue()
		fs.Reuse = true
		put(t, fs, "old", "old")
		next := nextNumber(t, fs)
		fs.Link("old", form.Todo(next))
		if err := three()[0].handIn(fs); err != nil {
			t.Errorf("%+v: %v", form, err)
		}
		if _, err := fs.Stat(next.Mess()); err == nil {
			t.Errorf("%+v: number not skipped", form)
		}
	}
}

// Processes of several namespaces may have the same pid in the same second.
func TestTakenPidNames(t *testing.T) {
	fs := emptyQueue()
	name := func(seq int) string { return fmt.Sprintf("pid/101.%d.%d", start.Unix(), seq) }
	for seq := 1; seq < numbers; seq++ {
		put(t, fs, name(seq), "another's")
	}
	if err := three()[0].handIn(fs); err != nil {
		t.Error(err)
	}
	put(t, fs, name(numbers), "another's")
	if err := three()[0].handIn(fs); err != proc.Exit(63) {
		t.Errorf("%v", err)
	}
	if left := list(t, fs, "pid"); len(left) != numbers {
		t.Errorf("pid: %q", left)
	}
}

// What qmail-send may have read is not cleared away under it: after a failing
// sync of todo only the name todo/N goes.
func TestFailingSyncOfTodo(t *testing.T) {
	fs := emptyQueue()
	fs.Fault = func(c crashfs.Call) error {
		if c.Op == "syncdir" && c.Name == "todo" {
			return io.ErrNoProgress
		}
		return nil
	}
	if err := three()[0].handIn(fs); err != proc.Exit(66) {
		t.Errorf("%v", err)
	}
	if left := leftovers(t, fs); len(left) != 2 || len(list(t, fs, "todo")) > 0 {
		t.Errorf("left %q", left)
	}
}
