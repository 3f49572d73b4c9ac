package svscan

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/test/bin"
)

// shell starts svscan from a shell, after some of its commands.
func (x *tree) shell(before string, vars ...string) {
	x.t.Helper()
	programs := bin.Dir(x.t)
	x.svscan = exec.Command("/bin/sh", "-c", before+"; exec svscan .")
	x.svscan.Dir = x.dir
	x.svscan.Env = append([]string{"PATH=" + programs + ":/usr/bin:/bin"}, vars...)
	x.svscan.Stdout, x.svscan.Stderr = x.said, x.said
	if err := x.svscan.Start(); err != nil {
		x.t.Fatal(err)
	}
}

// up counts the services of n that run.
func (x *tree) up(n int) (up int) {
	for i := range n {
		if status, err := os.ReadFile(filepath.Join(x.dir, "n"+strconv.Itoa(i), "supervise/status")); err == nil && len(status) > 18 && !bytes.Equal(status[12:16], make([]byte, 4)) {
			up++
		}
	}
	return up
}

// One process for all of them, with more descriptors than its caller had; the
// services have the caller's limit.
func TestManyServices(t *testing.T) {
	const n = 150
	x := services(t)
	for i := range n {
		x.write("n"+strconv.Itoa(i)+"/run", "#!/bin/sh\nulimit -n >limit\nexec sleep 1000\n")
		x.write("n"+strconv.Itoa(i)+"/log/run", "#!/bin/sh\nexec cat >>out\n")
	}
	x.shell("ulimit -S -n 100")
	x.until("all are up", func() bool { return x.up(n) == n })
	d := x.dirOf("n" + strconv.Itoa(n-1))
	x.until("the last one runs", func() bool { return x.read("n"+strconv.Itoa(n-1)+"/limit") != "" })
	if got := x.read("n0/limit"); got != "100\n" {
		t.Errorf("limit of a service: %q", got)
	}
	old := pid(d)
	unix.Kill(old, unix.SIGKILL)
	x.until("one is killed and restarted", func() bool { return pid(d) != 0 && pid(d) != old })
	x.stop()
}

// V-05: svscan runs out of descriptors, and goes on with what it has.
func TestNoDescriptors(t *testing.T) {
	const n = 30
	x := services(t)
	for i := range n {
		x.write("n"+strconv.Itoa(i)+"/run", "#!/bin/sh\nexec sleep 1000\n")
	}
	x.shell("ulimit -n 60")
	x.until("some are up", func() bool { return x.up(n) > 0 })
	x.until("it says why not all", func() bool { return strings.Contains(x.saidText(), "process cannot open more files") })
	// What it has it keeps up, and sees what is new.
	x.until("one that is killed is restarted", func() bool {
		for i := range n {
			d := x.dirOf("n" + strconv.Itoa(i))
			if old := pid(d); old != 0 {
				unix.Kill(old, unix.SIGKILL)
				x.until("it runs again", func() bool { return pid(d) != 0 && pid(d) != old })
				return true
			}
		}
		return false
	})
	x.stop()
}

// V-06: a process that never stops writing orders to one service does not keep
// orders to others from being obeyed.
func TestFlood(t *testing.T) {
	x := services(t)
	x.write("u/run", "#!/bin/sh\nexec sleep 1000\n")
	x.start()
	s, u := x.dirOf("s"), x.dirOf("u")
	x.until("both are up", func() bool { return pid(s) != 0 && pid(u) != 0 })
	var stop atomic.Bool
	done := make(chan bool)
	go func() {
		defer close(done)
		for garbage := bytes.Repeat([]byte("zpc\x00\xff"), 800); !stop.Load(); {
			if s.Control(garbage) != nil {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	for range 3 {
		old := pid(u)
		u.Control([]byte("t"))
		x.until("u is heard", func() bool { return pid(u) != 0 && pid(u) != old })
	}
	x.write("new/run", "#!/bin/sh\nexec sleep 1000\n")
	fresh := x.dirOf("new")
	x.until("a new one is up", func() bool { return pid(fresh) != 0 })
	x.stop()
	stop.Store(true)
	<-done
}

// V-08: a service's directory is removed; links are dangling, circular, or lead to
// files; run is not a program. The others go on, and everything ends.
func TestHostileDirectories(t *testing.T) {
	x := services(t)
	x.write("gone/run", "#!/bin/sh\nexec sleep 1000\n")
	x.write("torn/run", "#!/bin/sh\nexec sleep 1000\n")
	x.write("odd/supervise", "a file")
	x.write("odd/run", "#!/bin/sh\nexec sleep 1000\n")
	x.write("rough/log", "a file")
	x.write("rough/run", "#!/bin/sh\nexec sleep 1000\n")
	x.write("file", "")
	os.Symlink("nowhere", filepath.Join(x.dir, "dangling"))
	os.Symlink("round", filepath.Join(x.dir, "round"))
	os.Symlink(".", filepath.Join(x.dir, "self"))
	os.MkdirAll(filepath.Join(x.dir, "empty"), 0o755)
	os.MkdirAll(filepath.Join(x.dir, "strange/run"), 0o755)
	os.MkdirAll(filepath.Join(x.dir, strings.Repeat("l", 255)), 0o755)
	x.start()
	s, gone, torn := x.dirOf("s"), x.dirOf("gone"), x.dirOf("torn")
	x.until("they are up", func() bool { return pid(s) != 0 && pid(gone) != 0 && pid(torn) != 0 })
	os.RemoveAll(filepath.Join(x.dir, "gone"))
	os.WriteFile(filepath.Join(x.dir, "torn/supervise/status"), []byte("torn"), 0o600)
	x.svscan.Process.Signal(unix.SIGHUP)
	old := pid(s)
	s.Control([]byte("t"))
	x.until("s is heard", func() bool { return pid(s) != 0 && pid(s) != old })
	torn.Control([]byte("h"))
	x.until("the status is whole again", func() bool { return pid(torn) != 0 })
	x.stop()
	for _, want := range []string{
		"supervise: fatal: unable to acquire odd/supervise/lock: not a directory\n",
		"svscan: warning: unable to switch to rough/log: not a directory\n",
		"supervise: fatal: unable to start empty/run: file does not exist\n",
		"supervise: fatal: unable to start strange/run: access denied\n",
		"svscan: warning: unable to stat dangling: file does not exist\n",
		"svscan: warning: unable to stat round: symbolic link loop\n",
	} {
		if !strings.Contains(x.saidText(), want) {
			t.Errorf("%q lacks %q", x.saidText(), want)
		}
	}
}

// With SUPERVISEDIR nothing is written below the services.
func TestElsewhere(t *testing.T) {
	x := services(t)
	os.WriteFile(filepath.Join(x.dir, "s/run"), []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755)
	os.RemoveAll(filepath.Join(x.dir, "s/log"))
	base := t.TempDir()
	x.shell(":", "SUPERVISEDIR="+base)
	file := filepath.Join(base, strings.ReplaceAll(x.dir[1:], "/", ":")+":s", "ok")
	x.until("it is kept", func() bool {
		fd, err := unix.Open(file, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		unix.Close(fd)
		return err == nil
	})
	if names, err := os.ReadDir(filepath.Join(x.dir, "s")); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
	x.stop()
}

// Nothing reads svscan's messages: the services do not notice.
func TestNobodyListens(t *testing.T) {
	x := services(t)
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		x.write(name+strings.Repeat("x", 200)+"/log/run", "") // without run
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// Small, so that it is full at once.
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString(strings.Repeat("x", 4096)); err != nil {
		t.Fatal(err)
	}
	x.said = w
	x.start()
	s := x.dirOf("s")
	x.until("s is up", func() bool { return pid(s) != 0 })
	for range 3 { // starts of the others go wrong all the time
		first := pid(s)
		if err := s.Control([]byte("t")); err != nil {
			t.Fatal(err)
		}
		x.until("s is up again", func() bool { return pid(s) != 0 && pid(s) != first })
	}
	x.stop()
	w.Close()
}
