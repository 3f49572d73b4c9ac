package boot

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/proc/proctest"
	"paperpath/test/bin"
)

func TestMain(m *testing.M) { bin.Main(m) }

func TestReadproctitleWithoutRoom(t *testing.T) {
	for _, args := range [][]string{nil, {""}, {"four"}, {"..........", "four"}} {
		if r := proctest.Run(&Readproctitle, proctest.Case{Args: args, In: "text"}); r.Status != 100 || r.Out+r.Err != "" {
			t.Errorf("%q: %+v", args, r)
		}
	}
	if r := proctest.Run(&Readproctitle, proctest.Case{Args: []string{"....."}, In: "text"}); r.Status != 0 || r.Out+r.Err != "" {
		t.Errorf("%+v", r)
	}
}

// scroll has the same result as shifting byte by byte.
func TestScroll(t *testing.T) {
	for size := 2; size < 9; size++ {
		for length := range 20 {
			text := []byte("abcdefghijklmnopqrst")[:length]
			got, want := bytes.Repeat([]byte("."), size), bytes.Repeat([]byte("."), size)
			scroll(got, text)
			for _, c := range text {
				copy(want, want[1:])
				want[size-1] = c
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s into %d: %s, want %s", text, size, got, want)
			}
		}
	}
}

// within polls until ok is true.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s does not happen", what)
		}
	}
}

// arguments returns what ps(1) shows of a process.
func arguments(pid int) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}

func TestReadproctitleInPs(t *testing.T) {
	cmd := exec.Command(filepath.Join(bin.Dir(t), "readproctitle"), "service", "errors:", strings.Repeat("x", 12))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	for _, c := range []struct{ text, want string }{
		{"", "........."},
		{"one", "......one"},
		{"\x00, \x00two\n", "one, two\n"},
		{"and a long line\nend", " line\nend"},
		{strings.Repeat("y", 70000) + "z", "yyyyyyyyz"},
	} {
		if _, err := io.WriteString(in, c.text); err != nil {
			t.Fatal(err)
		}
		within(t, fmt.Sprintf("%q", c.want), func() bool {
			return strings.Join(arguments(cmd.Process.Pid)[1:], " ") == "service errors: ..."+c.want
		})
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// programs makes a directory with svscanboot, readproctitle, and scripts named
// svscan and svc.
func programs(t *testing.T, svscan, svc string) string {
	dir := t.TempDir()
	for _, name := range []string{"svscanboot", "readproctitle"} {
		if err := os.Symlink(filepath.Join(bin.Dir(t), name), dir+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"svscan": svscan, "svc": svc} {
		if err := os.WriteFile(dir+"/"+name, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSvscanboot(t *testing.T) {
	dir := programs(t,
		`exec >&2; echo "$0 $*: $(env | sort | tr '\n' ' ')" >"$1/.svscan"; echo oh dear
trap 'echo got TERM; exit 7' TERM
trap 'echo got HUP' HUP
echo ready >"$1/.ready"
while :; do sleep 1 & wait $!; done`,
		`echo "$*" >"${2%/*}/.svc"`)
	services := t.TempDir()
	for _, name := range []string{"b", "a/log", ".hidden/log"} {
		if err := os.MkdirAll(services+"/"+name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(dir+"/svscanboot", services+"/")
	cmd.Env = []string{"PATH=/nowhere", "SECRET=1"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer cmd.Process.Kill()

	read := func(name string) string { text, _ := os.ReadFile(services + "/" + name); return string(text) }
	within(t, "svscan", func() bool { return read(".ready") == "ready\n" })
	if got, want := read(".svc"), strings.ReplaceAll("-dx S/a S/b S/a/log\n", "S", services); got != want {
		t.Errorf("svc %q, want %q", got, want)
	}
	// Nothing of the caller's environment reaches the services. (sh sets PWD itself.)
	want := fmt.Sprintf("%s/svscan %s: PATH=%s:%s ", dir, services, dir, searched)
	if got := read(".svscan"); !strings.HasPrefix(got, want) || strings.Contains(got, "SECRET") {
		t.Errorf("%q, want %q", got, want)
	}
	for fd := range 3 {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", cmd.Process.Pid, fd)); to != "/dev/null" {
			t.Errorf("descriptor %d is %s, %v", fd, to, err)
		}
	}
	title := func() string {
		all, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, name := range all {
			var pid, parent int
			var state string
			text, _ := os.ReadFile(name)
			head, rest, _ := strings.Cut(string(text), ")")
			fmt.Sscanf(head, "%d", &pid)
			fmt.Sscanf(rest, "%s %d", &state, &parent)
			args := arguments(pid)
			if parent == cmd.Process.Pid && args[0] == "readproctitle" && len(args) == 4 && len(args[3]) == window {
				return strings.Join(args, " ")
			}
		}
		return ""
	}
	within(t, "the error in ps", func() bool {
		s := title()
		return strings.HasPrefix(s, "readproctitle service errors: ....") && strings.HasSuffix(s, "..oh dear\n")
	})
	cmd.Process.Signal(syscall.SIGHUP)
	within(t, "HUP for svscan", func() bool { return strings.HasSuffix(title(), "got HUP\n") })
	cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 7 {
			t.Errorf("%v, want the status of svscan", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("svscanboot stays when svscan has gone")
	}
}

func TestSvscanbootEnds(t *testing.T) {
	for svscan, status := range map[string]int{"exit 0": 0, "exit 111": 111, "kill -9 $$": 111} {
		dir := programs(t, svscan, "")
		cmd := exec.Command(dir+"/svscanboot", t.TempDir())
		err := cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != status {
			t.Errorf("%s: %v, want %d", svscan, err, status)
		}
	}
}

func TestDirectory(t *testing.T) {
	for arg, want := range map[string]string{"/etc/service/": "/etc/service", "/": "/", "x": "x", "//": "//"} {
		if got := directory([]string{arg}); got != want {
			t.Errorf("%s: %s, want %s", arg, got, want)
		}
	}
}

func TestSearchPath(t *testing.T) {
	for argv0, want := range map[string]string{
		"/command/svscanboot":         searched,
		"/usr/bin/svscanboot":         searched,
		"/opt/paperpath/svscanboot":   "/opt/paperpath:" + searched,
		"/opt/paperpath/./svscanboot": "/opt/paperpath:" + searched,
	} {
		if got := searchPath(argv0); got != want {
			t.Errorf("%s: %s, want %s", argv0, got, want)
		}
	}
}
