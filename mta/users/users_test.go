package users

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"paperpath/internal/fsys"
	"paperpath/internal/fsys/crashfs"
	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

const table = `+:alias:7790:2108:/var/qmail/alias:-::
=joe:joe:507:100:/home/joe:::
+joe-:joe:507:100:/home/joe:-::
+joe-list-:joe:507:100:/home/joe:-:lists-::what:follows
=Joe.Shmoe:joe:503:78:/home/joe:::
=joe:second:1:1:/nowhere:::
-dash:dash:1:2:/home/dash:a:b:
.
this is not read
`

func put(t *testing.T, fs fsys.FS, name, text string) {
	t.Helper()
	f, err := fs.Open(name, fsys.WRONLY|fsys.CREATE|fsys.TRUNC, 0644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestFind(t *testing.T) {
	fs := crashfs.New("users")
	if _, found, err := Find(fs, "joe"); found || err != nil {
		t.Errorf("without a table: %v, %v", found, err)
	}
	put(t, fs, "users/assign", table)
	if err := Compile(fs); err != nil {
		t.Fatal(err)
	}
	for local, want := range map[string]string{
		"joe":          "joe|507|100|/home/joe|||", // the first of two
		"JOE":          "joe|507|100|/home/joe|||",
		"joe.shmoe":    "joe|503|78|/home/joe|||",
		"joe-":         "joe|507|100|/home/joe|-||",
		"Joe-Direct":   "joe|507|100|/home/joe|-|Direct|",
		"joe-list":     "joe|507|100|/home/joe|-|list|",
		"joe-list-X-y": "joe|507|100|/home/joe|-|lists-X-y|",
		"dash":         "dash|1|2|/home/dash|a|b|",
		"bill":         "alias|7790|2108|/var/qmail/alias|-|bill|",
		"":             "alias|7790|2108|/var/qmail/alias|-||",
	} {
		record, found, err := Find(fs, local)
		if got := strings.ReplaceAll(string(record), "\x00", "|"); !found || err != nil || got != want {
			t.Errorf("%q: %q, %v, %v", local, got, found, err)
		}
	}
}

func TestFindInADamagedTable(t *testing.T) {
	fs := crashfs.New("users")
	put(t, fs, "users/assign", table)
	if err := Compile(fs); err != nil {
		t.Fatal(err)
	}
	whole, err := fsys.ReadFile(fs, "users/cdb", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		put(t, fs, "users/cdb", string(whole[:n]))
		if record, found, err := Find(fs, "joe-x"); err == nil && (!found || string(record) != "joe\x00507\x00100\x00/home/joe\x00-\x00x\x00") {
			t.Fatalf("cut to %d bytes: %q, %v", n, record, found)
		}
	}
	fs.Fault = func(c crashfs.Call) error {
		if c.Op == "open" {
			return syscall.EACCES
		}
		return nil
	}
	if _, _, err := Find(fs, "joe"); err == nil {
		t.Error("a table that cannot be opened is no table")
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, assign := range []string{
		"",
		"=a:b:1:2:/h:::\n",              // no end
		"=a:b:1:2:/h:::",                // cut
		"=a:b:1:2:/h::\n.\n",            // a field short
		":b:1:2:/h:::\n.\n",             // no name
		"no colon\n.\n",                 //
		"\n.\n",                         //
		"=a:b\x001:2:3:/h:::\n.\n",      // NUL
		"=a:b:1:2:/h:::\n=c:\n.\n",      // a later line
		strings.Repeat("x", 2<<20),      // no line
		"=a:b:1:2:/h:::\n# a remark\n.", //
	} {
		fs := crashfs.New("users")
		put(t, fs, "users/cdb", "old")
		put(t, fs, "users/assign", assign)
		if err := Compile(fs); err != errFormat {
			t.Errorf("%.40q: %v", assign, err)
		}
		if old, _ := fsys.ReadFile(fs, "users/cdb", 100); string(old) != "old" {
			t.Errorf("%.40q: the old table is gone", assign)
		}
	}
}

func TestCompileAccepts(t *testing.T) {
	for _, assign := range []string{".", ".\n", ". with more\n", "=a:b:1:2:/h:::\n."} {
		fs := crashfs.New("users")
		put(t, fs, "users/assign", assign)
		if err := Compile(fs); err != nil {
			t.Errorf("%q: %v", assign, err)
		}
	}
}

// A cut or a fault at any moment leaves the old table or the new one, and a
// Compile that said nothing leaves the new one.
func TestCompileCut(t *testing.T) {
	build := func() *crashfs.FS {
		fs := crashfs.New("users")
		put(t, fs, "users/assign", "=old:o:1:1:/o:::\n.\n")
		if err := Compile(fs); err != nil {
			t.Fatal(err)
		}
		put(t, fs, "users/assign", "=new:n:1:1:/n:::\n.\n")
		fs.Settle()
		return fs
	}
	which := func(fs fsys.FS) string {
		for _, name := range []string{"old", "new"} {
			if _, found, err := Find(fs, name); err == nil && found {
				return name
			}
		}
		return "neither"
	}
	fs := build()
	if err := Compile(fs); err != nil {
		t.Fatal(err)
	}
	done := fs.Calls()
	for _, model := range []crashfs.Model{crashfs.Strict, crashfs.Journal} {
		for c := range fs.Crashes(model, 100, 1) {
			if got := which(c.FS); got == "neither" || got == "old" && c.At >= done {
				t.Fatalf("%v: %s table\n%s", c, got, c.Dump())
			}
		}
	}
	for n := range done {
		fs := build()
		fs.Fault = crashfs.FailNth(n, syscall.EIO)
		err := Compile(fs)
		fs.Fault = nil
		if got := which(fs); got == "neither" || err == nil && got == "old" {
			t.Errorf("call %d fails: %v, %s table", n, err, got)
		}
	}
}

// Each sync is needed: without it a cut leaves a table that is none, or the old
// one after a success.
func TestEverySyncIsNeeded(t *testing.T) {
	for _, op := range []string{"sync", "syncdir"} {
		fs := crashfs.New("users")
		put(t, fs, "users/assign", "=old:o:1:1:/o:::\n.\n")
		if err := Compile(fs); err != nil {
			t.Fatal(err)
		}
		put(t, fs, "users/assign", "=new:n:1:1:/n:::\n.\n")
		fs.Settle()
		fs.Lie = func(c crashfs.Call) bool { return c.Op == op }
		if err := Compile(fs); err != nil {
			t.Fatal(err)
		}
		good := true
		for c := range fs.CrashesAt(fs.Calls(), crashfs.Strict, 100, 1) {
			_, found, err := Find(c.FS, "new")
			good = good && found && err == nil
		}
		if good {
			t.Errorf("without %s no state is bad", op)
		}
	}
}

func TestQmailNewu(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077)) // the table is for everybody all the same
	home := t.TempDir()
	vars := proc.Vars{"QMAILHOME=" + home}
	says := func(want string) {
		t.Helper()
		r := proctest.Run(&QmailNewu, proctest.Case{Vars: vars})
		status := 111
		if want == "" {
			status = 0
		} else {
			want = "qmail-newu: fatal: " + want + "\n"
		}
		if r.Status != status || r.Err != want || r.Out != "" {
			t.Errorf("status %d, %q", r.Status, r.Err)
		}
	}
	says("unable to open users/assign")
	if err := os.Mkdir(filepath.Join(home, "users"), 0755); err != nil {
		t.Fatal(err)
	}
	says("unable to open users/assign")
	put(t, fsys.OS{Root: home}, "users/assign", "bad\n")
	says("bad format in users/assign")
	put(t, fsys.OS{Root: home}, "users/assign", table)
	says("")
	if st, err := os.Stat(filepath.Join(home, "users/cdb")); err != nil || st.Mode() != 0644 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if err := os.Remove(filepath.Join(home, "users/cdb")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(home, "users/cdb/not-empty"), 0755); err != nil {
		t.Fatal(err)
	}
	says("unable to move users/cdb.tmp to users/cdb")
	if err := os.RemoveAll(filepath.Join(home, "users/cdb.tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(home, "users/cdb.tmp"), 0755); err != nil {
		t.Fatal(err)
	}
	says("unable to open users/cdb.tmp")
	// Nor is it written through a link.
	victim := filepath.Join(home, "victim")
	if err := os.WriteFile(victim, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(home, "users/cdb.tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, filepath.Join(home, "users/cdb.tmp")); err != nil {
		t.Fatal(err)
	}
	says("unable to open users/cdb.tmp")
	if text, _ := os.ReadFile(victim); string(text) != "theirs" {
		t.Errorf("%q", text)
	}
	vars = proc.Vars{"QMAILHOME=" + home + "/none"}
	says("unable to chdir")
}

// FuzzParse: whatever a line is, its record is six fields under its name, or
// the line is refused.
func FuzzParse(f *testing.F) {
	f.Add("=joe:joe:507:100:/home/joe:::\n")
	f.Add("+:a:1:2:/h:-:::::\n")
	f.Fuzz(func(t *testing.T, text string) {
		key, data, err := parse([]byte(text))
		if err != nil {
			if err != errFormat {
				t.Error(err)
			}
			return
		}
		if n := strings.Count(string(data), "\x00"); n != 5 || key[0] != '!' || strings.Contains(text, "\x00") {
			t.Errorf("%q: %q, %q", text, key, data)
		}
		if simple := text[0] != '+'; simple != (key[len(key)-1] == 0) {
			t.Errorf("%q: %q", text, key)
		}
	})
}
