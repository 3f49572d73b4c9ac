package store

import (
	"os"
	"path/filepath"
	"testing"

	"paperpath/internal/proc/proctest"
)

// What notqmail's qmail-upq made of the same files.
func TestQmailUpq(t *testing.T) {
	dir, vars := home(t, map[string]string{
		"mess/100": "m", "info/100": "i", "local/100": "l", "remote/100": "r", // no subdirectories
		"mess/3/101": "other split", "mess/9/32": "at home",
		"todo/200":   "not split",
		"info/lock":  "not ours",
		"local/0/01": "not a number of ours",
	})
	for range 2 { // the second time there is nothing to do
		r := proctest.Run(&QmailUpq, proctest.Case{Vars: vars})
		if r.Status != 0 || r.Out+r.Err != "" {
			t.Fatalf("status %d, %q", r.Status, r.Out+r.Err)
		}
		for name, want := range map[string]string{
			"mess/8/100": "m", "info/8/100": "i", "local/8/100": "l", "remote/8/100": "r",
			"mess/9/101": "other split", "mess/9/32": "at home",
			"todo/200": "not split", "info/lock": "not ours", "local/0/01": "not a number of ours",
		} {
			if got, err := os.ReadFile(filepath.Join(dir, "queue", name)); string(got) != want {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		if n := countFiles(t, dir); n != 9 {
			t.Errorf("%d files", n)
		}
	}
}

// A message is its inode number: the file must stay the same, and no other is
// overwritten by it.
func TestQmailUpqKeepsFiles(t *testing.T) {
	dir, vars := home(t, map[string]string{
		"mess/100": "not this", "mess/8/100": "but this",
		"info/200": "linked already",
	})
	if err := os.Link(dir+"/queue/info/200", dir+"/queue/info/16/200"); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(dir + "/queue/info/200")
	if err != nil {
		t.Fatal(err)
	}
	r := proctest.Run(&QmailUpq, proctest.Case{Vars: vars})
	if want := "qmail-upq: warning: unable to move mess/100 to mess/8/100: file already exists\n"; r.Status != 0 || r.Err != want {
		t.Errorf("status %d, %q", r.Status, r.Err)
	}
	if got, _ := os.ReadFile(dir + "/queue/mess/8/100"); string(got) != "but this" {
		t.Errorf("overwritten: %q", got)
	}
	after, err := os.Stat(dir + "/queue/info/16/200")
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("another file: %v", err)
	}
	if n := countFiles(t, dir); n != 3 {
		t.Errorf("%d files", n)
	}
}

func TestQmailUpqFails(t *testing.T) {
	dir, vars := home(t, map[string]string{"mess/100": "x"})
	if err := os.RemoveAll(dir + "/queue/mess/8"); err != nil {
		t.Fatal(err)
	}
	r := proctest.Run(&QmailUpq, proctest.Case{Vars: vars})
	if want := "qmail-upq: fatal: unable to move mess/100 to mess/8/100: file does not exist\n"; r.Status != 111 || r.Err != want {
		t.Errorf("status %d, %q", r.Status, r.Err)
	}
	os.RemoveAll(dir + "/queue/mess")
	r = proctest.Run(&QmailUpq, proctest.Case{Vars: vars})
	if want := "qmail-upq: fatal: unable to read mess: file does not exist\n"; r.Status != 111 || r.Err != want {
		t.Errorf("status %d, %q", r.Status, r.Err)
	}
}

func countFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
