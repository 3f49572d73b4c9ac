// Package pid1 runs svscan as the first process of a machine of its own, as a
// container engine would: process 1 of fresh pid, mount and network namespaces, with its
// own /proc, a root that may be read-only but for /run, and any user. What the
// tests see they see from outside.
package pid1

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"paperpath/test/bin"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(specVariable); text != "" {
		fmt.Fprintln(os.Stderr, "pid1:", enter(text))
		os.Exit(111)
	}
	bin.Main(m)
}

// each runs a test as root, who may write everywhere, and as a user whom nobody
// knows on a root that cannot be written to. (Where the test's own user is not
// root the first is root in a namespace.)
func each(t *testing.T, test func(t *testing.T, c *container)) {
	t.Run("root", func(t *testing.T) { test(t, newContainer(t)) })
	t.Run("read-only, user 12345", func(t *testing.T) {
		c := newContainer(t)
		c.spec.ReadOnly, c.spec.UID = true, 12345
		c.spec.Env = append(c.spec.Env, "SUPERVISEDIR=/run/supervise")
		c.must(os.Mkdir(c.path("run/supervise"), 0o777), os.Chmod(c.path("run/supervise"), 0o777))
		test(t, c)
	})
}

// running returns the one process of a name, if it is running.
func (c *container) running(name string) (found process, ok bool) {
	for _, p := range c.processes() {
		if p.name == name && p.state != "Z" {
			found, ok = p, true
		}
	}
	return found, ok
}

func (c *container) noZombies() bool {
	return !slices.ContainsFunc(c.processes(), func(p process) bool { return p.state == "Z" })
}

func TestTree(t *testing.T) {
	each(t, func(t *testing.T, c *container) {
		// A service with a logger, and one that writes to where svscan does.
		c.service("web", "exec 2>&1\necho web begins\ntrap 'echo web ends; kill $!; exit' TERM\nwhile :; do sleep 1000 & wait $!; done\n")
		c.service("web/log", "exec multilog t n3 /run/web\n")
		c.service("plain", "(: >/writable) 2>/dev/null\necho to stdout\necho to stderr >&2\nexec sleep 2000\n")
		c.service("off", "echo never >/run/never\n")
		c.write("service/off/down", "", 0o644)
		c.start()

		c.until("both streams come out", func() bool {
			return strings.Contains(c.stdout(), "to stdout\n") && strings.Contains(c.stderr(), "to stderr\n")
		})
		c.until("the log is written", func() bool { return strings.Contains(c.read("run/web/current"), " web begins\n") })
		if strings.Contains(c.stdout(), "web") {
			t.Errorf("what is logged comes out too: %q", c.stdout())
		}
		uid := fmt.Sprint(os.Getuid())
		if c.spec.UID >= 0 {
			uid = fmt.Sprint(c.spec.UID)
		}
		for _, p := range c.processes() {
			if want := strings.Join([]string{uid, uid, uid, uid}, "\t"); p.uids != want {
				t.Errorf("%+v is not user %s", p, uid)
			}
		}

		if status := c.stop(syscall.SIGTERM); status != 0 {
			t.Errorf("status %d", status)
		}
		if log := c.read("run/web/current"); !strings.HasSuffix(log, " web ends\n") {
			t.Errorf("what the service said at its end is not in the log: %q", log)
		}
		if info, err := os.Stat(c.path("run/web/current")); err != nil || info.Mode().Perm() != 0o744 {
			t.Errorf("multilog did not end in order: %v, %v", info, err)
		}
		if c.read("run/never") != "" {
			t.Error("a service with a file down ran")
		}
		if _, err := os.Stat(c.path("writable")); (err != nil) != c.spec.ReadOnly {
			t.Errorf("writing to the root: %v, read-only: %v", err, c.spec.ReadOnly)
		}
		if c.spec.ReadOnly {
			for _, name := range []string{"web/supervise", "web/log/supervise"} {
				if _, err := os.Lstat(c.path("service", name)); err == nil {
					t.Errorf("%s on a read-only root", name)
				}
			}
		}
	})
}

// A service that is killed is started again, and svscan says nothing of it.
func TestRestart(t *testing.T) {
	each(t, func(t *testing.T, c *container) {
		c.service("s", "echo $$ >>/run/pids\nexec sleep 3000\n")
		c.start()
		for n := 1; n <= 3; n++ {
			c.until("the service is up", func() bool {
				_, up := c.running("sleep")
				return up && strings.Count(c.read("run/pids"), "\n") == n
			})
			p, _ := c.running("sleep")
			if want := fmt.Sprintln(p.inside); !strings.HasSuffix(c.read("run/pids"), want) {
				t.Errorf("its number is %s, want %s", c.read("run/pids"), want)
			}
			c.must(unix.Kill(p.pid, unix.SIGKILL))
		}
		if status := c.stop(syscall.SIGTERM); status != 0 || c.stderr() != "" {
			t.Errorf("status %d, said %q", status, c.stderr())
		}
	})
}

// Orphans become children of process 1, which reaps them when they end, and
// leaves them alone until then. At the end they go with everything.
func TestOrphans(t *testing.T) {
	each(t, func(t *testing.T, c *container) {
		c.service("parent", "for i in 1 2 3 4 5 6 7 8 9 10; do (sleep 0.1 & ) ; done\n(sleep 4000 & )\necho >>/run/left\nexec sleep 5000\n")
		c.start()
		c.until("the orphans", func() bool { return c.read("run/left") != "" })
		c.until("those that ended are reaped, one is left", func() bool {
			orphans := 0
			for _, p := range c.processes() {
				if p.name == "sleep" && p.parent == c.cmd.Process.Pid {
					orphans++
				}
			}
			return c.noZombies() && orphans == 2 // it and the service itself
		})
		if status := c.stop(syscall.SIGTERM); status != 0 {
			t.Errorf("status %d", status)
		}
	})
}

// A storm of processes that come and go leaves no zombie.
func TestReapStorm(t *testing.T) {
	c := newContainer(t)
	c.service("storm", "i=0\nwhile test $i -lt 300; do (true & ) ; i=$((i+1)); done\necho >/run/done\nexec sleep 5000\n")
	c.start()
	c.until("the end of the storm", func() bool { return c.read("run/done") != "" })
	c.until("no zombies", c.noZombies)
	if status := c.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("status %d", status)
	}
}

// KILL comes for what does not listen, after the time that it has asked for.
func TestDeafService(t *testing.T) {
	c := newContainer(t)
	c.service("deaf", "trap '' TERM\necho >/run/up\nwhile :; do sleep 1000; done\n")
	c.write("service/deaf/timeout-kill", "200\n", 0o644)
	c.start()
	c.until("it is up", func() bool { return c.read("run/up") != "" })
	if status := c.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("status %d", status)
	}
}

// A second signal to end kills what does not listen.
func TestHurry(t *testing.T) {
	c := newContainer(t)
	c.service("deaf", "trap '' TERM\necho >/run/up\nwhile :; do sleep 1000; done\n")
	c.service("told", "trap 'echo told; kill $!; exit' TERM\necho >/run/up2\nwhile :; do sleep 1000 & wait $!; done\n")
	c.start()
	c.until("both are up", func() bool { return c.read("run/up") != "" && c.read("run/up2") != "" })
	c.must(c.cmd.Process.Signal(syscall.SIGTERM))
	c.until("the end has begun", func() bool { return c.stdout() == "told\n" })
	if status := c.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("status %d", status)
	}
}

// Signals that are not for process 1 change nothing, and reach nobody else;
// those that ask for the end are as good as TERM.
func TestSignals(t *testing.T) {
	for _, end := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		c := newContainer(t)
		c.service("s", "for s in HUP INT QUIT USR1 USR2 ALRM PIPE; do trap \"echo $s\" $s; done\n"+
			"trap 'echo TERM; kill $!; exit' TERM\n"+
			// ILL TRAP ABRT BUS FPE SEGV STKFLT XCPU VTALRM PROF IO SYS
			"for s in 4 5 6 7 8 11 16 24 26 27 29 31; do kill -$s 1; done\necho >/run/up\nwhile :; do sleep 1000 & wait $!; done\n")
		c.start()
		c.until("it is up", func() bool { return c.read("run/up") != "" })
		for range 40 { // of many that come at once some have to wait
			for _, sig := range []syscall.Signal{
				syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGPIPE, syscall.SIGWINCH, syscall.SIGCHLD,
				syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSTKFLT,
				syscall.SIGXCPU, syscall.SIGVTALRM, syscall.SIGPROF, syscall.SIGIO, syscall.SIGSYS,
			} {
				c.must(c.cmd.Process.Signal(sig))
			}
		}
		if status := c.stop(end); status != 0 {
			t.Errorf("%v: status %d", end, status)
		}
		if c.stdout() != "TERM\n" || c.stderr() != "" {
			t.Errorf("%v: %q, %q", end, c.stdout(), c.stderr())
		}
	}
}

// What depends on another service begins after it and ends before it, whatever
// the names.
func TestOrder(t *testing.T) {
	each(t, func(t *testing.T, c *container) {
		say := func(name, after string) {
			// Ready is when it has said so: before that nobody is kept waiting.
			c.write("service/"+name+"/notification-fd", "3\n", 0o644)
			c.service(name, "echo +"+name+" >>/run/events\necho >&3\ntrap 'kill $!; sleep 0.2; echo -"+name+" >>/run/events; exit' TERM\n"+
				"while :; do sleep 1000 & wait $!; done\n")
			if after != "" {
				c.write("service/"+name+"/after", after+"\n", 0o644)
			}
		}
		say("b", "c")
		say("c", "a")
		say("a", "")
		c.start()
		c.until("all are up", func() bool { return strings.Count(c.read("run/events"), "+") == 3 })
		if status := c.stop(syscall.SIGTERM); status != 0 {
			t.Errorf("status %d", status)
		}
		if got := strings.Fields(c.read("run/events")); !slices.Equal(got, []string{"+a", "+c", "+b", "-b", "-c", "-a"}) {
			t.Errorf("%v", got)
		}
	})
}

// The programs find the services' files where svscan has them.
func TestPrograms(t *testing.T) {
	each(t, func(t *testing.T, c *container) {
		c.service("s", "exec sleep 6000\n")
		c.service("probe", `
until svok /service/s; do sleep 0.05; done
svwait -t 30000 -u /service/s; echo svwait $?
svok /service/s; echo svok $?
svstat /service/s | sed 's/[0-9][0-9]*/N/g'
svstat -j /service/s | grep -c '"state":"up"'
svc -wd -T 30000 -d /service/s; echo svc $?
svstat /service/s | sed 's/[0-9][0-9]*/N/g'
svc -wu -T 30000 -u /service/s; echo svc $?
svwait -t 1 -d /service/s 2>&1; echo svwait $?
echo done
exec sleep 7000
`)
		c.start()
		c.until("the probe is done", func() bool { return strings.Contains(c.stdout(), "done\n") })
		want := `svwait 0
svok 0
/service/s: up (pid N) N seconds
1
svc 0
/service/s: down N seconds, normally up
svc 0
svwait: warning: /service/s is up
svwait: fatal: timed out
svwait 99
done
`
		if c.stdout() != want {
			t.Errorf("%q, want %q", c.stdout(), want)
		}
		c.stop(syscall.SIGTERM)
	})
}

// A new service is noticed, and HUP to process 1 is no end.
func TestNewService(t *testing.T) {
	c := newContainer(t)
	c.service("first", "exec sleep 1000\n")
	c.start()
	c.until("the first", func() bool { _, ok := c.running("sleep"); return ok })
	c.write("service/.later/run", "#!/bin/sh\necho here\nexec sleep 1000\n", 0o755)
	c.must(os.Rename(c.path("service/.later"), c.path("service/later")))
	c.must(c.cmd.Process.Signal(syscall.SIGHUP))
	c.until("the second", func() bool { return c.stdout() == "here\n" })
	if status := c.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("status %d", status)
	}
}
