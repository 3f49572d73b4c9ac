package checkpassword

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/internal/sys"
)

// today is day 20000.
var today = time.Unix(20000*86400+3600, 0)

// fixture is a system with a few accounts.
func fixture() *system {
	shadow := map[string]sys.Shadow{
		"alice":    {Password: ofSecret, LastChange: 19000, Max: 99999, Inactive: -1, Expire: -1},
		"empty":    {Password: "", LastChange: -1, Max: -1, Inactive: -1, Expire: -1},
		"locked":   {Password: "!" + ofSecret, Max: -1, Inactive: -1, Expire: -1},
		"star":     {Password: "*", Max: -1, Inactive: -1, Expire: -1},
		"gost":     {Password: "$gy$j9T$x$y", Max: -1, Inactive: -1, Expire: -1},
		"expired":  {Password: ofSecret, Max: -1, Inactive: -1, Expire: 20000},
		"tomorrow": {Password: ofSecret, Max: -1, Inactive: -1, Expire: 20001},
		"due":      {Password: ofSecret, LastChange: 19900, Max: 90, Inactive: 10, Expire: -1},
		"inactive": {Password: ofSecret, LastChange: 19899, Max: 90, Inactive: 10, Expire: -1},
		"homeless": {Password: ofSecret, Max: -1, Inactive: -1, Expire: -1},
	}
	return &system{
		account: func(name string) (*sys.Account, error) {
			if name == "trouble" {
				return nil, errors.New("no answer")
			}
			if _, ok := shadow[name]; !ok && name != "secretive" && name != "shadowless" {
				return nil, sys.ErrNoAccount
			}
			a := &sys.Account{Name: name, UID: 1000, GID: 1001, Home: "/home/" + name, Shell: "/bin/ksh"}
			if name == "homeless" {
				a.Home = ""
			}
			return a, nil
		},
		shadow: func(name string) (*sys.Shadow, error) {
			if name == "secretive" {
				return nil, syscall.EACCES
			}
			s, ok := shadow[name]
			if !ok {
				return nil, sys.ErrNoAccount
			}
			return &s, nil
		},
		each:     func(f func(string) bool) error { _ = f("*") && f("$gy$j9T$x$y") && f(ofSecret); return nil },
		now:      func() time.Time { return today },
		fallback: fileDecoy,
	}
}

// login runs checkpassword with a stand-in for taking on ids.
func login(t *testing.T, in accounts, request string, vars proc.Vars, args ...string) (r proctest.Result, ids [2]int) {
	t.Helper()
	ids = [2]int{-2, -2}
	p := proc.Program{Name: "checkpassword", Usage: "prog", UsageStatus: 2, Run: func(ctx context.Context, env *proc.Env) error {
		return check(ctx, env, in, func(uid, gid int) error {
			ids = [2]int{uid, gid}
			if uid == 13 {
				return syscall.EPERM
			}
			return nil
		})
	}}
	r = proctest.Run(&p, proctest.Case{Args: args, Vars: vars, Files: map[int]proc.File{3: proctest.Input(request)}})
	return r, ids
}

func TestSystemAccounts(t *testing.T) {
	for _, c := range []struct {
		request string
		status  int
		errs    string
	}{
		{"alice\x00secret\x00<1.2@h>\x00", 0, ""},
		{"tomorrow\x00secret\x00", 0, ""},
		{"due\x00secret\x00", 0, ""},
		{"alice\x00Secret\x00", 1, ""},
		{"alice\x00\x00", 1, ""},
		{"alice \x00secret\x00", 1, ""},
		{"nobody\x00secret\x00", 1, ""},
		{"\x00secret\x00", 1, ""},
		{"empty\x00\x00", 1, ""},
		{"empty\x00secret\x00", 1, ""},
		{"locked\x00secret\x00", 1, ""},
		{"star\x00*\x00", 1, ""},
		{"expired\x00secret\x00", 1, ""},
		{"inactive\x00secret\x00", 1, ""},
		{"shadowless\x00secret\x00", 1, ""},
		{"alice", 2, ""},
		{"alice\x00secret", 2, ""},
		{"", 2, ""},
		{string(make([]byte, 513)), 1, ""},
		{"gost\x00secret\x00", 111, "checkpassword: fatal: unable to compare the password of gost: " + errMethod.Error() + "\n"},
		{"trouble\x00secret\x00", 111, "checkpassword: fatal: unable to look up account trouble: no answer\n"},
		{"secretive\x00secret\x00", 111, "checkpassword: fatal: unable to look up the password of secretive: access denied\n"},
		{"homeless\x00secret\x00", 111, "checkpassword: fatal: unable to switch to : file does not exist\n"},
	} {
		r, ids := login(t, fixture(), c.request, nil, "prog", "arg")
		ran := len(r.Next) == 2 && r.Next[0] == "prog" && r.Next[1] == "arg"
		if r.Status != c.status || r.Err != c.errs || r.Out != "" || ran != (c.status == 0) {
			t.Errorf("%.40q: %+v, want %d %q", c.request, r, c.status, c.errs)
		}
		if c.status < 100 && (ids == [2]int{1000, 1001}) != (c.status == 0) {
			t.Errorf("%.40q: ids %d", c.request, ids)
		}
	}
}

func TestWhatTheNextProgramGets(t *testing.T) {
	r, _ := login(t, fixture(), "alice\x00secret\x00", proc.Vars{"USER=root", "X=1", "HOME=/"}, "prog")
	for name, want := range map[string]string{"USER": "alice", "HOME": "/home/alice", "SHELL": "/bin/ksh", "X": "1"} {
		if got := r.Vars.Value(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestMisuse(t *testing.T) {
	r, _ := login(t, fixture(), "alice\x00secret\x00", nil)
	if r.Status != 2 || r.Err != "checkpassword: usage: checkpassword prog\n" {
		t.Errorf("no program: %+v", r)
	}
	for _, p := range []*proc.Program{&Checkpassword, &Cmd5checkpw} {
		for name, file := range map[string]proc.File{"no descriptor 3": nil, "unreadable": broken{}} {
			r := proctest.Run(p, proctest.Case{Args: []string{"prog"}, Files: map[int]proc.File{3: file}})
			if r.Status != 111 || r.Next != nil {
				t.Errorf("%s, %s: %+v", p.Name, name, r)
			}
		}
	}
}

// The decoy is compared in full, and troubles with it are troubles.
func TestDecoyOfTheSystem(t *testing.T) {
	s := fixture()
	if got, err := s.decoy(); got != ofSecret || err != nil {
		t.Errorf("%q, %v: want the first that can be compared", got, err)
	}
	s.each = func(func(string) bool) error { return nil }
	if got, err := s.decoy(); got != fileDecoy || err != nil {
		t.Errorf("%q, %v: want the fallback", got, err)
	}
	// Its own password opens nothing.
	s.fallback = ofSecret
	for _, name := range []string{"nobody", "locked"} {
		if r, _ := login(t, s, name+"\x00secret\x00", nil, "prog"); r.Status != 1 {
			t.Errorf("the decoy opens %s: %+v", name, r)
		}
	}
	s.each = func(func(string) bool) error { return syscall.EACCES }
	if r, _ := login(t, s, "nobody\x00secret\x00", nil, "prog"); r.Status != 111 {
		t.Errorf("%+v", r)
	}
}

// Asking for nobody costs a comparison, as asking for somebody does, and so does
// an account that is locked or has no password.
func TestNobodyTakesAsLong(t *testing.T) {
	compared := 0
	methods["counted"] = func(string, []byte) (bool, error) { compared++; return true, nil }
	defer delete(methods, "counted")
	s := fixture()
	s.each = func(f func(string) bool) error { f("$counted$"); return nil }
	file := writeEntries(t, "alice:$counted$:::/\nlocked:!$counted$:::/\nempty::::/\n")
	for _, vars := range []proc.Vars{nil, {"CHECKPASSWORD_FILE=" + file}} {
		for _, name := range []string{"nobody", "locked", "empty"} {
			compared = 0
			if r, _ := login(t, s, name+"\x00secret\x00", vars, "prog"); r.Status != 1 || compared != 1 {
				t.Errorf("%q, %s: status %d, %d comparisons", vars, name, r.Status, compared)
			}
		}
	}
}

const entries = `# login:password:uid:gid:home

alice:` + ofSecret + `:::/home/alice
bob:` + ofSecret + `:2000:2001:/home/bob
alice:x:::/home/second
bob@example.org:$1$x$0AXOYAuOs.uNCmG2qRI8W.:2000:2000:/v/bob
thirteen:` + ofSecret + `:13:13:/
locked:!` + ofSecret + `:::/
empty::::/
few:` + ofSecret + `::/
many:` + ofSecret + `::::/
relative:` + ofSecret + `:::home
root:` + ofSecret + `:0:0:/root
half:` + ofSecret + `:1::/
minus:` + ofSecret + `:-1:-1:/
all:` + ofSecret + `:4294967295:4294967295:/
last:` + ofSecret + `:::/last`

func writeEntries(t *testing.T, text string) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestPasswordFile(t *testing.T) {
	name := writeEntries(t, entries)
	broken := func(line string) string {
		return "checkpassword: fatal: unable to understand line " + line + " of " + name + ": broken entry\n"
	}
	for _, c := range []struct {
		request string
		status  int
		errs    string
		ids     [2]int
		home    string
	}{
		{"alice\x00secret\x00", 0, "", [2]int{-1, -1}, "/home/alice"},
		{"bob\x00secret\x00", 0, "", [2]int{2000, 2001}, "/home/bob"},
		{"bob@example.org\x00secret\x00", 0, "", [2]int{2000, 2000}, "/v/bob"},
		{"last\x00secret\x00", 0, "", [2]int{-1, -1}, "/last"},
		{"alice\x00x\x00", 1, "", [2]int{}, ""},
		{"Alice\x00secret\x00", 1, "", [2]int{}, ""},
		{"locked\x00secret\x00", 1, "", [2]int{}, ""},
		{"empty\x00\x00", 1, "", [2]int{}, ""},
		{"\x00secret\x00", 1, "", [2]int{}, ""},
		{"# login\x00password\x00", 1, "", [2]int{}, ""},
		{"nobody\x00secret\x00", 1, "", [2]int{}, ""},
		{"thirteen\x00secret\x00", 111, "checkpassword: fatal: unable to become user thirteen: permission denied\n", [2]int{}, ""},
		{"few\x00secret\x00", 111, broken("10"), [2]int{}, ""},
		{"many\x00secret\x00", 111, broken("11"), [2]int{}, ""},
		{"relative\x00secret\x00", 111, broken("12"), [2]int{}, ""},
		{"root\x00secret\x00", 111, broken("13"), [2]int{}, ""},
		{"half\x00secret\x00", 111, broken("14"), [2]int{}, ""},
		{"minus\x00secret\x00", 111, broken("15"), [2]int{}, ""},
		{"all\x00secret\x00", 111, broken("16"), [2]int{}, ""},
	} {
		r, ids := login(t, fixture(), c.request, proc.Vars{"CHECKPASSWORD_FILE=" + name}, "prog")
		if r.Status != c.status || r.Err != c.errs || (r.Next != nil) != (c.status == 0) {
			t.Errorf("%q: %+v, want %d %q", c.request, r, c.status, c.errs)
		}
		if c.status == 0 && (ids != c.ids || r.Vars.Value("HOME") != c.home || r.Vars.Value("SHELL") != "/bin/sh") {
			t.Errorf("%q: ids %d, %q", c.request, ids, r.Vars)
		}
	}
}

// A file that is not to be trusted, or that is none: nobody logs in, and the
// system's accounts are not asked instead.
func TestPasswordFileTrouble(t *testing.T) {
	name := writeEntries(t, entries)
	for _, c := range []struct {
		prepare func()
		want    string
	}{
		{func() { os.Chmod(name, 0o620) }, "unable to trust " + name + ": others may write to it"},
		{func() { os.Chmod(name, 0o602) }, "unable to trust " + name + ": others may write to it"},
		{func() { os.Chmod(name, 0o600); os.WriteFile(name, make([]byte, 5000), 0) }, "unable to read " + name + ": line too long"},
		{func() { os.Remove(name); os.Mkdir(name, 0o700) }, "unable to read " + name + ": is a directory"},
		{func() { os.Remove(name) }, "unable to open " + name + ": file does not exist"},
	} {
		c.prepare()
		for _, who := range []string{"alice", "nobody"} {
			r, _ := login(t, fixture(), who+"\x00secret\x00", proc.Vars{"CHECKPASSWORD_FILE=" + name}, "prog")
			if r.Status != 111 || r.Err != "checkpassword: fatal: "+c.want+"\n" {
				t.Errorf("%+v, want %s", r, c.want)
			}
		}
	}
	if r, _ := login(t, fixture(), "alice\x00secret\x00", proc.Vars{"CHECKPASSWORD_FILE="}, "prog"); r.Status != 111 {
		t.Errorf("a file without a name: %+v", r)
	}
}

// Who owns the file decides who logs in: that is root, or the user that runs this.
func TestPasswordFileOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	name := writeEntries(t, entries)
	for uid, status := range map[int]int{0: 0, 65534: 111} {
		if err := os.Chown(name, uid, 0); err != nil {
			t.Fatal(err)
		}
		r, _ := login(t, fixture(), "bob\x00secret\x00", proc.Vars{"CHECKPASSWORD_FILE=" + name}, "prog")
		if r.Status != status || status != 0 && r.Err != "checkpassword: fatal: unable to trust "+name+": others may write to it\n" {
			t.Errorf("uid %d: %+v", uid, r)
		}
	}
}

func TestDecoyOfAFile(t *testing.T) {
	for text, want := range map[string]string{
		entries:                              ofSecret,
		"":                                   fileDecoy,
		"#a:" + ofSecret + ":::/\nb:!:::/\n": fileDecoy,
	} {
		if got, err := passwordFile(writeEntries(t, text)).decoy(); got != want || err != nil {
			t.Errorf("%.20q: %q, %v", text, got, err)
		}
	}
}

// Ids that this process has need no rights; none at all are root's trouble.
func TestBecome(t *testing.T) {
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		if err := become(-1, -1); err != errNoIDs {
			t.Errorf("root goes on as root: %v", err)
		}
		return
	}
	for _, c := range []struct {
		uid, gid int
		want     error
	}{{-1, -1, nil}, {uid, gid, nil}, {uid + 1, gid, syscall.EPERM}, {0, 0, syscall.EPERM}} {
		if err := become(c.uid, c.gid); err != c.want {
			t.Errorf("%d %d: %v, want %v", c.uid, c.gid, err, c.want)
		}
	}
}

// An entry that is read has a name, a home, and two ids that are not root's, or none.
func FuzzEntry(f *testing.F) {
	f.Add("alice:" + ofSecret + ":::/home/alice")
	f.Add("bob@example.org:!:2000:2001:/v")
	f.Add("#:::::")
	f.Fuzz(func(t *testing.T, l string) {
		a, ok := parseEntry(l)
		if !ok {
			return
		}
		if a.name == "" || a.uid == 0 || (a.uid < 0) != (a.gid < 0) || a.home == "" || a.home[0] != '/' {
			t.Errorf("%q: %+v", l, a)
		}
	})
}
