package chain

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"paperpath/internal/limit"
	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/internal/strerr"
)

func TestEnvdir(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		vars  proc.Vars
		want  proc.Vars
	}{
		{"nothing", nil, proc.Vars{"A=1"}, proc.Vars{"A=1"}},
		{"set", map[string]string{"B": "two\n"}, proc.Vars{"A=1"}, proc.Vars{"A=1", "B=two"}},
		{"replaced", map[string]string{"A": "two"}, proc.Vars{"A=1"}, proc.Vars{"A=two"}},
		{"removed", map[string]string{"A": ""}, proc.Vars{"A=1", "AA=2"}, proc.Vars{"AA=2"}},
		{"set to nothing", map[string]string{"A": "\n"}, proc.Vars{"A=1"}, proc.Vars{"A="}},
		{"first line", map[string]string{"A": "one\ntwo\nthree"}, nil, proc.Vars{"A=one"}},
		{"blanks at the end", map[string]string{"A": " one two \t \t\nthree"}, nil, proc.Vars{"A= one two"}},
		{"only blanks", map[string]string{"A": " \t "}, nil, proc.Vars{"A="}},
		{"NUL", map[string]string{"A": "one\x00two\x00\nthree"}, nil, proc.Vars{"A=one\ntwo\n"}},
		{"NUL before blanks", map[string]string{"A": "one\x00 "}, nil, proc.Vars{"A=one\n"}},
		{"CR and other bytes", map[string]string{"A": "one\r\xff=\n"}, nil, proc.Vars{"A=one\r\xff="}},
		{"dot", map[string]string{".A": "one"}, nil, nil},
		{"long", map[string]string{"A": strings.Repeat("x", 100000) + "\n"}, nil, proc.Vars{"A=" + strings.Repeat("x", 100000)}},
		{"name with =", map[string]string{"A=B": "c"}, proc.Vars{"A=1"}, proc.Vars{"A=B=c"}},
		{"name with =, empty", map[string]string{"A=B": ""}, proc.Vars{"A=1"}, proc.Vars{"A=B"}},
	} {
		dir := t.TempDir()
		if err := os.Mkdir(dir+"/env", 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range c.files {
			if err := os.WriteFile(dir+"/env/"+name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		r := proctest.Run(&Envdir, proctest.Case{Dir: dir, Args: []string{"env", "prog", "-x"}, Vars: c.vars})
		if r.Status != 0 || r.Err != "" || !slices.Equal(r.Next, []string{"prog", "-x"}) || !slices.Equal(r.Vars, c.want) {
			t.Errorf("%s: %+v, want %q", c.name, r, c.want)
		}
	}
}

func TestEnvdirFailures(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"sub/A", "loop", "gone", "fifo"} {
		os.MkdirAll(dir+"/"+name, 0o755)
	}
	os.Symlink("A", dir+"/loop/A")
	os.Symlink("nowhere", dir+"/gone/A")
	if err := unix.Mkfifo(dir+"/fifo/A", 0o644); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(dir+"/file", nil, 0o644)
	for _, c := range []struct {
		args []string
		err  string
	}{
		{nil, "envdir: usage: envdir dir child\n"},
		{[]string{"sub"}, "envdir: usage: envdir dir child\n"},
		{[]string{"none", "prog"}, "envdir: fatal: unable to switch to directory none: file does not exist\n"},
		{[]string{"file", "prog"}, "envdir: fatal: unable to switch to directory file: not a directory\n"},
		{[]string{"sub", "prog"}, "envdir: fatal: unable to read sub/A: is a directory\n"},
		{[]string{"loop", "prog"}, "envdir: fatal: unable to read loop/A: symbolic link loop\n"},
	} {
		r := proctest.Run(&Envdir, proctest.Case{Dir: dir, Args: c.args})
		if r.Status != 111 || r.Err != c.err || r.Next != nil {
			t.Errorf("%q: %+v, want %q", c.args, r, c.err)
		}
	}
	// A fifo that somebody has open for writing, and nothing in it.
	if err := unix.Mkfifo(dir+"/sub/B", 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir + "/sub/A"); err != nil {
		t.Fatal(err)
	}
	w, err := unix.Open(dir+"/sub/B", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(w)
	const empty = "envdir: fatal: unable to read sub/B: temporary failure\n"
	if r := proctest.Run(&Envdir, proctest.Case{Dir: dir, Args: []string{"sub", "prog"}}); r.Status != 111 || r.Err != empty {
		t.Errorf("%+v, want %q", r, empty)
	}
	// What is not there, or has nothing in it, removes; a fifo does not block.
	for _, name := range []string{"gone", "fifo"} {
		r := proctest.Run(&Envdir, proctest.Case{Dir: dir, Args: []string{name, "prog"}, Vars: proc.Vars{"A=1"}})
		if r.Status != 0 || len(r.Vars) != 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestSoftlimit(t *testing.T) {
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil {
		t.Fatal(err)
	}
	hard := limit.Limits{{Resource: unix.RLIMIT_CORE, Value: core.Max}}
	for _, c := range []struct {
		args string
		want limit.Limits
		next string
	}{
		{"prog", nil, "prog"},
		{"-- -prog -m1", nil, "-prog -m1"},
		{"-m 2000000 prog x", limit.Limits{{Resource: unix.RLIMIT_AS, Value: 2000000}, {Resource: unix.RLIMIT_DATA, Value: 2000000},
			{Resource: unix.RLIMIT_MEMLOCK, Value: 2000000}, {Resource: unix.RLIMIT_STACK, Value: 2000000}}, "prog x"},
		{"-o5 -p0 -t 9 prog", limit.Limits{{Resource: unix.RLIMIT_CPU, Value: 9}, {Resource: unix.RLIMIT_NOFILE, Value: 5},
			{Resource: unix.RLIMIT_NPROC, Value: 0}}, "prog"},
		{"-a1 -d2 -f3 -l4 -r5 -s6 prog", limit.Limits{{Resource: unix.RLIMIT_AS, Value: 1}, {Resource: unix.RLIMIT_DATA, Value: 2},
			{Resource: unix.RLIMIT_FSIZE, Value: 3}, {Resource: unix.RLIMIT_MEMLOCK, Value: 4},
			{Resource: unix.RLIMIT_RSS, Value: 5}, {Resource: unix.RLIMIT_STACK, Value: 6}}, "prog"},
		{"-c= prog", hard, "prog"},
		{"-f1 -f2 prog", limit.Limits{{Resource: unix.RLIMIT_FSIZE, Value: 2}}, "prog"},
		{"-f18446744073709551619 prog", limit.Limits{{Resource: unix.RLIMIT_FSIZE, Value: 3}}, "prog"},
	} {
		r := proctest.Run(&Softlimit, proctest.Case{Args: strings.Fields(c.args)})
		got, _ := limit.Handed(r.Vars)
		if r.Status != 0 || r.Err != "" || strings.Join(r.Next, " ") != c.next || !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v %v, want %v", c.args, r, got, c.want)
		}
	}
}

func TestSoftlimitInSoftlimit(t *testing.T) {
	r := proctest.Run(&Softlimit, proctest.Case{
		Args: []string{"-d", "7", "prog"},
		Vars: proc.Vars{limit.Variable + "=as=5 data=5 stack=5 /old/softlimit", "GOMEMLIMIT=67108864"},
	})
	got, by := limit.Handed(r.Vars)
	want := limit.Limits{{Resource: unix.RLIMIT_AS, Value: 5}, {Resource: unix.RLIMIT_DATA, Value: 7}, {Resource: unix.RLIMIT_STACK, Value: 5}}
	if r.Status != 0 || !slices.Equal(got, want) || by == "/old/softlimit" {
		t.Errorf("%+v", r)
	}
}

func TestUsage(t *testing.T) {
	limits := "softlimit: usage: softlimit " + Softlimit.Usage + "\n"
	for _, c := range []struct {
		p      *proc.Program
		args   string
		status int
		err    string
	}{
		{&Softlimit, "", 100, limits},
		{&Softlimit, "-m 5", 100, limits},
		{&Softlimit, "-m 5k prog", 100, limits},
		{&Softlimit, "-m -5 prog", 100, limits},
		{&Softlimit, "-m", 100, "softlimit: option requires an argument -- m\n" + limits},
		{&Softlimit, "-x 5 prog", 100, "softlimit: illegal option -- x\n" + limits},
		{&Setuidgid, "", 100, "setuidgid: usage: setuidgid account child\n"},
		{&Setuidgid, "root", 100, "setuidgid: usage: setuidgid account child\n"},
		{&Setuidgid, "no:such prog", 111, "setuidgid: fatal: unknown account no:such\n"},
		{&Setuser, "root", 100, "setuser: usage: setuser username program [ arg ... ]\n"},
		{&Setuser, "no:such prog", 111, "setuser: fatal: unknown username no:such\n"},
		{&Envuidgid, "root", 100, "envuidgid: usage: envuidgid account child\n"},
		{&Envuidgid, "no:such prog", 111, "envuidgid: fatal: unknown account no:such\n"},
		{&Setlock, "-n lock", 100, "setlock: usage: setlock [ -nNxX ] file program [ arg ... ]\n"},
		{&Setlock, "-nq lock prog", 100, "setlock: illegal option -- q\nsetlock: usage: setlock [ -nNxX ] file program [ arg ... ]\n"},
		{&Pgrphack, "", 100, "pgrphack: usage: pgrphack child\n"},
		{&Fghack, "", 100, "fghack: usage: fghack child\n"},
	} {
		r := proctest.Run(c.p, proctest.Case{Args: strings.Fields(c.args)})
		if r.Status != c.status || r.Err != c.err || r.Next != nil {
			t.Errorf("%s %s: %+v, want %d %q", c.p.Name, c.args, r, c.status, c.err)
		}
	}
}

// The order of the environment is that of the C programs (pathexec_env.c): the
// last variable moves to the place of a removed one.
func TestOrderOfVariables(t *testing.T) {
	for _, c := range []struct {
		vars proc.Vars
		want proc.Vars
	}{
		{nil, proc.Vars{"GID=0", "UID=0"}},
		{proc.Vars{"A=1", "B=2"}, proc.Vars{"A=1", "B=2", "GID=0", "UID=0"}},
		{proc.Vars{"GID=1", "A=1", "B=2"}, proc.Vars{"B=2", "A=1", "GID=0", "UID=0"}},
		{proc.Vars{"A=1", "UID=1", "B=2", "GID=1"}, proc.Vars{"A=1", "GID=0", "B=2", "UID=0"}},
		{proc.Vars{"UID=1", "A=1", "UID=2"}, proc.Vars{"GID=0", "A=1", "UID=0"}}, // no value stays behind
	} {
		r := proctest.Run(&Envuidgid, proctest.Case{Args: []string{"root", "prog"}, Vars: c.vars})
		if r.Status != 0 || !slices.Equal(r.Vars, c.want) {
			t.Errorf("%q: %+v, want %q", c.vars, r, c.want)
		}
	}
}

func TestSetlock(t *testing.T) {
	dir := t.TempDir()
	held, err := unix.Open(dir+"/held", unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(held)
	if err := unix.Flock(held, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	const busy = "setlock: fatal: unable to lock held: temporary failure\n"
	const none = "setlock: fatal: unable to open none/lock: file does not exist\n"
	for _, c := range []struct {
		args   string
		status int
		err    string
		runs   bool
	}{
		{"free prog -n", 0, "", true},
		{"-n free prog -n", 0, "", true},
		{"-xnXN -- free prog -n", 0, "", true},
		{"-n held prog", 111, busy, false},
		{"-nx held prog", 0, "", false},
		{"-xXn held prog", 111, busy, false},
		{"none/lock prog", 111, none, false},
		{"-x none/lock prog", 0, "", false},
	} {
		r := proctest.Run(&Setlock, proctest.Case{Dir: dir, Args: strings.Fields(c.args)})
		if r.Status != c.status || r.Err != c.err || (r.Next != nil) != c.runs {
			t.Errorf("%s: %+v", c.args, r)
		}
		if c.runs && !slices.Equal(r.Next, []string{"prog", "-n"}) {
			t.Errorf("%s: %q", c.args, r.Next)
		}
	}
	// A program that cannot be run leaves no lock behind in this process.
	gone := strerr.Unable("run", "prog", unix.ENOENT)
	r := proctest.Run(&Setlock, proctest.Case{Dir: dir, Args: []string{"free", "prog"}, Next: gone})
	if want := "setlock: fatal: unable to run prog: file does not exist\n"; r.Status != 111 || r.Err != want {
		t.Errorf("%+v, want %q", r, want)
	}
}

// A complaint about an option begins with the name that the program was called by
// (sgetopt.c).
func TestNameOfTheCaller(t *testing.T) {
	for argv0, name := range map[string]string{"/usr/bin/my-lock": "my-lock", "": "", "bin/": ""} {
		var errs proctest.Buffer
		env := &proc.Env{Args: []string{argv0, "-q"}}
		env.Files[2] = &errs
		status := proc.Run(t.Context(), &Setlock, env)
		want := name + ": illegal option -- q\nsetlock: usage: setlock [ -nNxX ] file program [ arg ... ]\n"
		if status != 100 || errs.String() != want {
			t.Errorf("%q: status %d, %q", argv0, status, errs.String())
		}
	}
}
