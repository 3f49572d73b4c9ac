package svscan

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// The runtime ends the process if it needs another thread and gets none, as happens
// when a service has used up the limit of processes. So svscan has all its threads
// before it starts anything.
func TestThreads(t *testing.T) {
	x := services(t)
	x.start()
	s := x.dirOf("s")
	x.until("s is up", func() bool { return pid(s) != 0 })
	threads := func() int {
		tasks, err := os.ReadDir("/proc/" + strconv.Itoa(x.svscan.Process.Pid) + "/task")
		if err != nil {
			t.Skip(err)
		}
		return len(tasks)
	}
	first := threads()
	elsewhere := t.TempDir()
	for i := range 40 {
		name := "n" + strconv.Itoa(i)
		os.Mkdir(filepath.Join(elsewhere, name), 0o755)
		os.WriteFile(filepath.Join(elsewhere, name, "run"), []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755)
		os.Symlink(filepath.Join(elsewhere, name), filepath.Join(x.dir, name))
		x.svscan.Process.Signal(unix.SIGHUP)
	}
	x.until("all are up", func() bool { return x.up(40) == 40 })
	if last := threads(); last != first {
		t.Errorf("%d threads, and then %d", first, last)
	}
	x.stop()
}

// Services that a predecessor left behind, and that svscan could not take over for
// lack of descriptors, are stopped with the others.
func TestFewerDescriptors(t *testing.T) {
	const n = 20
	x := services(t)
	for i := range n {
		name := "n" + strconv.Itoa(i)
		x.write(name+"/run", "#!/bin/sh\nexec sleep 1000\n")
		x.write(name+"/log/run", "#!/bin/sh\nexec cat\n")
	}
	x.start()
	x.until("all are up", func() bool { return x.up(n) == n })
	logger := x.dirOf("n" + strconv.Itoa(n-1) + "/log")
	x.until("their loggers, too", func() bool { return pid(logger) != 0 })
	x.svscan.Process.Kill()
	x.svscan.Wait()
	x.shell("ulimit -n 70")
	x.until("some are not taken over", func() bool { return x.saidText() != "" })
	x.stop()
}
