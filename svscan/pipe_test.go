package svscan

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/procfs"
	"paperpath/service"
	"paperpath/supervise"
)

// impostor starts a process that is called supervise, in the directory of s, with
// a pipe as its output.
func (x *tree) impostor(user *syscall.Credential, extra ...*os.File) {
	x.t.Helper()
	file := filepath.Join(x.dir, "supervise")
	os.Chmod(filepath.Dir(x.dir), 0o755) // for another user
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		x.t.Fatal(err)
	}
	b, err := os.ReadFile(sleep)
	if err != nil {
		x.t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o755); err != nil {
		x.t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		x.t.Fatal(err)
	}
	// argv[0] is for those systems whose sleep is one of many in one file.
	c := exec.Cmd{Path: file, Args: []string{"sleep", "1000"}, Dir: filepath.Join(x.dir, "s"), Stdout: w, ExtraFiles: extra}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	if err := c.Start(); err != nil {
		x.t.Fatal(err)
	}
	w.Close()
	x.t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		r.Close()
	})
	x.until("the impostor is there", func() bool { return x.supervisor("s") == c.Process.Pid })
}

// lock makes the service look supervised.
func (x *tree) lock() *os.File {
	x.t.Helper()
	name := filepath.Join(x.dir, "s/supervise/lock")
	os.Mkdir(filepath.Dir(name), 0o755)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o644)
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { f.Close() })
	return f
}

func host(t *testing.T) *supervise.Host {
	t.Helper()
	h, err := supervise.NewHost(&proc.Env{}, nil, time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// A supervise that has gone left a process number that now belongs to another
// process.
func TestGoneWithStaleNumber(t *testing.T) {
	x := services(t)
	parent := exec.Command("sh", "-c", "sleep 1000 & echo $!; wait")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var stranger int
	if _, err := fmt.Fscan(out, &stranger); err != nil {
		t.Fatal(err)
	}
	defer func() {
		syscall.Kill(stranger, syscall.SIGKILL)
		parent.Wait()
	}()
	dir := x.dirOf("s")
	owner, err := dir.Acquire("s")
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Announce(service.Status{Stamp: time.Now(), PID: stranger, Want: service.Up}); err != nil {
		t.Fatal(err)
	}
	owner.Close()
	g := &guard{name: "s", dir: dir, next: time.Now().Add(time.Hour)}
	if !g.gone(&scanner{host: host(t)}, time.Now(), func() supervise.Place { return supervise.Place{} }) {
		t.Error("the service would be started again")
	}
}

func TestInheritedPipe(t *testing.T) {
	for _, c := range []struct {
		what          string
		stranger      bool
		holds, merely bool // the lock; or just the file
		want          bool
	}{
		{what: "a supervise", holds: true, want: true},
		{what: "a process of ours without the lock"},
		{what: "one that has the file open", merely: true},
		{what: "another user's, who somehow has the lock", holds: true, stranger: true},
	} {
		t.Run(c.what, func(t *testing.T) {
			x := services(t)
			lock := x.lock()
			var extra []*os.File
			switch {
			case c.holds:
				extra = append(extra, lock)
			case c.merely:
				f, err := os.Open(lock.Name())
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				extra = append(extra, f)
			}
			var user *syscall.Credential
			if c.stranger {
				if os.Geteuid() != 0 {
					t.Skip("only root can be somebody else")
				}
				user = &syscall.Credential{Uid: 65534, Gid: 65534}
			}
			x.impostor(user, extra...)
			// A supervise of daemontools wrote its status.
			if err := os.WriteFile(filepath.Join(x.dir, "s/supervise/status"), make([]byte, 18), 0o644); err != nil {
				t.Fatal(err)
			}
			from, to, err := inheritedPipe(host(t), x.dirOf("s"))
			if (from != nil) != c.want || err != nil {
				t.Errorf("the pipe is taken: %v, %v", from != nil, err)
			}
			if from != nil {
				from.Close()
				to.Close()
			}
		})
	}
	// Nobody has the lock: a pipe that is left is nobody's log.
	x := services(t)
	x.lock().Close()
	x.impostor(nil)
	if from, _, _ := inheritedPipe(host(t), x.dirOf("s")); from != nil {
		t.Error("taken, although no supervise runs")
	}
}

// The logger's status is out of date, and the number of the pipe in it happens to
// be the larger one.
func TestPipeOfTheLivingGeneration(t *testing.T) {
	for _, stale := range []uint64{1, 1 << 62} {
		x := services(t)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		c := exec.Command("sleep", "1000")
		c.Stdout = w
		err = c.Start()
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			c.Process.Kill()
			c.Wait()
		}()
		var st unix.Stat_t
		if err := unix.Fstat(int(r.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		for dir, s := range map[string]service.Status{
			"s":     {Stamp: time.Now(), PID: c.Process.Pid, LogPipe: st.Ino},
			"s/log": {Stamp: time.Now(), LogPipe: stale},
		} {
			owner, err := x.dirOf(dir).Acquire(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := owner.Announce(s); err != nil {
				t.Fatal(err)
			}
			owner.Close()
		}
		from, to, inode, err := logPipe(host(t), x.dirOf("s"))
		if err != nil {
			t.Fatal(err)
		}
		from.Close()
		to.Close()
		if inode != st.Ino {
			t.Errorf("stale %d: another pipe than the service's is taken", stale)
		}
	}
}

// A pipe is taken only from the service's own process: the status must be of this
// boot, and of a user who may be believed.
func TestPipeOfAnotherProcess(t *testing.T) {
	boot := procfs.ThisBoot()
	for _, c := range []struct {
		what   string
		change func(*service.Status)
		others bool // others can write the status
		want   bool
	}{
		{"the service's", func(*service.Status) {}, false, true},
		{"another boot's", func(s *service.Status) { s.Boot.ID++ }, false, false},
		{"of another process with that number", func(s *service.Status) { s.Forked -= time.Minute }, false, false},
		{"another one than the status says", func(s *service.Status) { s.LogPipe++ }, false, false},
		{"by the word of others", func(*service.Status) {}, true, false},
	} {
		x := services(t)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		sleep := exec.Command("sleep", "1000")
		sleep.Stdout = w
		err = sleep.Start()
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			sleep.Process.Kill()
			sleep.Wait()
		}()
		pid := sleep.Process.Pid
		stat, err := procfs.Read(pid)
		inode, ok := procfs.Pipe(pid, 1)
		if err != nil || !ok {
			t.Fatal(err, ok)
		}
		last := service.Status{Stamp: time.Now(), PID: pid, Phase: service.PhaseUp, Want: service.Up, LogPipe: inode, Forked: stat.Began, Boot: boot}
		c.change(&last)
		file := filepath.Join(x.dir, "s/supervise/status")
		os.Mkdir(filepath.Dir(file), 0o700)
		if err := os.WriteFile(file, last.Append(nil), 0o644); err != nil {
			t.Fatal(err)
		}
		if c.others {
			os.Chmod(file, 0o666)
		}
		from, to, err := inheritedPipe(host(t), x.dirOf("s"))
		if (from != nil) != c.want || err != nil {
			t.Errorf("%s: taken %v, %v", c.what, from != nil, err)
		}
		if from != nil {
			from.Close()
			to.Close()
		}
	}
}
