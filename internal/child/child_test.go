package child

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
)

// output runs c with descriptor 1 on a pipe and returns what it says and how
// it ends.
func output(t *testing.T, c *Command) (string, Status) {
	t.Helper()
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if c.Files == nil {
		c.Files = []int{-1, 0, 2}
	}
	c.Files[1] = int(w.Fd())
	p, err := Start(c)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	status, err := p.Wait()
	if err != nil {
		t.Error(err)
	}
	return string(out), status
}

func sh(script string, args ...string) []string {
	return append([]string{"/bin/sh", "-c", script, "sh"}, args...)
}

func TestExitStatus(t *testing.T) {
	for want := range 4 {
		_, s := output(t, &Command{Argv: sh("exit $1", strconv.Itoa(want))})
		if s.Crashed() || s.Code() != want || int(s) != want<<8 {
			t.Errorf("exit %d: crashed %v, %d, raw %d", want, s.Crashed(), s.Code(), int(s))
		}
	}
	_, s := output(t, &Command{Argv: sh("kill -9 $$")})
	if !s.Crashed() || int(s)&127 != 9 {
		t.Errorf("killed: crashed %v, raw %d", s.Crashed(), int(s))
	}
}

// A child has its caller's environment and directory only if they are given.
func TestEnvironmentAndDirectory(t *testing.T) {
	t.Setenv("PAPERPATH_TEST", "inherited")
	dir := t.TempDir()
	out, _ := output(t, &Command{Argv: sh("pwd -P; echo $A,$PAPERPATH_TEST"), Vars: proc.Vars{"A=1"}, Dir: dir})
	resolved, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	if out != resolved+"\n1,\n" {
		t.Errorf("%q", out)
	}
	if out, _ := output(t, &Command{Argv: sh("echo $PAPERPATH_TEST")}); out != "\n" {
		t.Errorf("no variables: %q", out)
	}
}

// The numbers 0 to 7 arrive as they were ordered, whatever numbers they had
// here, and -1 leaves one closed.
func TestDescriptors(t *testing.T) {
	var files []int
	var readers []*sys.FD
	for range 8 {
		r, w, err := sys.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		readers, files = append(readers, r), append(files, int(w.Fd()))
	}
	// Crossed: descriptor i of the child is pipe 7-i, so that some number is in
	// the way of another.
	order := make([]int, 8)
	for i := range order {
		order[i] = files[7-i]
	}
	order[3] = -1
	p, err := Start(&Command{
		Argv:  sh("for i in 0 1 2 4 5 6 7; do eval \"echo $i >&$i\"; done; test ! -e /proc/$$/fd/3"),
		Vars:  proc.Vars{"PATH=/bin:/usr/bin"},
		Files: order,
	})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := p.Wait(); err != nil || s.Code() != 0 {
		t.Errorf("status %d (1: descriptor 3 is open), %v", s.Code(), err)
	}
	for i := range order {
		r := readers[7-i]
		want := strconv.Itoa(i) + "\n"
		if i == 3 {
			continue
		}
		r.SetReadDeadline(time.Now().Add(20 * time.Second))
		b := make([]byte, 10)
		if n, err := r.Read(b); string(b[:n]) != want {
			t.Errorf("descriptor %d: %q, %v", i, b[:n], err)
		}
	}
}

// What this house opens is not inherited.
func TestOtherDescriptors(t *testing.T) {
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	pipe, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(r.Fd())))
	if err != nil {
		t.Fatal(err)
	}
	out, s := output(t, &Command{Argv: sh("ls -l /proc/$$/fd"), Vars: proc.Vars{"PATH=/bin:/usr/bin"}})
	if s.Code() != 0 || out == "" || strings.Contains(out, pipe) {
		t.Errorf("status %d, %s among\n%s", s.Code(), pipe, out)
	}
}

func TestMissingPrograms(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/plain", []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/garbage", []byte("\x01\x02"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		c    Command
		want error
	}{
		{Command{Argv: []string{dir + "/none"}}, syscall.ENOENT},
		{Command{Argv: []string{"none"}, Vars: proc.Vars{"PATH=" + dir}}, syscall.ENOENT},
		{Command{Argv: []string{dir + "/plain"}}, syscall.EACCES},
		{Command{Argv: []string{"plain"}, Vars: proc.Vars{"PATH=" + dir + ":/bin"}}, syscall.EACCES},
		{Command{Argv: []string{dir}}, syscall.EACCES},
		{Command{Argv: []string{dir + "/garbage"}}, syscall.ENOEXEC},
		{Command{Argv: []string{"x"}, Path: dir + "/none"}, syscall.ENOENT},
		{Command{Argv: sh("exit 0"), Dir: dir + "/none"}, syscall.ENOENT},
	} {
		c.c.Files = []int{0, 1, 2}
		if p, err := Start(&c.c); err != c.want {
			t.Errorf("%q: %v, %v", c.c.Argv, p, err)
		}
	}
}

// Path is the file; Argv[0] is only what the program is told.
func TestPath(t *testing.T) {
	out, _ := output(t, &Command{Path: "/bin/sh", Argv: []string{"some-name", "-c", "echo $0"}})
	if out != "some-name\n" {
		t.Errorf("%q", out)
	}
	out, _ = output(t, &Command{Argv: []string{"sh", "-c", "echo $0"}, Vars: proc.Vars{"PATH=/no:/bin"}})
	if out != "sh\n" {
		t.Errorf("found along PATH: %q", out)
	}
}

func TestSignal(t *testing.T) {
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p, err := Start(&Command{Argv: []string{"/bin/cat"}, Files: []int{int(r.Fd()), 1, 2}})
	r.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, ended, err := p.Ended(); ended || err != nil {
		t.Errorf("ended %v, %v", ended, err)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if s, err := p.Wait(); err != nil || !s.Crashed() || int(s)&127 != int(syscall.SIGTERM) {
		t.Errorf("raw %d, %v", int(s), err)
	}
	if _, err := p.Wait(); err != syscall.ECHILD {
		t.Errorf("a second Wait: %v", err)
	}
}

func TestExhausted(t *testing.T) {
	for _, err := range []error{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE} {
		if !Exhausted(err) {
			t.Errorf("%v: not exhausted", err)
		}
	}
	for _, err := range []error{nil, syscall.ENOENT, syscall.EACCES, syscall.ENOEXEC} {
		if Exhausted(err) {
			t.Errorf("%v: exhausted", err)
		}
	}
}

// A script without "#!" is for the shell if that is asked for, and cannot be
// executed if not.
func TestScript(t *testing.T) {
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte("echo \"$0 $1\"\nexit 7\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	out, status := output(t, &Command{Argv: []string{file, "a b"}, Script: true})
	if out != file+" a b\n" || status.Code() != 7 {
		t.Errorf("%q, status %d", out, status.Code())
	}
	if _, err := Start(&Command{Argv: []string{file}}); err != syscall.ENOEXEC {
		t.Errorf("%v", err)
	}
}
