package pop3

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/fsys/crashfs"
	"paperpath/mta/maildir"
)

// kept and deleted are the messages of full, by what stays of their names. Each
// has its name for text.
var (
	kept    = []string{"1.M1.h", "3.M3.h", "5.M5.h"}
	deleted = []string{"2.M2.h", "4.M4.h"}
)

// full is a Maildir with messages of all kinds.
func full(t *testing.T) *crashfs.FS {
	t.Helper()
	fs := crashfs.New("tmp", "new", "cur")
	for _, name := range []string{"new/1.M1.h", "new/2.M2.h", "cur/3.M3.h:2,S", "cur/4.M4.h:2,RS", "new/5.M5.h"} {
		f, err := fs.Open(name, fsys.WRONLY|fsys.CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		unique, _, _ := strings.Cut(name[len("new/"):], ":")
		f.Write([]byte(unique))
		f.Close()
	}
	fs.Settle()
	return fs
}

// session deletes messages by their numbers; quit ends it and returns the answer.
func session(t *testing.T, fs *crashfs.FS, numbers ...int) (quit func() string) {
	t.Helper()
	s := enter(t, fs)
	for _, n := range numbers {
		s.messages[n-1].deleted = true
	}
	return func() string { return converse(s, "QUIT\r\n") }
}

// enter opens the Maildir.
func enter(t *testing.T, fs *crashfs.FS) *mailbox {
	t.Helper()
	entries, err := maildir.Scan(fs, time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil || len(entries) != 5 {
		t.Fatal(entries, err)
	}
	fs.Settle()
	s := &mailbox{fs: fs}
	for _, e := range entries {
		s.messages = append(s.messages, message{Entry: e})
	}
	return s
}

func converse(s *mailbox, client string) (server string) {
	var out bytes.Buffer
	s.start(strings.NewReader(client), &out, 512, 16<<10)
	s.serve(s.do)
	return out.String()
}

// look says what is wrong with the Maildir: every message of present is there once
// and as it was, those of absent are not, and nothing else is.
func look(fs fsys.FS, present, absent []string) error {
	seen := map[string]int{}
	for _, sub := range []string{"new", "cur"} {
		names, err := fs.List(sub)
		if err != nil {
			return err
		}
		for _, name := range names {
			unique, _, _ := strings.Cut(name, ":")
			text, err := fsys.ReadFile(fs, sub+"/"+name, 100)
			if err != nil || string(text) != unique {
				return fmt.Errorf("%s/%s: %q, %v", sub, name, text, err)
			}
			seen[unique]++
		}
	}
	for _, name := range present {
		if seen[name] != 1 {
			return fmt.Errorf("%s is there %d times", name, seen[name])
		}
	}
	for _, name := range absent {
		if seen[name] > 0 {
			return fmt.Errorf("%s is there", name)
		}
	}
	if n := len(slices.Concat(kept, deleted)); len(seen) > n {
		return fmt.Errorf("%d messages of %d", len(seen), n)
	}
	return nil
}

// crash cuts the power at every moment of a QUIT, and returns the first bad state:
// one that lacks a message nobody deleted or that has a deleted one after its
// deletion was confirmed.
func crash(t *testing.T, fs *crashfs.FS, model crashfs.Model) (states int, bad error) {
	t.Helper()
	if got := session(t, fs, 2, 4)(); got != "+OK \r\n" {
		t.Fatalf("%q", got)
	}
	done := fs.Calls()
	for c := range fs.Crashes(model, 200, 1) {
		states++
		var gone []string
		if c.At >= done {
			gone = deleted
		}
		if err := look(c.FS, kept, gone); err != nil {
			return states, fmt.Errorf("%v: %w\n%s", c, err, c.Dump())
		}
	}
	return states, nil
}

func TestNoCutLosesOrRevivesAMessage(t *testing.T) {
	for _, model := range []crashfs.Model{crashfs.Journal, crashfs.Atomic} {
		states, bad := crash(t, full(t), model)
		if bad != nil {
			t.Error(bad)
		}
		if states < 15 {
			t.Errorf("%v: only %d states", model, states)
		}
	}
}

// Where a rename is two changes a message that moves is safe when the client has
// been answered.
func TestMovedMessagesAreSafeAtTheEnd(t *testing.T) {
	for _, lying := range []bool{false, true} {
		fs := full(t)
		fs.Lie = func(c crashfs.Call) bool { return lying && c.Op == "syncdir" && c.Name == "cur" }
		session(t, fs)()
		lost := false
		for c := range fs.CrashesAt(fs.Calls(), crashfs.Strict, 200, 1) {
			for _, name := range kept {
				_, err1 := c.Stat("new/" + name)
				_, err2 := c.Stat("cur/" + name + ":2,")
				_, err3 := c.Stat("cur/" + name + ":2,S")
				lost = lost || err1 != nil && err2 != nil && err3 != nil
			}
		}
		if lost != lying {
			t.Errorf("without the sync of cur/: %v; a message is lost: %v", lying, lost)
		}
	}
}

// Each sync is needed: without it what was deleted comes back.
func TestEverySyncIsNeeded(t *testing.T) {
	for _, sub := range []string{"new", "cur"} {
		fs := full(t)
		fs.Lie = func(c crashfs.Call) bool { return c.Op == "syncdir" && c.Name == sub }
		if _, bad := crash(t, fs, crashfs.Atomic); bad == nil {
			t.Errorf("without the sync of %s no state is bad", sub)
		}
	}
}

// Any call fails, once or for good: no message is lost, and a client that is not
// told of an error has its deletions.
func TestFaultsWhileQuitting(t *testing.T) {
	whole := full(t)
	session(t, whole, 2, 4)()
	for n := range whole.Calls() {
		for _, fault := range []func(crashfs.Call) error{
			crashfs.FailNth(n, syscall.EIO), crashfs.FailFrom(n, syscall.ENOSPC), crashfs.FailFrom(n, syscall.EROFS),
		} {
			fs := full(t)
			quit := session(t, fs, 2, 4)
			fs.Fault = fault
			answer := quit()
			fs.Fault = nil
			if !strings.HasSuffix(answer, "+OK \r\n") {
				t.Errorf("call %d: %q", n, answer)
			}
			var gone []string
			if answer == "+OK \r\n" {
				gone = deleted
			}
			for c := range fs.CrashesAt(fs.Calls(), crashfs.Atomic, 200, 1) {
				if err := look(c.FS, kept, gone); err != nil {
					t.Errorf("call %d: answer %q, then %v: %v\n%s", n, answer, c, err, c.Dump())
				}
			}
		}
	}
}

// A file that has the name in cur/ is not replaced.
func TestNameTakenInCur(t *testing.T) {
	dir := drop(t, "cur/1.M1.h:2,", "one", "new/1.M1.h", "another")
	talk(t, dir, "QUIT\n")
	if got := strings.Join(files(t, dir), " "); got != "cur/1.M1.h:2, new/1.M1.h" {
		t.Errorf("the Maildir has %s", got)
	}
}

// Whatever a client says, it is answered in lines; without QUIT nothing changes, and
// without DELE nothing goes.
func FuzzSession(f *testing.F) {
	f.Add("STAT\r\nLIST\r\nUIDL 2\r\nRETR 1\r\nTOP 1 0\r\nDELE 1\r\nQUIT\r\n")
	f.Add("dele 2\nRSET\nDELE 5\nLAST\nlist 5\nquit")
	f.Add("RETR 99999999999999999999\r\nTOP 1 -1\r\nDELE\x00 1\r\n\r\n")
	f.Fuzz(func(t *testing.T, client string) {
		fs := full(t)
		s := enter(t, fs)
		before := fs.Dump()
		server := converse(s, client)
		lower := strings.ToLower(client)
		if !strings.Contains(lower, "quit") && fs.Dump() != before {
			t.Errorf("without QUIT: %s", fs.Dump())
		}
		if !strings.Contains(lower, "dele") {
			if err := look(fs, slices.Concat(kept, deleted), nil); err != nil {
				t.Errorf("without DELE: %v", err)
			}
		}
		for line := range strings.Lines(server) {
			if !strings.HasSuffix(line, "\r\n") {
				t.Errorf("%q", server)
			}
		}
	})
}
