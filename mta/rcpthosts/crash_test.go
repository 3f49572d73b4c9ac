package rcpthosts

import (
	"fmt"
	"syscall"
	"testing"

	"paperpath/internal/fsys"
	"paperpath/internal/fsys/crashfs"
)

const list = "control/morercpthosts"

// outdated has a database of an old list, and a new list.
func outdated(t *testing.T) *crashfs.FS {
	t.Helper()
	fs := crashfs.New("control")
	for _, text := range []string{"old.example\n", "new.example\n"} {
		if text == "new.example\n" {
			if err := compile(fs, list); err != nil {
				t.Fatal(err)
			}
		}
		f, err := fs.Open(list, fsys.WRONLY|fsys.CREATE|fsys.TRUNC, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte(text))
		f.Close()
	}
	fs.Settle()
	return fs
}

// which says whose database there is.
func which(fs fsys.FS) string {
	more, err := OpenMore(fs, list+".cdb")
	if err != nil {
		return err.Error()
	}
	defer more.Close()
	for _, name := range []string{"old", "new"} {
		switch has, err := more.Has(name + ".example"); {
		case err != nil:
			return err.Error()
		case has:
			return name
		}
	}
	return "neither"
}

// crash cuts the power at every moment of a compilation, and returns the first bad
// state: no database, half a one, or the old one after the success.
func crash(t *testing.T, fs *crashfs.FS, model crashfs.Model) (states int, bad error) {
	t.Helper()
	if err := compile(fs, list); err != nil {
		t.Fatal(err)
	}
	done := fs.Calls()
	for c := range fs.Crashes(model, 100, 1) {
		states++
		if got := which(c.FS); got != "new" && (got != "old" || c.At >= done) {
			return states, fmt.Errorf("%v: %s\n%s", c, got, c.Dump())
		}
	}
	return states, nil
}

func TestNoCutSpoilsTheDatabase(t *testing.T) {
	for _, model := range []crashfs.Model{crashfs.Strict, crashfs.Journal} {
		if states, bad := crash(t, outdated(t), model); bad != nil || states < 10 {
			t.Errorf("%v, %d states: %v", model, states, bad)
		}
	}
}

// Each sync is needed: without it some state is bad.
func TestEverySyncIsNeeded(t *testing.T) {
	for _, op := range []string{"sync", "syncdir"} {
		fs := outdated(t)
		fs.Lie = func(c crashfs.Call) bool { return c.Op == op }
		if _, bad := crash(t, fs, crashfs.Strict); bad == nil {
			t.Errorf("without %s no state is bad", op)
		}
	}
}

// Whatever fails, once or for good, the database is the old one or the new one,
// and the new one if there was no error.
func TestFaults(t *testing.T) {
	whole := outdated(t)
	if err := compile(whole, list); err != nil {
		t.Fatal(err)
	}
	for n := range whole.Calls() {
		for _, fault := range []func(crashfs.Call) error{
			crashfs.FailNth(n, syscall.EIO), crashfs.FailNth(n, crashfs.Short(syscall.ENOSPC)), crashfs.FailFrom(n, syscall.ENOSPC),
		} {
			fs := outdated(t)
			fs.Fault = fault
			err := compile(fs, list)
			fs.Fault = nil
			if got := which(fs); got != "new" && (got != "old" || err == nil) {
				t.Errorf("call %d fails: %v, %s", n, err, got)
			}
		}
	}
}
