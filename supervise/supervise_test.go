package supervise

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/service"
	"paperpath/test/bin"
)

// running is a service under a real supervise.
type running struct {
	t    *testing.T
	path string
	dir  *service.Dir
	cmd  *exec.Cmd
	said proctest.Buffer

	killed bool
}

func start(t *testing.T, run string) *running { return started(t, map[string]string{"run": run}) }

// startIn starts supervise for a directory, perhaps with more files than usual.
func startIn(t *testing.T, dir string, files ...*os.File) *running {
	t.Helper()
	x := &running{t: t, path: dir}
	var err error
	if x.dir, err = service.Open(&proc.Env{}, x.path); err != nil {
		t.Fatal(err)
	}
	x.cmd = exec.Command(filepath.Join(bin.Dir(t), "supervise"), x.path)
	x.cmd.Stderr = &x.said
	x.cmd.ExtraFiles = files
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		x.dir.Control([]byte("dxk"))
		x.end()
		x.dir.Close()
	})
	x.until("supervised", func() bool { return x.dir.OK() == nil })
	return x
}

// kill ends supervise, but not the service, which has its descriptor 2 too.
func (x *running) kill() {
	x.cmd.Process.Kill()
	x.cmd.Process.Wait()
	x.killed = true
}

// end waits for supervise.
func (x *running) end() {
	x.t.Helper()
	if x.cmd.ProcessState != nil || x.killed {
		return
	}
	ended := make(chan error, 1)
	go func() { ended <- x.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			x.t.Errorf("supervise: %v: %s", err, x.said.String())
		}
	case <-time.After(30 * time.Second):
		x.t.Error("supervise does not end")
		x.cmd.Process.Kill()
		<-ended
	}
}

func (x *running) until(what string, ok func() bool) {
	x.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			status, err := x.dir.Status()
			x.t.Fatalf("never %s; status %+v, %v", what, status, err)
		}
	}
}

func (x *running) status() service.Status {
	s, _ := x.dir.Status()
	return s
}

func (x *running) order(letters string) {
	x.t.Helper()
	if err := x.dir.Control([]byte(letters)); err != nil {
		x.t.Fatal(err)
	}
}

// TERM ends the service, too: dying would leave it without a supervisor.
func TestTerm(t *testing.T) {
	x := start(t, "#!/bin/sh\nexec sleep 1000\n")
	x.until("up", func() bool { return x.status().PID != 0 })
	x.cmd.Process.Signal(syscall.SIGTERM)
	x.end()
	if s := x.status(); s.PID != 0 || s.Want != service.Down {
		t.Errorf("at the end %+v", s)
	}
	if x.dir.Locked() || x.dir.OK() == nil {
		t.Error("still looks supervised")
	}
}

// Once supervise is told to end, no orders in the fifo prevent that.
func TestOrdersAtTheEnd(t *testing.T) {
	for order, when := range map[string]service.Phase{"p": service.PhaseStopping, "u": service.PhaseFinishing, "o": service.PhaseFinishing} {
		x := started(t, map[string]string{
			"run":    "#!/bin/sh\ntrap 'sleep 0.3; exit' TERM\n: >begun\nwhile :; do sleep 0.1; done\n",
			"finish": "#!/bin/sh\nuntil test -e go; do sleep 0.1; done\n",
		})
		x.until("begun", func() bool { _, err := os.Stat(x.path + "/begun"); return err == nil })
		x.cmd.Process.Signal(syscall.SIGTERM)
		x.until("at its end", func() bool { return x.status().Phase == when })
		x.order(order)
		os.WriteFile(x.path+"/go", nil, 0o644)
		x.end()
	}
}

// The service gets descriptors 0 to 2 and default signals, whatever those of
// supervise are, and no other descriptor that supervise inherited.
func TestServiceInherits(t *testing.T) {
	extra, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	x := startIn(t, serviceDir(t, map[string]string{
		"run": "#!/bin/sh\n{ ls /proc/$$/fd; pwd; grep -E '^Sig(Blk|Ign)' /proc/self/status; } >seen\nmv seen saw\nexec sleep 1000\n",
	}), extra, extra)
	x.until("told", func() bool { _, err := os.Stat(x.path + "/saw"); return err == nil })
	b, err := os.ReadFile(x.path + "/saw")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(strings.ReplaceAll(string(b), "\t", ""))
	// From 10 on is where shells keep the script, and what they redirected.
	var fds []string
	for len(lines) > 0 && lines[0][0] != '/' {
		if len(lines[0]) == 1 {
			fds = append(fds, lines[0])
		}
		lines = lines[1:]
	}
	if got := strings.Join(fds, " "); got != "0 1 2" {
		t.Errorf("descriptors %s", got)
	}
	// The caller of the test may ignore some itself (nohup).
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, ignored, _ := strings.Cut(string(own), "SigIgn:\t")
	ignored, _, _ = strings.Cut(ignored, "\n")
	if want := []string{x.path, "SigBlk:0000000000000000", "SigIgn:" + ignored}; !slices.Equal(lines, want) {
		t.Errorf("%q, want %q", lines, want)
	}
}

// The reader of its messages has gone: that does not end the supervision.
func TestReaderGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	x := &running{t: t, path: serviceDir(t, map[string]string{"run": "#!/none\n"})}
	if x.dir, err = service.Open(&proc.Env{}, x.path); err != nil {
		t.Fatal(err)
	}
	defer x.dir.Close()
	x.cmd = exec.Command(filepath.Join(bin.Dir(t), "supervise"), x.path)
	x.cmd.Stderr = w
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	x.until("there was something to be said, twice", func() bool { return x.status().Restarts > 1 })
	x.order("x")
	x.end()
}

// V-06: a flood of bytes that are no orders, then an order.
func TestFlood(t *testing.T) {
	x := start(t, "#!/bin/sh\nexec sleep 1000\n")
	x.until("up", func() bool { return x.status().PID != 0 })
	first := x.status()
	x.order(strings.Repeat("z\x00\xff", 100000))
	if got := x.status(); got != first {
		t.Errorf("%+v, want %+v", got, first)
	}
	x.order("dx")
	x.end()
}

// V-16: whoever sends orders, the last one counts.
func TestManyOrders(t *testing.T) {
	x := start(t, "#!/bin/sh\nexec sleep 1000\n")
	var senders sync.WaitGroup
	for i := range 20 {
		senders.Go(func() {
			for range 25 {
				x.dir.Control([]byte("udpcto"[i%6 : i%6+1]))
			}
		})
	}
	senders.Wait()
	x.order("d")
	x.until("down", func() bool { s := x.status(); return s.PID == 0 && s.Want == service.Down })
	x.order("u")
	x.until("up", func() bool { s := x.status(); return s.PID != 0 && s.Want == service.Up })
	x.order("dx")
	x.end()
}

// V-01: a service that ends at once is started once a second, and its status is down
// in between.
func TestQuickExit(t *testing.T) {
	x := start(t, "#!/bin/sh\necho x >>starts\n")
	began := time.Now()
	starts := func() int { b, _ := os.ReadFile(x.path + "/starts"); return len(b) / 2 }
	x.until("started again", func() bool { return starts() >= 3 })
	if most := int(time.Since(began)/time.Second) + 2; starts() > most {
		t.Errorf("%d starts, at most %d", starts(), most)
	}
	x.until("seen down", func() bool { s := x.status(); return s.PID == 0 && s.Want == service.Up })
	x.order("x")
	x.end()
}

// No run, no execute permission, a directory: there is a message and another attempt
// every time.
func TestBadRun(t *testing.T) {
	x := start(t, "")
	os.Chmod(x.path+"/run", 0o644)
	x.until("down", func() bool { return x.status().PID == 0 })
	os.Remove(x.path + "/run")
	want := fmt.Sprintf("supervise: fatal: unable to start %s/run: file does not exist\n", x.path)
	x.until("tried again", func() bool { return strings.Contains(x.said.String(), want) })
	x.order("x")
	x.end()
}

// A control that is no fifo is refused, not read for ever.
func TestControlIsNoFIFO(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(dir+"/supervise", 0o700)
	os.WriteFile(dir+"/supervise/control", []byte("dx"), 0o600)
	out, err := exec.Command(filepath.Join(bin.Dir(t), "supervise"), dir).CombinedOutput()
	want := "supervise: fatal: unable to read " + dir + "/supervise/control: not a fifo\n"
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 111 || string(out) != want {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
}
