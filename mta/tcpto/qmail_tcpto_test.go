package tcpto

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

// home is a qmail home with tables.
func home(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	lock := filepath.Join(dir, "queue/lock")
	if err := os.MkdirAll(lock, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"tcpto": 1024, "tcpto6": 2048} {
		if err := os.WriteFile(filepath.Join(lock, name), make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func run(p *proc.Program, home string) proctest.Result {
	return proctest.Run(p, proctest.Case{Vars: proc.Vars{"QMAILHOME=" + home}})
}

func TestPrintAndClear(t *testing.T) {
	dir := home(t)
	table := Of(dir)
	// A day ago: the seconds that the test itself takes do not show in the rest.
	then := time.Now().Add(-24 * time.Hour)
	table.now = func() time.Time { return then }
	table.TimedOut(netip.MustParseAddr("192.0.2.1"))
	table.TimedOut(netip.MustParseAddr("2001:db8::1"))
	then = time.Now().Add(1000 * time.Hour) // a clock that was wrong
	table.TimedOut(netip.MustParseAddr("192.0.2.1"))
	table.TimedOut(netip.MustParseAddr("192.0.2.2"))

	r := run(&QmailTcpto, dir)
	want := "192.0.2.1 timed out 0 seconds ago; # recent timeouts: 2\n" +
		"192.0.2.2 timed out 0 seconds ago; # recent timeouts: 1\n" +
		"2001:db8::1 timed out 864"
	if r.Status != 0 || r.Err != "" || len(r.Out) < len(want) || r.Out[:len(want)] != want {
		t.Errorf("%+v", r)
	}
	if r := run(&QmailTcpok, dir); r.Status != 0 || r.Out+r.Err != "" {
		t.Errorf("%+v", r)
	}
	if r := run(&QmailTcpto, dir); r.Status != 0 || r.Out+r.Err != "" {
		t.Errorf("after qmail-tcpok: %+v", r)
	}
}

// Root clears the table; qmailq, whose directory it is in, must not choose the file.
func TestClearFollowsNoLink(t *testing.T) {
	dir := home(t)
	victim, table := filepath.Join(dir, "victim"), filepath.Join(dir, "queue/lock/tcpto")
	if err := os.WriteFile(victim, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(table); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, table); err != nil {
		t.Fatal(err)
	}
	if r := run(&QmailTcpok, dir); r.Status != 111 || r.Err != "qmail-tcpok: fatal: unable to write "+table+": symbolic link loop\n" {
		t.Errorf("%+v", r)
	}
	if text, _ := os.ReadFile(victim); string(text) != "theirs" {
		t.Errorf("%q", text)
	}
}

func TestProgramsWithoutTables(t *testing.T) {
	whole := home(t)
	if err := os.Remove(filepath.Join(whole, "queue/lock/tcpto")); err != nil {
		t.Fatal(err)
	}
	old := home(t)
	if err := os.Remove(filepath.Join(old, "queue/lock/tcpto6")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		program  *proc.Program
		home     string
		status   int
		out, err string
	}{
		{&QmailTcpto, "/nonexistent", 111, "fatal: unable to chdir: file does not exist\n", ""},
		{&QmailTcpok, "/nonexistent", 111, "", "qmail-tcpok: fatal: unable to chdir to /nonexistent: file does not exist\n"},
		{&QmailTcpto, whole, 111, "fatal: unable to open tcpto: file does not exist\n", ""},
		{&QmailTcpok, whole, 111, "", "qmail-tcpok: fatal: unable to write " + whole + "/queue/lock/tcpto: file does not exist\n"},
		{&QmailTcpto, old, 0, "", ""},
		{&QmailTcpok, old, 0, "", ""},
	} {
		if r := run(c.program, c.home); r.Status != c.status || r.Out != c.out || r.Err != c.err {
			t.Errorf("%s %s: %+v", c.program.Name, c.home, r)
		}
	}
}
