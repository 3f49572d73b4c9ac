package svscan

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/service"
	"paperpath/test/bin"
)

func TestMain(m *testing.M) {
	// Orphans of killed programs become children of the test, which can then
	// see to it that none is left.
	unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	bin.Main(m)
}

// tree is a directory of services with a running svscan.
type tree struct {
	t      *testing.T
	dir    string
	svscan *exec.Cmd
	said   *os.File
}

// services makes the service "s", whose process notes its number in "pids",
// prints "line" and ends at once when told to, and its logger, which copies to
// "out".
func services(t *testing.T) *tree {
	x := &tree{t: t, dir: t.TempDir()}
	x.write("s/run", "#!/bin/sh\necho $$ >>pids\necho line\ncd /\nexec sleep 1000\n")
	x.write("s/log/run", "#!/bin/sh\nexec cat >>out\n")
	var err error
	x.said, err = os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if x.svscan != nil {
			x.svscan.Process.Kill()
			x.svscan.Wait()
		}
		for _, pid := range x.processes() { // only if the test failed before
			unix.Kill(pid, unix.SIGKILL)
		}
	})
	return x
}

func (x *tree) write(name, text string) {
	x.t.Helper()
	name = filepath.Join(x.dir, name)
	os.MkdirAll(filepath.Dir(name), 0o755)
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		x.t.Fatal(err)
	}
}

func (x *tree) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(x.dir, name))
	return string(b)
}

func (x *tree) start() {
	x.t.Helper()
	if err := x.command().Start(); err != nil {
		x.t.Fatal(err)
	}
}

// command prepares svscan to be started.
func (x *tree) command() *exec.Cmd {
	x.svscan = exec.Command(filepath.Join(bin.Dir(x.t), "svscan"), x.dir)
	x.svscan.Env = []string{"PATH=" + bin.Dir(x.t) + ":/usr/bin:/bin"}
	x.svscan.Stdout, x.svscan.Stderr = x.said, x.said
	return x.svscan
}

// supervise starts a separate supervise for a service, as the svscan of daemontools
// does, and returns its process.
func (x *tree) supervise(dir, name string) *exec.Cmd {
	x.t.Helper()
	c := exec.Command(filepath.Join(bin.Dir(x.t), "supervise"), name)
	c.Dir = filepath.Join(x.dir, dir)
	c.Stdout, c.Stderr = x.said, x.said
	if err := c.Start(); err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	return c
}

// stop sends svscan a TERM and waits until it and everything else has ended.
func (x *tree) stop() {
	x.t.Helper()
	x.svscan.Process.Signal(syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- x.svscan.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			x.t.Errorf("svscan: %v", err)
		}
	case <-time.After(30 * time.Second):
		x.t.Fatalf("svscan does not end; left: %v", x.processes())
	}
	x.svscan = nil
	if left := x.processes(); len(left) > 0 {
		x.t.Errorf("left behind: %v", left)
	}
}

// processes lists the live processes below the test that belong to the services: by
// their directory, or because they are in pids.
func (x *tree) processes() (pids []int) {
	for range 3 { // reap what has ended
		unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil)
	}
	noted := strings.Fields(x.read("s/pids"))
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, name := range names {
		pid, _ := strconv.Atoi(filepath.Base(name))
		cwd, _ := os.Readlink(name + "/cwd")
		ours := strings.HasPrefix(cwd, x.dir)
		for _, n := range noted {
			comm, _ := os.ReadFile(name + "/comm")
			ours = ours || n == strconv.Itoa(pid) && string(comm) == "sleep\n"
		}
		if state, _ := os.ReadFile(name + "/stat"); ours && !strings.Contains(string(state), ") Z ") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// until waits for a condition.
func (x *tree) until(what string, ok func() bool) {
	x.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			said, _ := os.ReadFile(x.said.Name())
			x.t.Fatalf("never: %s; svscan said %q", what, said)
		}
	}
}

func (x *tree) dirOf(name string) *service.Dir {
	x.t.Helper()
	d, err := service.Open(&proc.Env{Dir: x.dir}, name)
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { d.Close() })
	return d
}

// pid returns the process of a service, 0 if it is down or not supervised.
func pid(d *service.Dir) int {
	if d.OK() != nil {
		return 0
	}
	s, _ := d.Status()
	return s.PID
}

// supervisor finds a process called supervise in the directory of a service.
func (x *tree) supervisor(name string) int {
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range names {
		cwd, _ := os.Readlink(p + "/cwd")
		comm, _ := os.ReadFile(p + "/comm")
		state, _ := os.ReadFile(p + "/stat")
		if cwd == filepath.Join(x.dir, name) && string(comm) == "supervise\n" && !strings.Contains(string(state), ") Z ") {
			n, _ := strconv.Atoi(filepath.Base(p))
			return n
		}
	}
	return 0
}

func TestStop(t *testing.T) {
	x := services(t)
	x.write("tight/run", "#!/bin/sh\nexit 1\n")
	x.write("bare/run", "#!/bin/sh\nexec sleep 1000\n")
	x.write("broken/run", "#!/none\n")
	x.write("late/log/run", "#!/bin/sh\nsleep 1\nexec cat >>out\n")
	x.write("late/run", "#!/bin/sh\ntrap 'echo last; exit' TERM\necho one\n: >said\nwhile :; do sleep 1; done\n")
	x.start()
	s := x.dirOf("s")
	x.until("a line in the log", func() bool { return x.read("s/log/out") == "line\n" })
	x.until("late has said something", func() bool {
		_, err := os.Stat(filepath.Join(x.dir, "late/said"))
		return err == nil
	})
	x.stop()
	// What a service said at the end is in its log.
	if got := x.read("late/log/out"); got != "one\nlast\n" {
		t.Errorf("log of late: %q", got)
	}
	if status, err := s.Status(); err != nil || status.PID != 0 || status.Want != service.Down {
		t.Errorf("last status %+v, %v", status, err)
	}
}

func TestStopAtOnce(t *testing.T) {
	x := services(t)
	x.start()
	s := x.dirOf("s")
	x.until("it begins", s.Locked)
	x.stop()
}

// R11, V-03: a service whose supervise is killed goes on, and svscan takes it
// over when the lock is free: no second copy of it.
func TestSuperviseKilled(t *testing.T) {
	x := services(t)
	x.write("s/run", "#!/bin/sh\necho $$ >>pids\ncd /\nexec sleep 1000\n")
	os.RemoveAll(filepath.Join(x.dir, "s/log"))
	guard := x.supervise(".", "s")
	s := x.dirOf("s")
	x.until("s is up", func() bool { return pid(s) != 0 })
	first := pid(s)
	x.start()
	x.until("svscan sees it", func() bool {
		said, _ := os.ReadFile(x.said.Name())
		return strings.Contains(string(said), "svscan: warning: s is supervised already\n")
	})
	before, _ := s.Status()
	guard.Process.Kill()
	guard.Wait()
	x.until("taken over", func() bool { return s.OK() == nil })
	if got, err := s.Status(); err != nil || got != before {
		t.Fatalf("status %+v, %v; want %+v", got, err, before)
	}
	if got := x.read("s/pids"); got != strconv.Itoa(first)+"\n" {
		t.Fatalf("copies of the service: %q, want %d only", got, first)
	}
	// It is watched and obeys like a child.
	if err := s.Control([]byte("t")); err != nil {
		t.Fatal(err)
	}
	x.until("s is another process", func() bool { return pid(s) != 0 && pid(s) != first })
	x.stop()
}

// A second svscan is started for the directory and ended again: the first one's
// services never notice.
func TestSecondSvscan(t *testing.T) {
	x := services(t)
	x.start()
	s := x.dirOf("s")
	x.until("s is up", func() bool { return pid(s) != 0 })
	before, first := pid(s), x.svscan
	x.start()
	second := x.svscan
	x.svscan = first
	x.until("the second one sees it", func() bool {
		said, _ := os.ReadFile(x.said.Name())
		return strings.Contains(string(said), "svscan: warning: s is supervised already\n")
	})
	second.Process.Signal(syscall.SIGTERM)
	if err := second.Wait(); err != nil {
		t.Error(err)
	}
	if status, err := s.Status(); err != nil || status.PID != before || status.Want != service.Up {
		t.Errorf("status %+v, %v", status, err)
	}
	x.stop()
}

// A supervise that is killed while svscan stops everything leaves nothing.
func TestSuperviseKilledAtTheEnd(t *testing.T) {
	x := services(t)
	x.write("s/run", "#!/bin/sh\necho $$ >>pids\ntrap '' TERM\nexec sleep 1000\n")
	os.RemoveAll(filepath.Join(x.dir, "s/log"))
	guard := x.supervise(".", "s")
	s := x.dirOf("s")
	x.until("s is up", func() bool { return pid(s) != 0 })
	x.start()
	x.until("svscan sees it", func() bool {
		said, _ := os.ReadFile(x.said.Name())
		return strings.Contains(string(said), "svscan: warning: s is supervised already\n")
	})
	x.svscan.Process.Signal(syscall.SIGTERM)
	x.until("s is told", func() bool { status, _ := s.Status(); return status.Want == service.Down })
	guard.Process.Kill()
	guard.Wait()
	x.until("s is kept again", func() bool { return s.OK() == nil })
	x.stop() // the second TERM kills what does not listen
}

// V-04: the services of an svscan that was killed go on, and the next one takes
// them over with the log pipes that they write to.
func TestSvscanKilled(t *testing.T) {
	x := services(t)
	x.write("s/run", "#!/bin/sh\necho $$ >>pids\necho line\ntrap 'echo again' HUP\nwhile :; do sleep 1 & wait $!; done\n")
	x.start()
	s, log := x.dirOf("s"), x.dirOf("s/log")
	x.until("a line in the log", func() bool { return x.read("s/log/out") == "line\n" })
	x.until("both are said to be up", func() bool { return pid(s) != 0 && pid(log) != 0 })
	first, logger := pid(s), pid(log)
	for range 3 {
		x.svscan.Process.Kill()
		x.svscan.Wait()
		x.start()
		x.until("they are kept again", func() bool { return s.OK() == nil && log.OK() == nil })
		if pid(s) != first || pid(log) != logger {
			t.Fatalf("process %d, logger %d; want %d, %d", pid(s), pid(log), first, logger)
		}
	}
	x.write("new/run", "#!/bin/sh\nexec sleep 1000\n")
	fresh := x.dirOf("new")
	x.until("the new one is up", func() bool { return pid(fresh) != 0 })

	// Svscan and the logger are gone at the same time: the service finds no
	// broken pipe, and what it writes waits for the next logger.
	x.svscan.Process.Kill()
	x.svscan.Wait()
	unix.Kill(logger, unix.SIGKILL)
	x.until("the logger is gone", func() bool { return unix.Kill(logger, 0) != nil || isZombie(logger) })
	unix.Kill(first, unix.SIGHUP)
	time.Sleep(100 * time.Millisecond)
	x.start()
	x.until("another logger", func() bool { return pid(log) != 0 && pid(log) != logger })
	x.until("the line is in the log", func() bool { return x.read("s/log/out") == "line\nagain\n" })
	// The service is gone: the next one writes to the pipe that the logger reads.
	x.svscan.Process.Kill()
	x.svscan.Wait()
	unix.Kill(first, unix.SIGKILL)
	x.start()
	x.until("the next one's line", func() bool { return x.read("s/log/out") == "line\nagain\nline\n" })
	x.stop()
	if got := strings.Fields(x.read("s/pids")); len(got) != 2 {
		t.Errorf("the service ran as %q, want twice", got)
	}
}

func isZombie(pid int) bool {
	state, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return strings.Contains(string(state), ") Z ")
}

// One directory under two names is one service; names with a leading dot are
// ignored; a broken service does not disturb the others.
func TestScan(t *testing.T) {
	x := services(t)
	os.Symlink("s", filepath.Join(x.dir, "t"))
	os.Symlink("loop", filepath.Join(x.dir, "loop"))
	x.write(".dot/run", "#!/bin/sh\nexec sleep 1000\n")
	x.write("file", "")
	os.MkdirAll(filepath.Join(x.dir, "odd/run"), 0o755)
	x.start()
	s, odd := x.dirOf("s"), x.dirOf("odd")
	x.until("s is up", func() bool { return pid(s) != 0 })
	x.until("odd is supervised", func() bool { return odd.OK() == nil })
	if _, err := os.Stat(filepath.Join(x.dir, ".dot/supervise")); err == nil {
		t.Error(".dot is supervised")
	}
	// Removed from the directory it goes on, and can still be stopped.
	os.Remove(filepath.Join(x.dir, "t"))
	os.Rename(filepath.Join(x.dir, "s"), filepath.Join(x.dir, ".s"))
	x.svscan.Process.Signal(syscall.SIGHUP)
	x.stop()
	said, _ := os.ReadFile(x.said.Name())
	for _, want := range []string{
		"svscan: warning: unable to stat loop: symbolic link loop\n",
		"supervise: fatal: unable to start odd/run: access denied\n",
	} {
		if !strings.Contains(string(said), want) {
			t.Errorf("%q lacks %q", said, want)
		}
	}
	if n := strings.Count(string(said), "loop"); n != 2 {
		t.Errorf("%q: loop mentioned %d times", said, n)
	}
}

// number is svscan's process number.
func (x *tree) number() string { return strconv.Itoa(x.svscan.Process.Pid) }
