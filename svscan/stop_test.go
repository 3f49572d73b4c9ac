package svscan

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/service"
)

// A logger is told to end when its pipe has been empty for logGrace, never while
// there is something to read, and is killed when its timeout-kill says so.
func TestLogOrders(t *testing.T) {
	x := services(t)
	dir := x.dirOf("s/log")
	owner, err := dir.Acquire("s/log")
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	is := func(status service.Status) {
		t.Helper()
		status.Stamp = time.Now()
		if err := owner.Announce(status); err != nil {
			t.Fatal(err)
		}
	}
	from, to, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	s := &scanner{stopping: 1}
	v := &entry{from: from, log: guard{name: "s/log", dir: dir}}
	start := time.Now()
	after := func(what string, d time.Duration, want string) {
		t.Helper()
		now := start.Add(d)
		got := v.logOrders(s, now)
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
		if v.log.orders == "" {
			v.log.orders, v.log.since = got, now
		}
	}

	is(service.Status{PID: 1, Want: service.Up})
	to.Write([]byte("line\n"))
	after("at first", 0, drainOrders)
	from.Read(make([]byte, 100))
	after("it has read all", time.Second, drainOrders)
	after("a bit later", time.Second+logGrace-1, drainOrders)
	to.Write([]byte("line\n"))
	after("somebody has written", time.Second+logGrace, drainOrders)
	from.Read(make([]byte, 100))
	after("that is read", 8*time.Second, drainOrders)
	after("a bit later again", 8*time.Second+logGrace-1, drainOrders)
	after("nobody writes, the end does not come", 8*time.Second+logGrace, end)

	to.Write([]byte("line\n"))
	after("somebody writes again and again", writerGrace-1, drainOrders)
	after("and does not stop", writerGrace, end)
	to.Close()
	after("nobody can write, the logger is slow", time.Hour, drainOrders)

	v.empty = time.Time{}
	is(service.Status{Want: service.Up})
	after("it does not run", 3*time.Hour, drainOrders)
	after("nor later", 3*time.Hour+logGrace, end)

	is(service.Status{PID: 1, Want: service.Up})
	s.stopping = 2
	after("the second signal is for services", 4*time.Hour, drainOrders)
	s.stopping = 3
	after("the third one for loggers", 4*time.Hour, endKilled)

	s.stopping, v.log.orders = 1, ""
	x.write("s/log/timeout-kill", "60000\n")
	after("it says how long", 5*time.Hour, drainOrders)
	after("that is not over", 5*time.Hour+time.Minute-1, drainOrders)
	after("it is", 5*time.Hour+time.Minute, endKilled)

	v.log.orders = ""
	is(service.Status{Want: service.Down})
	after("it is down and to be so", 6*time.Hour, end)
}

// A logger may take its time for what it has not read when its service ends.
func TestSlowLogger(t *testing.T) {
	x := services(t)
	x.write("s/run", "#!/bin/sh\ntrap 'echo last; exit' TERM\nfor i in 1 2 3 4 5 6 7; do echo $i; done\necho up >up\nwhile :; do sleep 0.1; done\n")
	x.write("s/log/run", "#!/bin/sh\nwhile read -r line; do sleep 0.9; echo $line >>out; done\n")
	x.write("m/run", "#!/bin/sh\ntrap 'echo last; exit' TERM\n"+
		"i=0; while test $i -lt 500; do i=$((i+1)); echo $i 45678901234567890123456789; done\necho up >up\nwhile :; do sleep 0.1; done\n")
	x.write("m/log/run", "#!/bin/sh\nexec multilog s8192 n9 '!sleep 3; cat' ./main\n")
	x.start()
	for _, name := range []string{"s", "m"} {
		x.until(name+" has written", func() bool { return x.read(name+"/up") != "" })
	}
	x.stop()
	if got := x.read("s/log/out"); got != "1\n2\n3\n4\n5\n6\n7\nlast\n" {
		t.Errorf("log of s: %q", got)
	}
	files, _ := filepath.Glob(filepath.Join(x.dir, "m/log/main/@*"))
	text := ""
	for _, file := range append(files, filepath.Join(x.dir, "m/log/main/current")) {
		b, _ := os.ReadFile(file)
		text += string(b)
	}
	if lines := strings.Count(text, "\n"); lines != 501 || !strings.HasSuffix(text, "\nlast\n") {
		t.Errorf("log of m has %d lines", lines)
	}
}

// At the end the order is right for a service that comes after a logger, for a logger
// that comes after a service, and for one that comes after a second name.
func TestOrderOfLoggers(t *testing.T) {
	x := services(t)
	os.RemoveAll(filepath.Join(x.dir, "s"))
	logger := func(name string) string {
		return "#!/bin/sh\ncat >/dev/null\necho -" + name + " >>../../order\n"
	}
	x.write("aa/run", noting("aa", "echo >&5"))
	x.write("aa/notification-fd", "5\n")
	x.write("aa/log/run", logger("aa/log"))
	os.Symlink("aa", filepath.Join(x.dir, "db"))
	x.write("web/run", noting("web", "")) // comes after a second name
	x.write("web/after", "db\n")
	x.write("zz/run", noting("zz", "")) // comes after a logger
	x.write("zz/after", "aa/log\nweb\n")
	x.write("b/run", strings.Replace(noting("b", ""), "trap '", "trap 'sleep 1; ", 1))
	x.write("b/log/run", logger("b/log")) // comes after a service
	x.write("b/log/after", "web\n")
	x.start()
	for _, name := range []string{"aa", "aa/log", "web", "zz", "b", "b/log"} {
		d := x.dirOf(name)
		x.until(name+" is up", func() bool { return pid(d) != 0 })
	}
	for _, name := range []string{"aa", "web", "zz", "b"} {
		x.until(name+" is on its way", func() bool { return strings.Contains(x.read("order"), "+"+name+"\n") })
	}
	x.stop()
	order := x.read("order")
	for _, c := range [][2]string{
		{"-web", "-aa"}, {"-zz", "-web"}, {"-zz", "-aa/log"}, {"-aa", "-aa/log"}, {"-b", "-b/log"}, {"-b/log", "-web"},
	} {
		first, second := strings.Index(order, c[0]+"\n"), strings.Index(order, c[1]+"\n")
		if first < 0 || second < 0 || first > second {
			t.Errorf("%s is not before %s: %q", c[0], c[1], order)
		}
	}
}

// Loggers that wait for each other in a cycle end after their services.
func TestCircleOfLoggers(t *testing.T) {
	x := services(t)
	x.write("u/run", "#!/bin/sh\nexec sleep 1000\n")
	x.write("u/log/run", "#!/bin/sh\nexec cat >>out\n")
	x.write("s/run", "#!/bin/sh\necho $$ >>pids\ntrap 'echo last; exit' TERM\necho line\nwhile :; do sleep 0.1; done\n")
	x.write("s/log/after", "u/log\n")
	x.write("u/log/after", "s/log\ns\n")
	x.write("s/after", "u/log\n")
	x.start()
	x.until("a line in the log", func() bool { return x.read("s/log/out") == "line\n" })
	x.stop()
	if got := x.read("s/log/out"); got != "line\nlast\n" {
		t.Errorf("log of s: %q", got)
	}
}

// An svscan that is told to end when it has hardly begun to take over another one's
// services leaves none of them running.
func TestStopWhileTakingOver(t *testing.T) {
	const n = batch + 60
	x := services(t)
	for i := range n {
		x.write("n"+strconv.Itoa(i)+"/run", "#!/bin/sh\nexec sleep 1000\n")
	}
	last := "n" + strconv.Itoa(n-1)
	x.write(last+"/run", "#!/bin/sh\ntrap 'echo last; exit' TERM\necho line\nwhile :; do sleep 0.1; done\n")
	x.write(last+"/log/run", "#!/bin/sh\nexec cat >>out\n")
	x.start()
	x.until("all are up", func() bool { return x.up(n) == n })
	x.until("a line in the log", func() bool { return x.read(last+"/log/out") == "line\n" })
	x.svscan.Process.Kill()
	x.svscan.Wait()
	x.start()
	s := x.dirOf("n0")
	x.until("it begins", s.Locked)
	x.stop()
	if got := x.read(last + "/log/out"); got != "line\nlast\n" {
		t.Errorf("log: %q", got)
	}
}

// A service that cannot be taken over, because its files cannot be opened, is stopped
// with the others.
func TestStopWithoutFiles(t *testing.T) {
	x := services(t)
	x.start()
	s, log := x.dirOf("s"), x.dirOf("s/log")
	x.until("both are up", func() bool { return pid(s) != 0 && pid(log) != 0 })
	x.svscan.Process.Kill()
	x.svscan.Wait()
	for _, file := range []string{"s/supervise/control", "s/log/supervise/lock"} {
		file = filepath.Join(x.dir, file)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(file, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	x.start()
	x.until("it says so", func() bool {
		return strings.Contains(x.saidText(), "supervise: fatal: unable to read s/supervise/control: ") &&
			strings.Contains(x.saidText(), "supervise: fatal: unable to acquire s/log/supervise/lock: ")
	})
	x.stop()
}

// A separate supervise that is suspended, with a full fifo, does not keep other
// services from being stopped, nor svscan from ending at last.
func TestStopBesideStopped(t *testing.T) {
	x := services(t)
	os.RemoveAll(filepath.Join(x.dir, "s/log"))
	x.write("u/run", "#!/bin/sh\nexec sleep 1000\n")
	guard := x.supervise(".", "s")
	s, u := x.dirOf("s"), x.dirOf("u")
	x.until("s is up", func() bool { return pid(s) != 0 })
	x.start()
	x.until("u is up", func() bool { return pid(u) != 0 })
	guard.Process.Signal(unix.SIGSTOP)
	letters := []byte(strings.Repeat("z", 512))
	for {
		if err := s.TryControl(letters); err != nil {
			break
		}
	}
	x.svscan.Process.Signal(syscall.SIGTERM)
	x.until("u is down", func() bool { return u.OK() != nil })
	x.svscan.Process.Signal(syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- x.svscan.Wait() }()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("svscan does not end")
	}
	if code := x.svscan.ProcessState.ExitCode(); code != 111 {
		t.Errorf("exit status %d", code)
	}
	for _, want := range []string{
		"svscan: warning: unable to stop s: what supervises it does not obey\n",
		"svscan: fatal: not every service has ended\n",
	} {
		if !strings.Contains(x.saidText(), want) {
			t.Errorf("%q lacks %q", x.saidText(), want)
		}
	}
	x.svscan = nil
	unix.Kill(pid(s), unix.SIGKILL)
}

// A process that a service left behind holds the pipe open: the logger does not end
// by itself, and is told to end when it has nothing to read.
func TestPipeHeldOpen(t *testing.T) {
	x := services(t)
	x.write("s/run", "#!/bin/sh\necho $$ >>pids\necho line\n(cd /; exec sleep 1000) &\necho $! >left\nexec sleep 1000\n")
	x.start()
	x.until("a line in the log", func() bool { return x.read("s/log/out") == "line\n" })
	x.until("something is left behind", func() bool { return x.read("s/left") != "" })
	left, err := strconv.Atoi(strings.TrimSpace(x.read("s/left")))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Kill(left, unix.SIGKILL)
	x.stop()
}

// The log pipe of a service that was not taken in before the end is checked, too.
func TestOpenAll(t *testing.T) {
	x := services(t)
	x.write("s/log/run", "#!/bin/sh\nexec sleep 1000\n")
	x.start()
	s, log := x.dirOf("s"), x.dirOf("s/log")
	x.until("both are up", func() bool { return pid(s) != 0 && pid(log) != 0 })
	x.svscan.Process.Kill()
	x.svscan.Wait()
	t.Chdir(x.dir)
	v := &entry{name: "s"}
	defer v.close()
	if err := v.openAll(&scanner{host: host(t), env: &proc.Env{}}); err != nil {
		t.Fatal(err)
	}
	x.until("a line is in the pipe", v.unread)
	for _, d := range []*service.Dir{s, log} {
		status, err := d.Status()
		if err != nil || status.PID == 0 {
			t.Fatalf("%+v, %v", status, err)
		}
		unix.Kill(status.PID, unix.SIGKILL)
	}
}
