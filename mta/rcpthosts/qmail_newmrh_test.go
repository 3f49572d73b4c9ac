package rcpthosts

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

// newmrhHome is a qmail home with control/morercpthosts; text "" leaves that
// out.
func newmrhHome(t *testing.T, text string) (dir string, run func() proctest.Result) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "control"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"rcpthosts": "one.example\n", "morercpthosts": text} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "control", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, func() proctest.Result {
		return proctest.Run(&QmailNewmrh, proctest.Case{Vars: proc.Vars{"QMAILHOME=" + dir}})
	}
}

func TestNewmrh(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077)) // the table is for everybody all the same
	dir, run := newmrhHome(t, "Big.EXAMPLE \t\n\n# hash.example\n.sub.example\n#\n  front.example\nlast.example")
	if r := run(); r.Status != 0 || r.Out+r.Err != "" {
		t.Fatalf("%+v", r)
	}
	home := open(t, dir)
	for domain, want := range map[string]bool{
		"big.example": true, "a.sub.example": true, "last.example": true, "one.example": true,
		"hash.example": false, "sub.example": false, "front.example": false, "  front.example": true,
	} {
		if got, err := home.Allowed("u@" + domain); got != want || err != nil {
			t.Errorf("%s: %v, %v", domain, got, err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "control/morercpthosts.cdb"))
	if err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(dir, "control/morercpthosts.tmp")); err == nil {
		t.Error("morercpthosts.tmp stayed")
	}
}

// Whatever is wrong, the old table stays.
func TestNewmrhKeepsTheOldTable(t *testing.T) {
	for _, c := range []struct{ what, text, want string }{
		{"no file", "", "unable to read control/morercpthosts: file does not exist"},
		{"a long line", strings.Repeat("x", 70_000) + "\n", "unable to read control/morercpthosts: line too long"},
	} {
		dir, run := newmrhHome(t, c.text)
		table := filepath.Join(dir, "control/morercpthosts.cdb")
		if err := os.WriteFile(table, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		if r := run(); r.Status != 111 || r.Err != "qmail-newmrh: fatal: "+c.want+"\n" {
			t.Errorf("%s: %+v", c.what, r)
		}
		if text, _ := os.ReadFile(table); string(text) != "old" {
			t.Errorf("%s: the old table is %q", c.what, text)
		}
	}
	if r := proctest.Run(&QmailNewmrh, proctest.Case{Vars: proc.Vars{"QMAILHOME=/nonexistent"}}); r.Status != 111 ||
		r.Err != "qmail-newmrh: fatal: unable to chdir to /nonexistent: file does not exist\n" {
		t.Errorf("no home: %+v", r)
	}
}

// A link in the place of the new table leads nowhere.
func TestNewmrhFollowsNoLink(t *testing.T) {
	dir, run := newmrhHome(t, "a.example\n")
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, filepath.Join(dir, "control/morercpthosts.tmp")); err != nil {
		t.Fatal(err)
	}
	if r := run(); r.Status != 111 || r.Err != "qmail-newmrh: fatal: unable to write to control/morercpthosts.tmp: symbolic link loop\n" {
		t.Errorf("%+v", r)
	}
	if text, _ := os.ReadFile(victim); string(text) != "theirs" {
		t.Errorf("%q", text)
	}
}

func TestNewbrt(t *testing.T) {
	dir, _ := newmrhHome(t, "")
	run := func() proctest.Result {
		return proctest.Run(&QmailNewbrt, proctest.Case{Vars: proc.Vars{"QMAILHOME=" + dir}})
	}
	if r := run(); r.Status != 111 || r.Err != "qmail-newbrt: fatal: unable to read control/morebadrcptto: file does not exist\n" {
		t.Errorf("no file: %+v", r)
	}
	if err := os.WriteFile(filepath.Join(dir, "control/morebadrcptto"), []byte("Gone@One.example\n@two.example \n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := run(); r.Status != 0 || r.Out+r.Err != "" {
		t.Fatalf("%+v", r)
	}
	more, err := OpenMore(fsys.OS{Root: dir}, "control/morebadrcptto.cdb")
	if err != nil {
		t.Fatal(err)
	}
	defer more.Close()
	for key, want := range map[string]bool{"gone@one.example": true, "@two.example": true, "one.example": false, "": false} {
		if got, err := more.Has(key); got != want || err != nil {
			t.Errorf("%s: %v, %v", key, got, err)
		}
	}
}

func open(t *testing.T, dir string) *Hosts {
	t.Helper()
	h, err := Open(fsys.OS{Root: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}
