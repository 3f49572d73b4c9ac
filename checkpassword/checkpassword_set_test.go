package checkpassword

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

func setPassword(in string, args ...string) proctest.Result {
	return proctest.Run(&CheckpasswordSet, proctest.Case{Args: args, In: in})
}

func TestSet(t *testing.T) {
	name := filepath.Join(t.TempDir(), "passwords")
	for _, c := range []struct {
		in   string
		args []string
	}{
		{"first\n", []string{name, "alice", "/home/alice"}},
		{"of bob", []string{name, "bob@example.org", "/v/bob", "2000", "2001"}},
		{"second\n", []string{name, "alice"}},
		{"third", []string{name, "carol", "/home/carol", "", ""}},
		{"other", []string{name, "bob@example.org"}},
	} {
		if r := setPassword(c.in, c.args...); r.Status != 0 || r.Out+r.Err != "" {
			t.Fatalf("%q: %+v", c.args, r)
		}
	}
	for request, want := range map[string]string{
		"alice\x00second\x00":          "/home/alice",
		"bob@example.org\x00other\x00": "/v/bob",
		"carol\x00third\x00":           "/home/carol",
		"alice\x00first\x00":           "",
	} {
		r, ids := login(t, fixture(), request, proc.Vars{"CHECKPASSWORD_FILE=" + name}, "prog")
		if r.Vars.Value("HOME") != want || (want == "/v/bob") != (ids == [2]int{2000, 2001}) {
			t.Errorf("%q: %+v, ids %d", request, r, ids)
		}
	}
	text, err := os.ReadFile(name)
	if err != nil || strings.Count(string(text), "\n") != 3 || strings.Contains(string(text), "second") {
		t.Errorf("%s, %v", text, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// What is not the entry's stays as it was: other lines, comments, permissions.
func TestSetLeavesTheRest(t *testing.T) {
	name := writeEntries(t, "# one\n\nalice:x:::/a\nalice:y:::/b\nbroken\nbob:z:::/c")
	if err := os.Chmod(name, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere", name+".tmp"); err != nil { // left behind, or put there
		t.Fatal(err)
	}
	if r := setPassword("secret", name, "alice", "/home/alice"); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	text, _ := os.ReadFile(name)
	lines := strings.Split(string(text), "\n")
	if len(lines) != 7 || !strings.HasPrefix(lines[2], "alice:$argon2id$") || !strings.HasSuffix(lines[2], ":::/home/alice") {
		t.Fatalf("%s", text)
	}
	lines[2] = ""
	if got := strings.Join(lines, "|"); got != "# one|||alice:y:::/b|broken|bob:z:::/c|" {
		t.Errorf("%s", got)
	}
	if info, _ := os.Stat(name); info.Mode() != fs.FileMode(0o640) {
		t.Errorf("%v", info.Mode())
	}
}

func TestSetRefuses(t *testing.T) {
	name := writeEntries(t, "alice:x:::/a\n")
	for _, c := range []struct {
		in     string
		args   []string
		status int
		errs   string
	}{
		{"x", []string{name}, 100, "usage: checkpassword-set file login [ home [ uid gid ] ]"},
		{"x", []string{name, "a", "/", "1"}, 100, "usage: checkpassword-set file login [ home [ uid gid ] ]"},
		{"x", []string{name, "bob"}, 100, "fatal: unable to find bob: no such login, and no home given"},
		{"", []string{name, "alice"}, 100, "fatal: unable to use the password: the password is empty"},
		{"\n", []string{name, "alice"}, 100, "fatal: unable to use the password: the password is empty"},
		{"a\nb\n", []string{name, "alice"}, 100, "fatal: unable to use the password: the password has a line feed or NUL in it"},
		{"a\x00b", []string{name, "alice"}, 100, "fatal: unable to use the password: the password has a line feed or NUL in it"},
		{strings.Repeat("x", 396), []string{name, "alice"}, 100, "fatal: unable to use the password: login and password are too long"},
		{"x", []string{name, "", "/"}, 100, "fatal: unable to write entry of: bad login, home, uid or gid"},
		{"x", []string{name, "a:b", "/"}, 100, "fatal: unable to write entry of a:b: bad login, home, uid or gid"},
		{"x", []string{name, "#a", "/"}, 100, "fatal: unable to write entry of #a: bad login, home, uid or gid"},
		{"x", []string{name, "a\nb", "/"}, 100, "fatal: unable to write entry of a?b: bad login, home, uid or gid"},
		{"x", []string{name, "a", "home"}, 100, "fatal: unable to write entry of a: bad login, home, uid or gid"},
		{"x", []string{name, "a", "/x:1:2:/"}, 100, "fatal: unable to write entry of a: bad login, home, uid or gid"},
		{"x", []string{name, "a", "/", "0", "0"}, 100, "fatal: unable to write entry of a: bad login, home, uid or gid"},
		{"x", []string{name, "a", "/", "1", ""}, 100, "fatal: unable to write entry of a: bad login, home, uid or gid"},
		{"x", []string{name, "a", "/" + strings.Repeat("x", 4096)}, 100, "fatal: unable to write entry of a: bad login, home, uid or gid"},
		{"x", []string{name + "none/f", "a", "/"}, 111, "fatal: unable to lock " + name + "none: file does not exist"},
		{"x", []string{filepath.Dir(name), "a", "/"}, 111, "fatal: unable to read " + filepath.Dir(name) + ": not a regular file"},
		{"x", []string{filepath.Dir(name) + "/", "a", "/"}, 111, "fatal: unable to read " + filepath.Dir(name) + "/: is a directory"},
	} {
		if r := setPassword(c.in, c.args...); r.Status != c.status || r.Err != "checkpassword-set: "+c.errs+"\n" {
			t.Errorf("%.60q: %+v, want %d %q", c.args, r, c.status, c.errs)
		}
	}
	if text, _ := os.ReadFile(name); string(text) != "alice:x:::/a\n" {
		t.Errorf("%s", text)
	}
	if all, _ := os.ReadDir(filepath.Dir(name)); len(all) != 1 {
		t.Errorf("left behind: %v", all)
	}
}

// Two that change the file at once both have their entry in it.
func TestSetAtOnce(t *testing.T) {
	name := writeEntries(t, "")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if r := setPassword("secret", name, "user"+strconv.Itoa(i), "/"); r.Status != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
	all.Wait()
	if text, _ := os.ReadFile(name); strings.Count(string(text), "\n") != 8 {
		t.Errorf("%s", text)
	}
}

// Whose directory it is may make other files of that name, and directories, while
// root is at work in it.
func TestSetInSomebodysDirectory(t *testing.T) {
	top := t.TempDir()
	for _, dir := range []string{top + "/theirs", top + "/ours"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/passwords", []byte("alice:x:::/a\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := replace(top+"/theirs/passwords", "alice", func(string) (string, error) {
		if err := os.Rename(top+"/theirs", top+"/away"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("ours", top+"/theirs"); err != nil {
			t.Fatal(err)
		}
		return "changed", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"/ours/passwords": "alice:x:::/a\n", "/away/passwords": "changed\n"} {
		if text, err := os.ReadFile(top + name); string(text) != want {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

// A link, or what is no file, is neither read nor replaced.
func TestSetOfAnotherKind(t *testing.T) {
	name := writeEntries(t, "alice:x:::/a\n")
	link, fifo := name+".link", name+".fifo"
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, why := range map[string]string{link: "symbolic link loop", fifo: "not a regular file"} {
		r := setPassword("secret", name, "alice")
		if r.Status != 111 || r.Err != "checkpassword-set: fatal: unable to read "+name+": "+why+"\n" {
			t.Errorf("%+v", r)
		}
	}
	if text, _ := os.ReadFile(name); string(text) != "alice:x:::/a\n" {
		t.Errorf("%s", text)
	}
}

// The owner of the old file gets the new one, and nothing else that he puts in its
// place meanwhile.
func TestSetGivesAwayNothingElse(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	name := writeEntries(t, "alice:x:::/a\n")
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(name, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var all sync.WaitGroup
	all.Go(func() {
		for !stop.Load() {
			if unix.Rename(name+".tmp", name+".stolen") == nil {
				unix.Symlink(victim, name+".tmp")
			}
		}
	})
	for range 300 {
		// It may be the link that is renamed at last.
		replace(name, "alice", func(string) (string, error) { return "changed", nil })
		if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() {
			os.Remove(name)
			os.WriteFile(name, nil, 0o600)
			os.Chown(name, 65534, 65534)
		}
	}
	stop.Store(true)
	all.Wait()
	info, err := os.Stat(victim)
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 || info.Mode() != 0o600 {
		t.Errorf("%+v, %v", info, err)
	}
}
