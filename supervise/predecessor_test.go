package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/procfs"
	"paperpath/service"
)

// scene is a service directory and processes that a status may name.
type scene struct {
	t    *testing.T
	path string
	dir  *service.Dir
	host *Host
}

func newScene(t *testing.T) *scene {
	t.Helper()
	x := &scene{t: t, path: t.TempDir()}
	var err error
	if x.dir, err = service.Open(&proc.Env{}, x.path); err != nil {
		t.Fatal(err)
	}
	if x.host, err = NewHost(&proc.Env{}, nil, time.Hour, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.dir.Close() })
	return x
}

// child starts a process in dir.
func (x *scene) child(dir string, user uint32) (pid int, began time.Duration) {
	x.t.Helper()
	c := exec.Command("sleep", "1000")
	c.Dir = dir
	if user != 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	}
	if err := c.Start(); err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	s, err := procfs.Read(c.Process.Pid)
	if err != nil {
		x.t.Fatal(err)
	}
	return c.Process.Pid, s.Began
}

// write writes last as the status.
func (x *scene) write(last service.Status) {
	x.t.Helper()
	os.Mkdir(x.path+"/supervise", 0o700)
	if err := os.WriteFile(x.path+"/supervise/status", last.Append(nil), 0o644); err != nil {
		x.t.Fatal(err)
	}
}

// adopt reports whether a supervisor that finds last takes the process over.
func (x *scene) adopt(last service.Status) (bool, error) {
	x.t.Helper()
	x.write(last)
	k := &Keeper{Place: Place{Dir: x.dir}, host: x.host}
	k.service = newMachine(k, true)
	adopted, err := k.adopt(&predecessor{x.dir, last, x.host.children, 1})
	k.close()
	return adopted, err
}

// Which processes that a status names are taken for the service.
func TestWhoIsTheService(t *testing.T) {
	x := newScene(t)
	here, began := x.child(x.path, 0)
	away, beganAway := x.child("/", 0)
	stranger := exec.Command("sh", "-c", "sleep 1000 & echo $!; wait")
	stranger.Dir = x.path
	out, err := stranger.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	var grandchild int
	if _, err := fmt.Fscan(out, &grandchild); err != nil {
		t.Fatal(err)
	}
	defer func() { syscall.Kill(grandchild, syscall.SIGKILL); stranger.Wait() }()
	zombie := exec.Command("true")
	zombie.Dir = x.path
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	defer zombie.Wait()
	var beganZombie time.Duration
	for s := (procfs.Stat{}); !s.Zombie; {
		if s, err = procfs.Read(zombie.Process.Pid); err != nil {
			t.Fatal(err)
		}
		beganZombie = s.Began
	}

	boot, other := procfs.ThisBoot(), procfs.Boot{ID: procfs.ThisBoot().ID + 1}
	container := procfs.Boot{ID: boot.ID, Init: boot.Init + 1}
	now := time.Now()
	year := 365 * 24 * time.Hour
	for _, c := range []struct {
		what string
		last service.Status
		want bool
	}{
		// The boot and the instant of the fork are proof.
		{"the service", service.Status{PID: away, Stamp: now, Forked: beganAway, Boot: boot}, true},
		{"the clock was set since", service.Status{PID: away, Stamp: now.Add(-year), Forked: beganAway, Boot: boot}, true},
		{"the clock was set back", service.Status{PID: away, Stamp: now.Add(year), Forked: beganAway, Boot: boot}, true},
		{"process 1 is another", service.Status{PID: away, Stamp: now, Forked: beganAway, Boot: container}, true},
		{"forked later", service.Status{PID: here, Stamp: now, Forked: began + 3*procfs.Tick, Boot: boot}, false},
		{"forked before", service.Status{PID: here, Stamp: now, Forked: began - 3*procfs.Tick, Boot: boot}, false},
		{"forked just before", service.Status{PID: here, Stamp: now, Forked: began - 2*procfs.Tick, Boot: boot}, true},
		{"another boot", service.Status{PID: here, Stamp: now, Forked: began, Boot: other}, false},
		{"a zombie", service.Status{PID: zombie.Process.Pid, Stamp: now, Forked: beganZombie, Boot: boot}, false},
		{"finish", service.Status{FinishPID: away, Stamp: now.Add(year), Forked: beganAway, Boot: boot}, true},
		{"another finish", service.Status{FinishPID: here, Stamp: now, Forked: began - time.Minute, Boot: boot}, false},
		{"another boot's finish", service.Status{FinishPID: here, Stamp: now, Forked: began, Boot: other}, false},

		// An earlier version did not tell the boot: label or directory have to agree.
		{"no boot", service.Status{PID: away, Stamp: now, Forked: beganAway}, true},
		{"no boot, the label is late", service.Status{PID: away, Stamp: now.Add(29 * time.Second), Forked: beganAway}, true},
		{"no boot, the label is too late", service.Status{PID: away, Stamp: now.Add(time.Minute), Forked: beganAway}, false},
		{"no boot, the label is too early", service.Status{PID: away, Stamp: now.Add(-time.Minute), Forked: beganAway}, false},
		{"no boot, a wrong label, the directory", service.Status{PID: here, Stamp: now.Add(-year), Forked: began}, true},
		{"no boot, forked before", service.Status{PID: here, Stamp: now, Forked: began - time.Second - 3*procfs.Tick}, false},
		{"no boot, forked just before", service.Status{PID: here, Stamp: now, Forked: began - time.Second}, true},
		{"no boot, finish", service.Status{FinishPID: here, Stamp: now.Add(-year)}, true},

		// Of a C supervise there is only the label.
		{"C", service.Status{PID: away, Stamp: now}, true},
		{"C, a wrong label", service.Status{PID: away, Stamp: now.Add(-year)}, false},
		{"C, a wrong label, the directory", service.Status{PID: here, Stamp: now.Add(-year)}, true},
		{"C, a zombie", service.Status{PID: zombie.Process.Pid, Stamp: now}, false},
		{"C, a child of somebody who lives", service.Status{PID: grandchild, Stamp: now}, false},

		{"this process", service.Status{PID: os.Getpid(), Stamp: now}, false},
		{"its parent", service.Status{PID: os.Getppid(), Stamp: now}, false},
		{"init", service.Status{PID: 1, Stamp: now}, false},
		{"nobody", service.Status{Stamp: now}, false},
		{"a number that is none", service.Status{PID: 1<<32 - 1, Stamp: now}, false},
	} {
		if c.last.Want = service.Up; c.last.PID != 0 {
			c.last.Phase = service.PhaseUp
		}
		got, err := x.adopt(c.last)
		if got != c.want || err != nil {
			t.Errorf("%s: %v, %v", c.what, got, err)
		}
		pid, err := x.host.Orphan(x.dir, c.last, 1)
		if (pid != 0) != c.want || err != nil {
			t.Errorf("%s: orphan %d, %v", c.what, pid, err)
		}
	}
}

// The time of the fork in the status is the kernel's, for finish, too.
func TestForked(t *testing.T) {
	x := started(t, map[string]string{"run": "#!/bin/sh\nexec sleep 1000\n", "finish": "#!/bin/sh\nexec sleep 1000\n", "timeout-finish": "0"})
	check := func(pid func() int) {
		t.Helper()
		x.until("it runs", func() bool { return pid() != 0 })
		s, err := procfs.Read(pid())
		if got := x.status(); err != nil || got.Forked != s.Began || got.Boot != procfs.ThisBoot() {
			t.Errorf("%+v; it began at %v, %v", got, s.Began, err)
		}
	}
	check(func() int { return x.status().PID })
	x.order("dx")
	check(func() int { return x.status().FinishPID })
	x.kill()
	finish := x.status().FinishPID
	x = startIn(t, x.path)
	if s := x.status(); s.FinishPID != finish || s.Phase != service.PhaseFinishing {
		t.Errorf("finish is not taken over: %+v", s)
	}
	x.order("dk")
	x.until("down", func() bool { return x.status().Phase == service.PhaseDown })
}

// A user who writes a status may name in it only processes that he could signal
// himself.
func TestWhoMayName(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const user, another = 65534, 65533
	x := newScene(t)
	os.Chmod(x.path, 0o755)
	roots, beganRoots := x.child(x.path, 0)
	his, beganHis := x.child("/", user)
	for _, c := range []struct {
		what             string
		dir, file        int
		mode             os.FileMode
		may, mayNameRoot bool
	}{
		{"all is root's", 0, 0, 0o644, true, true},
		{"the directory is his", user, 0, 0o644, true, false},
		{"the file is his", 0, user, 0o644, true, false},
		{"both are", user, user, 0o644, true, false},
		{"both are another's", another, another, 0o644, false, false},
		{"they are two users'", user, another, 0o644, false, false},
		{"everybody may write", 0, 0, 0o666, false, false},
	} {
		for _, p := range []struct {
			pid   int
			began time.Duration
			want  bool
		}{{roots, beganRoots, c.mayNameRoot}, {his, beganHis, c.may}} {
			last := service.Status{PID: p.pid, Forked: p.began, Phase: service.PhaseUp, Want: service.Up, Stamp: time.Now(), Boot: procfs.ThisBoot()}
			x.write(last)
			os.Chmod(x.path+"/supervise/status", c.mode)
			os.Chown(x.path+"/supervise/status", c.file, -1)
			os.Chown(x.path+"/supervise", c.dir, -1)
			k := &Keeper{Place: Place{Dir: x.dir}, host: x.host}
			k.service = newMachine(k, true)
			got, err := k.adopt(&predecessor{x.dir, last, x.host.children, 1})
			k.close()
			// Neither taken over, nor started beside what may be the service after all.
			if got != p.want || (err != nil) != !p.want || err != nil && !errors.Is(err, errUnproven) {
				t.Errorf("%s: process %d: %v, %v", c.what, p.pid, got, err)
			}
			pid, err := x.host.Orphan(x.dir, last, 1)
			if (pid != 0) != p.want || err != nil {
				t.Errorf("%s: orphan %d, %v", c.what, pid, err)
			}
			os.Remove(x.path + "/supervise/status")
		}
	}
}

// Where there are no pidfds, the process is checked each second.
func TestWithoutPidfd(t *testing.T) {
	for _, errno := range []error{unix.ENOSYS, unix.EPERM} {
		pidfdOpen = func(int, int) (int, error) { return -1, errno }
		defer func() { pidfdOpen = unix.PidfdOpen }()
		x := newScene(t)
		c := exec.Command("sleep", "1000")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		s, err := procfs.Read(c.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		last := service.Status{PID: c.Process.Pid, Forked: s.Began, Phase: service.PhaseUp, Stamp: time.Now(), Boot: procfs.ThisBoot()}
		x.write(last)
		k := &Keeper{Place: Place{Dir: x.dir}, host: x.host}
		k.service = newMachine(k, true)
		if ok, err := k.adopt(&predecessor{x.dir, last, x.host.children, 1}); !ok || err != nil {
			t.Fatalf("%v: %v, %v", errno, ok, err)
		}
		k.run.orphan.began += procfs.Tick
		k.run.signal(unix.SIGKILL) // not to another process with that number
		k.run.orphan.began -= procfs.Tick
		if ok, err := k.run.orphan.lives(); !ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
		ended := make(chan bool)
		go func() { k.run.signal(unix.SIGTERM); c.Wait(); close(ended) }()
		<-ended
		gone := false
		x.host.loop.Remove(k.run.orphan.fd)
		x.host.loop.Add(k.run.orphan.fd, func() { k.run.orphan.ready(func() { gone = true }) })
		for end := time.Now().Add(20 * time.Second); !gone && time.Now().Before(end); {
			x.host.loop.Wait(end)
		}
		if !gone {
			t.Error("its end is not noticed")
		}
		k.close()
	}
}

// If it cannot be found out whether a process runs, that is an error.
func TestUnknown(t *testing.T) {
	for _, errno := range []error{unix.ENFILE, unix.EMFILE, unix.ENOMEM} {
		pidfdOpen = func(int, int) (int, error) { return -1, errno }
		defer func() { pidfdOpen = unix.PidfdOpen }()
		x := newScene(t)
		pid, began := x.child("/", 0)
		last := service.Status{PID: pid, Forked: began, Phase: service.PhaseUp, Want: service.Up, Stamp: time.Now(), Boot: procfs.ThisBoot()}
		os.WriteFile(x.path+"/run", []byte("#!/bin/sh\n>ran\n"), 0o755)
		x.write(last)
		k, err := x.host.Keep(Place{Name: "s", Dir: x.dir})
		if want := "unable to take over s: "; k != nil || !errors.Is(err, errno) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v", err)
		}
		if _, err := os.Stat(x.path + "/ran"); err == nil {
			t.Error("started beside what may run")
		}
		if got, err := x.dir.Status(); err != nil || got.PID != pid || x.dir.Locked() {
			t.Errorf("left behind: %+v, %v", got, err)
		}
	}
	// The number is gone for certain.
	for _, errno := range []error{unix.ESRCH, unix.EINVAL} {
		pidfdOpen = func(int, int) (int, error) { return -1, errno }
		if o, err := holdOrphan(4711, nil); o != nil || err != nil {
			t.Errorf("%v: %v, %v", errno, o, err)
		}
	}
}

// It is also an error if a status cannot be read.
func TestUnreadableStatus(t *testing.T) {
	x := newScene(t)
	pid, began := x.child("/", 0)
	os.WriteFile(x.path+"/run", []byte("#!/bin/sh\n>ran\n"), 0o755)
	x.write(service.Status{PID: pid, Forked: began, Phase: service.PhaseUp, Want: service.Up, Stamp: time.Now(), Boot: procfs.ThisBoot()})
	const full = 200
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for n := 0; n < full; {
		if n, err = unix.FcntlInt(null.Fd(), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(n)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = full + 3 // the lock and the fifo
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	_, err = x.host.Keep(Place{Name: "s", Dir: x.dir})
	unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	if err == nil || err.Error() != "unable to read s/supervise/status: process cannot open more files" {
		t.Errorf("%v", err)
	}
}

// If a service cannot be made to look supervised, supervise tries again and again:
// that must not use up descriptors.
func TestFailedStartLeavesNothing(t *testing.T) {
	x := newScene(t)
	os.WriteFile(x.path+"/run", []byte("#!/bin/sh\n"), 0o755)
	os.WriteFile(x.path+"/notification-fd", []byte("3\n"), 0o644)
	os.MkdirAll(x.path+"/supervise/ok", 0o700)
	open := func() int {
		fds, err := procfs.Descriptors(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	before := open()
	for range 3 {
		if _, err := x.host.Keep(Place{Name: "s", Dir: x.dir}); err == nil {
			t.Fatal("kept without ok")
		}
	}
	if after := open(); after != before {
		t.Errorf("%d descriptors more", after-before)
	}
}

// A process that tests the lock, for an instant, does not keep supervise from
// starting.
func TestLockAskedFor(t *testing.T) {
	x := newScene(t)
	os.WriteFile(x.path+"/down", nil, 0o644)
	os.Mkdir(x.path+"/supervise", 0o700)
	f, err := os.Create(x.path + "/supervise/lock")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(10*time.Millisecond, func() { f.Close() })
	k, err := x.host.Keep(Place{Name: "s", Dir: x.dir})
	if err != nil {
		t.Fatal(err)
	}
	k.close()
}

// Of an adopted service only the pipe that it was given is opened, or nothing.
func TestReopenReady(t *testing.T) {
	x := newScene(t)
	os.WriteFile(x.path+"/notification-fd", []byte("3\n"), 0o644)
	os.WriteFile(x.path+"/secret", []byte("\n"), 0o600)
	if err := unix.Mkfifo(x.path+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	for redirect, want := range map[string]bool{"<>fifo": false, "<secret": false, "<&-": false, "| cat": true} {
		pids := x.path + "/pids"
		os.Remove(pids)
		script := "sh -c 'echo $$ >pids.new; mv pids.new pids; exec sleep 1000' 3" + redirect
		if redirect == "| cat" {
			script = "{ sh -c 'echo $$ >pids.new; mv pids.new pids; exec sleep 1000' 3>&1 >/dev/null; } | cat"
		}
		c := exec.Command("sh", "-c", script)
		c.Dir = x.path
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		pid := 0
		for end := time.Now().Add(20 * time.Second); pid == 0 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			b, _ := os.ReadFile(pids)
			pid, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		}
		k := &Keeper{Place: Place{Dir: x.dir}, host: x.host}
		err := k.reopenReady(service.Status{PID: pid, Phase: service.PhaseStarting})
		if err != nil || (k.ready != nil) != want {
			t.Errorf("%s: reopened %v, %v", redirect, k.ready != nil, err)
		}
		k.closeReady()
		unix.Kill(pid, unix.SIGKILL)
		c.Wait()
	}
}

// Where /proc hides processes, one that can be the service is not taken for gone.
func TestHidden(t *testing.T) {
	x := newScene(t)
	pid, began := x.child("/", 0)
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, c := range []struct {
		what string
		pid  int
		last service.Status
		want error
	}{
		{"of this boot", pid, service.Status{Stamp: now, Forked: began}, errHidden},
		{"C's, of this boot", pid, service.Status{Stamp: now}, errHidden},
		{"C's, of another boot", pid, service.Status{Stamp: now.Add(-procfs.SinceBoot() - time.Hour)}, nil},
		{"forked later than now", pid, service.Status{Stamp: now, Forked: procfs.SinceBoot() + time.Hour}, nil},
		{"ended", ended.Process.Pid, service.Status{Stamp: now, Forked: began}, nil},
	} {
		p := &predecessor{x.dir, c.last, x.host.children, 1}
		if err := p.unseen(c.pid); err != c.want {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
}
