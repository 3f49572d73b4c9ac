package limit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
)

const tool = "/x y/softlimit" // a path may have blanks in it

func TestHandOn(t *testing.T) {
	for _, c := range []struct {
		vars proc.Vars
		l    Limits
		want proc.Vars
	}{
		{proc.Vars{"A=1"}, nil, proc.Vars{"A=1"}},
		{
			proc.Vars{"A=1"}, Limits{{unix.RLIMIT_DATA, 2000000}, {unix.RLIMIT_AS, 3000000}},
			proc.Vars{"A=1", Variable + "=as=3000000 data=2000000 " + tool, "GOMEMLIMIT=67108864"},
		},
		{
			nil, Limits{{unix.RLIMIT_AS, 100 << 20}, {unix.RLIMIT_DATA, 90 << 20}},
			proc.Vars{Variable + "=as=104857600 data=94371840 " + tool, "GOMEMLIMIT=94371840"},
		},
		{ // no memory, no GOMEMLIMIT
			nil, Limits{{unix.RLIMIT_STACK, 1}, {unix.RLIMIT_NPROC, 0}},
			proc.Vars{Variable + "=nproc=0 stack=1 " + tool},
		},
		{ // without bound there is none
			nil, Limits{{unix.RLIMIT_AS, ^uint64(0)}},
			proc.Vars{Variable + "=as=18446744073709551615 " + tool},
		},
		{ // the administrator's own stays
			proc.Vars{"GOMEMLIMIT=5GiB"}, Limits{{unix.RLIMIT_AS, 1}},
			proc.Vars{"GOMEMLIMIT=5GiB", Variable + "=as=1 " + tool},
		},
		{ // what an earlier softlimit said is replaced, its GOMEMLIMIT too
			proc.Vars{Variable + "=as=1 /a", "GOMEMLIMIT=67108864"}, Limits{{unix.RLIMIT_AS, 200 << 20}},
			proc.Vars{Variable + "=as=209715200 " + tool, "GOMEMLIMIT=209715200"},
		},
	} {
		vars := c.vars.Clone()
		c.l.HandOn(&vars, tool)
		if !slices.Equal(vars, c.want) {
			t.Errorf("%v in %q: %q, want %q", c.l, c.vars, vars, c.want)
		}
		back, by := Handed(vars)
		if len(c.l) > 0 && (by != tool || len(back) != len(c.l)) {
			t.Errorf("%q reads as %v, %q", vars, back, by)
		}
	}
}

func TestHandedNonsense(t *testing.T) {
	for _, text := range []string{"", " ", "as=1", "as=1 ", "as=1 softlimit", "as /softlimit", "as= /softlimit",
		"as=-1 /softlimit", "as=18446744073709551616 /softlimit", "pizza=1 /softlimit", "as=1  /softlimit"} {
		if l, by := Handed(proc.Vars{Variable + "=" + text}); l != nil || by != "" {
			t.Errorf("%q: %v, %q", text, l, by)
		}
	}
}

func FuzzHanded(f *testing.F) {
	f.Add("as=2000000 data=2000000 /usr/local/bin/softlimit")
	f.Fuzz(func(t *testing.T, text string) {
		vars := proc.Vars{Variable + "=" + text}
		l, by := Handed(vars)
		if len(l) == 0 {
			return
		}
		l.HandOn(&vars, by)
		again, by2 := Handed(vars)
		if by2 != by || len(again) != len(l) {
			t.Fatalf("%q: %v by %q came back as %v by %q", text, l, by, again, by2)
		}
		for _, limit := range l {
			if !slices.Contains(again, limit) {
				t.Errorf("%q: lost %v", text, limit)
			}
		}
	})
}

// programs makes a directory with a foreign program, a script, two Go programs
// and what is no program at all.
func programs(t *testing.T) (dir string) {
	dir = t.TempDir()
	copyFile := func(from, to string) {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable() // a test binary is of this module
	if err != nil {
		t.Fatal(err)
	}
	copyFile("/bin/sh", "foreign")
	copyFile(self, "own")
	for name, text := range map[string]string{
		"go.mod":  "module other\n",
		"main.go": "package main\n\nfunc main() {}\n",
		"script":  "#!/bin/sh\n",
		"empty":   "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", "go", ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	os.Chmod(filepath.Join(dir, "main.go"), 0o644)
	os.Mkdir(filepath.Join(dir, "directory"), 0o755)
	return dir
}

func TestKindOf(t *testing.T) {
	dir := programs(t)
	for name, want := range map[string]Kind{"foreign": Foreign, "script": Foreign, "empty": Foreign, "go": Go, "own": Own} {
		if got, err := KindOf(dir + "/" + name); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", name, got, err, want)
		}
	}
	for name, want := range map[string]error{"main.go": unix.EACCES, "directory": unix.EACCES, "absent": unix.ENOENT} {
		if _, err := KindOf(dir + "/" + name); err != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

func TestKindOfUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := programs(t)
	os.Chmod(dir+"/go", 0o111)
	if got, err := KindOf(dir + "/go"); err != nil || got != Own {
		t.Errorf("%v, %v; want to be careful", got, err)
	}
}

func TestForChild(t *testing.T) {
	dir := programs(t)
	vars := proc.Vars{"PATH=/nowhere:" + dir, Variable + "=as=2000000 " + tool}
	for _, c := range []struct {
		in   string // the directory
		argv []string
		soft bool
	}{
		{"", []string{dir + "/foreign", "-c", "true"}, true},
		{dir, []string{"./foreign", "-c", "true"}, true},
		{dir + "/directory", []string{"../script"}, true},
		{"", []string{dir + "/go", "x"}, false},
		{"", []string{dir + "/own", "foreign"}, false},
		{dir, []string{"./own"}, false},
		{"", []string{dir + "/foreign", "0", "smtp", "own"}, false},
		{"", []string{dir + "/foreign", dir + "/own"}, false},
		{dir, []string{"./foreign", "./own"}, false},
		{"", []string{dir + "/foreign", "go"}, true}, // another's Go program may be any word
		{"", []string{dir + "/foreign", "-own", "script"}, true},
		{"", []string{dir + "/absent", "x"}, false}, // the caller gets its own error
		{"", []string{dir + "/main.go"}, false},
	} {
		file, argv := ForChild(vars, c.in, c.argv[0], c.argv, true)
		wantFile, wantArgv := c.argv[0], c.argv
		if c.soft {
			wantFile = tool
			wantArgv = slices.Concat([]string{Helper, "--"}, c.argv)
		}
		if file != wantFile || !slices.Equal(argv, wantArgv) {
			t.Errorf("%q in %q: %s %q", c.argv, c.in, file, argv)
		}
		file, argv = ForChild(vars[:1], c.in, c.argv[0], c.argv, true)
		if file != c.argv[0] || !slices.Equal(argv, c.argv) {
			t.Errorf("%q without limits: %s %q", c.argv, file, argv)
		}
	}
}

// The words of a qmail-local or qmail-remote are a stranger's: a sender may be
// called like one of our programs.
func TestForChildOfStrangers(t *testing.T) {
	dir := programs(t)
	vars := proc.Vars{"PATH=" + dir, Variable + "=as=2000000 " + tool}
	argv := []string{dir + "/foreign", "example.org", "own", dir + "/own", "./own"}
	if file, _ := ForChild(vars, dir, argv[0], argv, false); file != tool {
		t.Errorf("%q runs without limits", argv)
	}
	for _, word := range argv[2:] {
		if file, _ := ForChild(vars, dir, argv[0], []string{"foreign", word}, true); file != argv[0] {
			t.Errorf("a chain with %q gets limits", word)
		}
	}
	// The file itself counts for everybody.
	if file, _ := ForChild(vars, dir, dir+"/own", []string{"own", "x"}, false); file != dir+"/own" {
		t.Error("one of our programs gets limits that it does not survive")
	}
}

// Exec is seen from outside: this test becomes another program.
func TestExec(t *testing.T) {
	// So much that the race detector, which allocates whenever it likes,
	// survives the moment between the limit and the new program.
	const data = 1 << 46
	const processes = 1 << 20
	if os.Getenv("LIMIT_TEST_EXEC") != "" {
		argv := strings.Split(os.Getenv("LIMIT_TEST_EXEC"), "\n")
		vars := proc.Vars{"LC_ALL=C", "LIMIT_TEST_SHOW=1"}
		Limits{{unix.RLIMIT_DATA, data}, {unix.RLIMIT_CORE, 4096}, {unix.RLIMIT_NPROC, processes}}.HandOn(&vars, tool)
		t.Fatal(Exec(argv[0], argv, os.Getenv("LIMIT_TEST_CHAIN") != "", vars))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const show = "/bin/sh\n-c\necho $(ulimit -S -d) $(ulimit -S -c) $GOMEMLIMIT $" + Variable
	limited := fmt.Sprint(uint64(data/1024), " 8\n")
	now, err := exec.Command("/bin/sh", "-c", "ulimit -S -d").Output()
	if err != nil {
		t.Fatal(err)
	}
	spared := fmt.Sprint(strings.TrimSpace(string(now)), " 8 ", uint64(data), " data=", uint64(data), " nproc=", processes, " ", tool, "\n")
	for _, c := range []struct {
		argv  string
		chain string
		want  string
	}{
		{show, "", limited}, // all limits, and no trace in the environment
		{show, "yes", limited},
		{show + "\nsh\n" + self, "yes", spared},
		{show + "\nsh\n" + self, "", limited}, // the word is a stranger's
		{ // a Go program gets what it survives
			self + "\n-test.run=TestShow", "",
			fmt.Sprint("data as before, core 4096 ", Variable, "=data=", uint64(data), " nproc=", processes, " ", tool, " GOMEMLIMIT=", uint64(data), "\n"),
		},
	} {
		cmd := exec.Command(self, "-test.run=TestExec$")
		cmd.Env = []string{"LIMIT_TEST_EXEC=" + c.argv, "LIMIT_TEST_CHAIN=" + c.chain}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), c.want) {
			t.Errorf("%q: %q, %v; want %q", c.argv, out, err, c.want)
		}
	}
}

func TestShow(t *testing.T) {
	if os.Getenv("LIMIT_TEST_SHOW") == "" {
		t.Skip("only of use to TestExec")
	}
	var data, core unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_DATA, &data)
	unix.Getrlimit(unix.RLIMIT_CORE, &core)
	text := "data as before,"
	if data.Cur == 200<<20 {
		text = "data limited,"
	}
	if core.Cur == 4096 {
		text += " core 4096"
	}
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "GOMEMLIMIT=") || strings.HasPrefix(v, Variable+"=") {
			text += " " + v
		}
	}
	os.Stdout.WriteString(text + "\n")
}

// Who could not become another program has its own limits again, and can go on.
func TestExecFails(t *testing.T) {
	file := t.TempDir() + "/garbage"
	if err := os.WriteFile(file, []byte("no program\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	resources := []int{unix.RLIMIT_AS, unix.RLIMIT_DATA, unix.RLIMIT_FSIZE}
	before := make([]unix.Rlimit, len(resources))
	var l Limits
	for i, r := range resources {
		unix.Getrlimit(r, &before[i])
		l = append(l, Limit{r, min(1<<46, before[i].Max)})
	}
	var vars proc.Vars
	l.HandOn(&vars, tool)
	if err := Exec(file, []string{file}, false, vars); err != unix.ENOEXEC {
		t.Errorf("%v, want %v", err, unix.ENOEXEC)
	}
	for i, r := range resources {
		var now unix.Rlimit
		if unix.Getrlimit(r, &now); now != before[i] {
			t.Errorf("limit %d is %v, was %v", r, now, before[i])
		}
	}
}
