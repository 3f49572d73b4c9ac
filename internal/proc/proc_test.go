package proc_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

func program(run func(*proc.Env) error) *proc.Program {
	return &proc.Program{Name: "prog", Usage: "[ -x ] dir", Run: func(_ context.Context, env *proc.Env) error { return run(env) }}
}

func TestHowProgramsEnd(t *testing.T) {
	broken := errors.New("unable to do it: broken")
	for _, c := range []struct {
		name   string
		err    error
		status int
		said   string
	}{
		{"success", nil, 0, ""},
		{"an error", broken, 111, "prog: fatal: unable to do it: broken\n"},
		{"for good", proc.Permanent(broken), 100, "prog: fatal: unable to do it: broken\n"},
		{"for now", proc.Temporary(broken), 111, "prog: fatal: unable to do it: broken\n"},
		{"verbatim", proc.Verbatim(99, "Sorry. (#5.0.0)"), 99, "Sorry. (#5.0.0)\n"},
		{"silent", proc.Exit(3), 3, ""},
		{"usage", proc.ErrUsage, 100, "prog: usage: prog [ -x ] dir\n"},
		{"a wrapped exit", errors.Join(broken, proc.Exit(3)), 3, ""},
		{"wrapped for good", errors.Join(proc.Permanent(broken)), 100, "prog: fatal: unable to do it: broken\n"},
		{"a status of its own", &proc.Failure{Status: 1, Err: broken}, 1, "prog: fatal: unable to do it: broken\n"},
	} {
		r := proctest.Run(program(func(*proc.Env) error { return c.err }), proctest.Case{})
		if r.Status != c.status || r.Err != c.said || r.Out != "" {
			t.Errorf("%s: status %d, %q", c.name, r.Status, r.Err)
		}
	}
}

func TestUsage(t *testing.T) {
	run := func(context.Context, *proc.Env) error { return proc.ErrUsage }
	for _, c := range []struct {
		p      proc.Program
		status int
		said   string
	}{
		{proc.Program{Name: "p", Run: run}, 100, "p: usage: p\n"},
		{proc.Program{Name: "p", Usage: "x", UsageStatus: 111, Run: run}, 111, "p: usage: p x\n"},
	} {
		if r := proctest.Run(&c.p, proctest.Case{}); r.Status != c.status || r.Err != c.said {
			t.Errorf("status %d, %q", r.Status, r.Err)
		}
	}
}

// A panic is never success, and nothing of it reaches the client on
// descriptor 1.
func TestPanic(t *testing.T) {
	r := proctest.Run(program(func(*proc.Env) error { panic("what") }), proctest.Case{})
	if r.Status != 111 || r.Out != "" || !strings.HasPrefix(r.Err, "prog: fatal: internal error: what\n") {
		t.Errorf("status %d, %q, %q", r.Status, r.Out, r.Err)
	}
}

func TestSayAndWarn(t *testing.T) {
	r := proctest.Run(program(func(env *proc.Env) error {
		env.Say("hello")
		env.Warn(errors.New("unable to see"))
		return nil
	}), proctest.Case{})
	if r.Status != 0 || r.Err != "prog: hello\nprog: warning: unable to see\n" {
		t.Errorf("status %d, %q", r.Status, r.Err)
	}
}

// What a program gets: never a nil descriptor.
func TestDescriptorsThatAreNotOpen(t *testing.T) {
	proctest.Run(program(func(env *proc.Env) error {
		for i := 3; i < len(env.Files); i++ {
			f := env.Files[i]
			if _, err := f.Read(make([]byte, 1)); err != syscall.EBADF {
				t.Errorf("read %d: %v", i, err)
			}
			if _, err := f.Write([]byte("x")); err != syscall.EBADF {
				t.Errorf("write %d: %v", i, err)
			}
			if err := f.Close(); err != syscall.EBADF {
				t.Errorf("close %d: %v", i, err)
			}
			if f.SetReadDeadline(time.Now()) != nil || f.SetWriteDeadline(time.Now()) != nil {
				t.Errorf("deadlines of %d", i)
			}
			if n, ok := proc.Descriptor(f); ok {
				t.Errorf("%d has the number %d", i, n)
			}
		}
		return nil
	}), proctest.Case{})
}

func TestNext(t *testing.T) {
	r := proctest.Run(program(func(env *proc.Env) error {
		env.Vars.Set("A", "2")
		return env.Next(context.Background(), env, []string{"child", "x"})
	}), proctest.Case{Vars: proc.Vars{"A=1", "B=1"}})
	if r.Status != 0 || !slices.Equal(r.Next, []string{"child", "x"}) || !slices.Equal(r.Vars, proc.Vars{"B=1", "A=2"}) {
		t.Errorf("%+v", r)
	}
	r = proctest.Run(program(func(env *proc.Env) error {
		return env.Next(context.Background(), env, []string{"child"})
	}), proctest.Case{Next: errors.New("unable to run child: file does not exist")})
	if r.Status != 111 || r.Err != "prog: fatal: unable to run child: file does not exist\n" {
		t.Errorf("%+v", r)
	}
}

func TestVars(t *testing.T) {
	v := proc.Vars{"A=1", "EMPTY=", "A=2", "AB=3", "NOTHING", "=x", "C=a=b"}
	for name, want := range map[string]string{"A": "1", "EMPTY": "", "AB": "3", "C": "a=b", "": "x"} {
		if got, ok := v.Get(name); got != want || !ok {
			t.Errorf("%q: %q, %v", name, got, ok)
		}
		if got := v.Value(name); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
	for _, name := range []string{"B", "NOTHING", "EMPT", "a"} {
		if got, ok := v.Get(name); got != "" || ok {
			t.Errorf("%q: %q, %v", name, got, ok)
		}
	}
	c := v.Clone()
	c.Set("A", "9")
	c.Set("NEW", "")
	c.Unset("AB")
	if want := (proc.Vars{"EMPTY=", "NOTHING", "=x", "C=a=b", "A=9", "NEW="}); !slices.Equal(c, want) {
		t.Errorf("%q, want %q", c, want)
	}
	if v.Value("A") != "1" || v.Value("AB") != "3" {
		t.Errorf("the original changed: %q", v)
	}
	var none proc.Vars
	none.Unset("A")
	if none.Set("A", "1"); none.Value("A") != "1" {
		t.Errorf("%q", none)
	}
}

func TestSearchPath(t *testing.T) {
	const enoent, eacces, eio = syscall.ENOENT, syscall.EACCES, syscall.EIO
	for _, c := range []struct {
		name  string
		vars  proc.Vars
		argv0 string
		errs  map[string]error // nil: it runs; absent: ENOENT
		tried string
		want  error
	}{
		{"a name with a slash", proc.Vars{"PATH=/x"}, "./a", nil, "./a", enoent},
		{"no PATH", nil, "a", nil, "/bin/a|/usr/bin/a", enoent},
		{"an empty PATH is here", proc.Vars{"PATH="}, "a", nil, "./a", enoent},
		{"empty elements are here", proc.Vars{"PATH=:/x:"}, "a", nil, "./a|/x/a|./a", enoent},
		{"the first that runs", proc.Vars{"PATH=/x:/y:/z"}, "a", map[string]error{"/y/a": nil}, "/x/a|/y/a", nil},
		{"past one that may not be run", proc.Vars{"PATH=/x:/y"}, "a", map[string]error{"/x/a": eacces, "/y/a": nil}, "/x/a|/y/a", nil},
		{"and it is remembered", proc.Vars{"PATH=/x:/y"}, "a", map[string]error{"/x/a": eacces}, "/x/a|/y/a", eacces},
		{"a directory", proc.Vars{"PATH=/x:/y"}, "a", map[string]error{"/x/a": syscall.EISDIR}, "/x/a|/y/a", syscall.EISDIR},
		{"not a directory", proc.Vars{"PATH=/x:/y"}, "a", map[string]error{"/x/a": syscall.ENOTDIR}, "/x/a|/y/a", enoent},
		{"anything else ends the search", proc.Vars{"PATH=/x:/y"}, "a", map[string]error{"/x/a": eio}, "/x/a", eio},
	} {
		var tried []string
		err := proc.SearchPath(c.vars, c.argv0, func(file string) error {
			tried = append(tried, file)
			if err, ok := c.errs[file]; ok {
				return err
			}
			return enoent
		})
		if err != c.want || strings.Join(tried, "|") != c.tried {
			t.Errorf("%s: %q, %v", c.name, tried, err)
		}
	}
}
