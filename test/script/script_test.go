// Package script runs test/script/*.txt: real programs, exact exit statuses.
//
// Every program of PROGRAMS is on $PATH. Beside testscript's own commands:
//
//	status N program argument…    runs a program, which must end with status N;
//	                              "stdin FILE" before it gives it an input
//	dns ZONE                      starts a name server, see dns_test.go; a
//	                              script that is also for C begins with
//	                              "[!dns] skip": C asks port 53 alone
//	ident USER                    starts an ident server, see ident_test.go;
//	                              "[!ident] skip" where port 113 is for root
//
// $NOBODY is a port on which nobody listens.
//
// A script whose first line is "# also: C" runs a second time with the C
// programs of Debian's daemontools and ucspi-tcp on $PATH, and must come to the
// same results.
package script

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"paperpath/test/bin"
)

func TestMain(m *testing.M) { bin.Main(m) }

func TestPaperpath(t *testing.T) {
	run(t, scripts(t, ""), bin.Dir(t)+":/usr/bin:/bin", false)
}

func TestC(t *testing.T) {
	for _, program := range []string{"svok", "tcprules"} {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Skipf("the C programs are not installed: %v", err)
		}
		if data, err := os.ReadFile(path); err != nil || bytes.Contains(data, []byte(".go.buildinfo")) {
			t.Skipf("%s is not the C program", path)
		}
	}
	run(t, scripts(t, "# also: C\n"), "/usr/bin:/bin", true)
}

// scripts lists the script files that begin with head.
func scripts(t *testing.T, head string) (files []string) {
	all, err := filepath.Glob("*.txt")
	if err != nil || len(all) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range all {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(text), head) {
			files = append(files, file)
		}
	}
	return files
}

func run(t *testing.T, files []string, path string, c bool) {
	testscript.Run(t, testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", path)
			env.Setenv("LC_ALL", "C")
			return reserve(env)
		},
		Condition: condition(c),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status,
			"dns":    serveDNS(c),
			"ident":  serveIdent,
		},
	})
}

// reserve sets $NOBODY to a port on which nobody listens as long as the script
// runs: it is bound, and nothing more.
func reserve(env *testscript.Env) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	env.Defer(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{}); err != nil {
		return err
	}
	name, err := unix.Getsockname(fd)
	if err == nil {
		env.Setenv("NOBODY", strconv.Itoa(name.(*unix.SockaddrInet4).Port))
	}
	return err
}

func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N program [argument…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case err == nil:
		if want != 0 {
			ts.Fatalf("%s: status 0, want %d", args[1], want)
		}
	case !errors.As(err, &exit):
		ts.Fatalf("%s: %v", args[1], err)
	case exit.ExitCode() != want:
		ts.Fatalf("%s: %v, want status %d", args[1], err, want)
	}
}
