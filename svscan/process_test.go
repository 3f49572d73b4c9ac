package svscan

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Services get descriptors 0 to 2, and none of the others that svscan inherited or
// opened.
func TestServiceInherits(t *testing.T) {
	x := services(t)
	const tell = "#!/bin/sh\nls /proc/$$/fd >seen\nmv seen saw\n"
	x.write("s/run", tell+"exec sleep 1000\n")
	x.write("s/log/run", tell+"exec cat\n")
	x.write("bare/run", tell+"exec sleep 1000\n")
	extra, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	x.command().ExtraFiles = []*os.File{extra, extra}
	if err := x.svscan.Start(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"s", "s/log", "bare"} {
		x.until(name+" runs", func() bool { return x.read(name+"/saw") != "" })
		// From 10 on is where shells keep the script.
		fds := slices.DeleteFunc(strings.Fields(x.read(name+"/saw")), func(fd string) bool { return len(fd) > 1 })
		if got := strings.Join(fds, " "); got != "0 1 2" {
			t.Errorf("%s has descriptors %s", name, got)
		}
	}
	x.stop()
}

// The reader of its messages has gone: that ends neither svscan nor a service.
func TestReaderGone(t *testing.T) {
	x := services(t)
	x.write("broken/run", "#!/none\n")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	x.command().Stderr = w
	if err := x.svscan.Start(); err != nil {
		t.Fatal(err)
	}
	s, broken := x.dirOf("s"), x.dirOf("broken")
	x.until("s is up", func() bool { return pid(s) != 0 })
	x.until("there was something to be said, twice", func() bool {
		status, err := broken.Status()
		return err == nil && status.Restarts > 1
	})
	x.stop()
	w.Close()
}

// A process that a service leaves behind becomes svscan's child, as it would become
// that of process 1, and is reaped.
func TestSubreaper(t *testing.T) {
	x := services(t)
	x.write("s/run", "#!/bin/sh\necho $$ >>pids\n"+
		"(sh -c 'echo $$ >left.new; mv left.new left; exec sleep 1000' &)\nexec sleep 1000\n")
	x.start()
	x.until("something is left behind", func() bool { return x.read("s/left") != "" })
	left := strings.TrimSpace(x.read("s/left"))
	x.until("it is svscan's", func() bool {
		status, _ := os.ReadFile("/proc/" + left + "/status")
		return strings.Contains(string(status), "\nPPid:\t"+x.number()+"\n")
	})
	n, err := strconv.Atoi(left)
	if err != nil {
		t.Fatal(err)
	}
	unix.Kill(n, unix.SIGKILL)
	x.until("it is reaped", func() bool { return unix.Kill(n, 0) == unix.ESRCH })
	x.stop()
}
