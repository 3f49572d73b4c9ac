package supervise

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/procfs"
	"paperpath/service"
	"paperpath/test/bin"
)

// asService makes the test binary a service that sends the value of the variable by
// sd_notify's protocol, and then sleeps.
const asService = "PAPERPATH_TEST_NOTIFY"

func TestMain(m *testing.M) {
	if text := os.Getenv(asService); text != "" {
		notify(os.Getenv("NOTIFY_SOCKET"), text)
		if os.Getenv(asService+"_ONLY") != "" {
			os.Exit(0)
		}
		time.Sleep(time.Hour)
	}
	bin.Main(m)
}

func notify(address, text string) error {
	c, err := net.Dial("unixgram", address)
	if err == nil {
		_, err = c.Write([]byte(text))
		c.Close()
	}
	return err
}

// started starts a service with these files in its directory.
func started(t *testing.T, files map[string]string) *running {
	t.Helper()
	return startIn(t, serviceDir(t, files))
}

func serviceDir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (x *running) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(x.path, name))
	return string(b)
}

func TestFinish(t *testing.T) {
	x := started(t, map[string]string{
		"run":    "#!/bin/sh\ntest -e second && exec sleep 1000\ntouch second\necho $$ >first\nexit 3\n",
		"finish": "#!/bin/sh\npwd >where\necho \"$@\" >>finished\n",
	})
	first := func() string { return strings.TrimSpace(x.read("first")) }
	x.until("up again", func() bool { s := x.status(); return s.PID != 0 && s.Restarts == 1 })
	if got, want := x.read("finished"), "3 0 "+x.path+" "+first()+"\n"; got != want {
		t.Errorf("finish got %q, want %q", got, want)
	}
	if got := x.read("where"); got != x.path+"\n" {
		t.Errorf("finish ran in %q", got)
	}
	second := x.status().PID
	x.order("dk")
	x.until("down", func() bool { s := x.status(); return s.Phase == service.PhaseDown })
	if got, want := x.read("finished"), "3 0 "+x.path+" "+first()+"\n256 9 "+x.path+" "+strconv.Itoa(second)+"\n"; got != want &&
		got != strings.Replace(want, "256 9", "256 15", 1) {
		t.Errorf("finish got %q, want %q", got, want)
	}
	if last := x.status().Last; !last.Known || last.Signal == 0 {
		t.Errorf("last end: %+v", last)
	}
}

// A finish that does not end is killed; after one that exits 125 the service has
// failed.
func TestFinishTakesLong(t *testing.T) {
	x := started(t, map[string]string{
		"run":            "#!/bin/sh\nexit 0\n",
		"finish":         "#!/bin/sh\necho x >>finished\nexec sleep 1000\n",
		"timeout-finish": "100\n",
	})
	x.until("finished twice", func() bool { return len(x.read("finished")) >= 4 })
	os.WriteFile(x.path+"/finish", []byte("#!/bin/sh\nexit 125\n"), 0o755)
	x.until("failed", func() bool { return x.status().Phase == service.PhaseFailed })
	if s := x.status(); s.Want != service.Down || s.PID != 0 || !s.Due.IsZero() {
		t.Errorf("%+v", s)
	}
	x.order("x")
	x.end()
	if want := "supervise: warning: " + x.path + "/finish takes too long: killing it\n"; !strings.Contains(x.said.String(), want) {
		t.Errorf("%q lacks %q", x.said.String(), want)
	}
}

func TestPermafail(t *testing.T) {
	x := started(t, map[string]string{"run": "#!/bin/sh\necho x >>starts\nexit 100\n"})
	x.until("started three times", func() bool { return len(x.read("starts")) >= 6 })
	os.WriteFile(x.path+"/permafail", nil, 0o644)
	x.until("failed", func() bool { return x.status().Phase == service.PhaseFailed })
	if s := x.status(); s.Last != (service.Ending{Known: true, Code: 100}) {
		t.Errorf("%+v", s)
	}
	before := x.read("starts")
	x.order("u")
	x.until("tried once more", func() bool { return x.read("starts") == before+"x\n" && x.status().Phase == service.PhaseFailed })
}

func TestNotificationFD(t *testing.T) {
	x := started(t, map[string]string{
		"run":             "#!/bin/sh\nuntil test -e go; do sleep 0.1; done\necho >&7\nexec 7>&-\nexec sleep 1000\n",
		"notification-fd": "7\n",
	})
	x.until("starting", func() bool { s := x.status(); return s.PID != 0 && s.Phase == service.PhaseStarting })
	// Who supervises it may change meanwhile.
	x.kill()
	before := x.status()
	again := startIn(t, x.path)
	os.WriteFile(x.path+"/go", nil, 0o644)
	again.until("ready", func() bool { s := again.status(); return s.Phase == service.PhaseUp && !s.Ready.IsZero() })
	if s := again.status(); s.PID != before.PID || s.Ready.Before(s.Stamp) {
		t.Errorf("%+v, it was %+v", s, before)
	}
}

func TestNotificationSocket(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := "#!/bin/sh\necho $NOTIFY_SOCKET >address\nuntil test -e go; do sleep 0.1; done\n"
	x := started(t, map[string]string{
		"run":                 run + asService + "='STATUS=well\nREADY=1' exec " + self + "\n",
		"notification-socket": "",
	})
	x.until("starting", func() bool {
		s := x.status()
		return s.PID != 0 && s.Phase == service.PhaseStarting && x.read("address") != ""
	})
	address := strings.TrimSpace(x.read("address"))
	if err := notify(address, "READY=1"); err != nil { // not by the service
		t.Fatal(err)
	}
	x.kill()
	x = startIn(t, x.path)
	if err := notify(address, "READY=1"); err != nil { // nor to the next supervisor
		t.Fatal(err)
	}
	x.order("p") // is heard after that
	x.until("paused", func() bool { return x.status().Paused })
	if s := x.status(); s.Phase != service.PhaseStarting {
		t.Errorf("anybody can make it ready: %+v", s)
	}
	x.order("c")
	os.WriteFile(x.path+"/go", nil, 0o644)
	x.until("ready", func() bool { return x.status().Phase == service.PhaseUp })
	// A child of the service may speak for it.
	os.WriteFile(x.path+"/run", []byte(run+asService+"=STOPPING=1 "+self+" &\nwait\n"), 0o755)
	x.order("k")
	x.until("stopping", func() bool { return x.status().Phase == service.PhaseStopping })
	exec.Command("sh", "-c", "kill -9 $(cat /proc/"+strconv.Itoa(x.status().PID)+"/task/*/children)").Run()
}

// A message of systemd-notify counts even if that has ended before it is read.
func TestNotificationByAProcessThatIsGone(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	x := started(t, map[string]string{
		"run": "#!/bin/sh\nuntil test -e go; do sleep 0.1; done\n" +
			asService + "=READY=1 " + asService + "_ONLY=1 " + self + "\n>said\nexec sleep 1000\n",
		"notification-socket": "",
	})
	x.until("starting", func() bool { s := x.status(); return s.PID != 0 && s.Phase == service.PhaseStarting })
	x.cmd.Process.Signal(syscall.SIGSTOP)
	os.WriteFile(x.path+"/go", nil, 0o644)
	x.until("said", func() bool { _, err := os.Stat(x.path + "/said"); return err == nil })
	x.cmd.Process.Signal(syscall.SIGCONT)
	x.until("ready", func() bool { return x.status().Phase == service.PhaseUp })
}

func TestDownSignalAndTimeoutKill(t *testing.T) {
	x := started(t, map[string]string{
		"run":          "#!/bin/sh\ntrap 'echo INT >>got' INT\ntrap '' TERM\nwhile :; do sleep 0.1; done\n",
		"down-signal":  "INT\n",
		"timeout-kill": "300\n",
	})
	x.until("up", func() bool { return x.status().PID != 0 })
	time.Sleep(100 * time.Millisecond) // for the trap
	x.order("d")
	x.until("down", func() bool { return x.status().PID == 0 })
	if s := x.status(); s.Last.Signal != int(syscall.SIGKILL) || x.read("got") != "INT\n" {
		t.Errorf("%+v, got %q", s, x.read("got"))
	}
}

// Orders remain valid when supervise is killed, but not after an order to exit, or
// after another boot.
func TestOrdersOutliveSupervise(t *testing.T) {
	x := started(t, map[string]string{"run": "#!/bin/sh\necho x >>starts\nexec sleep 1000\n"})
	x.until("up", func() bool { return x.read("starts") == "x\n" })
	x.order("d")
	x.until("down", func() bool { s := x.status(); return s.PID == 0 && s.Phase == service.PhaseDown })
	before := x.status()
	x.kill()
	x = startIn(t, x.path)
	x.order("h") // is heard after the beginning
	if s := x.status(); s.Want != service.Down || !s.Stamp.Equal(before.Stamp) || x.read("starts") != "x\n" {
		t.Errorf("after svc -d: %+v", s)
	}
	// Up in spite of a file down, also in the pause between two starts.
	os.WriteFile(x.path+"/down", nil, 0o644)
	os.WriteFile(x.path+"/run", []byte("#!/bin/sh\necho x >>starts\ntest -e stay && exec sleep 1000\n"), 0o755)
	x.order("u")
	x.until("in the pause", func() bool { return x.status().Phase == service.PhaseDelayed && len(x.read("starts")) >= 4 })
	x.kill()
	os.WriteFile(x.path+"/stay", nil, 0o644)
	x = startIn(t, x.path)
	x.until("up", func() bool { return x.status().PID != 0 })
	// An end that was asked for: down is down.
	x.order("dx")
	x.end()
	if !x.status().Exit {
		t.Errorf("%+v", x.status())
	}
	starts := x.read("starts")
	x = startIn(t, x.path)
	if s := x.status(); s.Want != service.Down || x.read("starts") != starts {
		t.Errorf("after svc -dx: %+v", s)
	}
	os.Remove(x.path + "/down")
	x.kill()
	// Another boot, or container.
	for _, change := range []func(*service.Status){
		func(s *service.Status) { s.Boot.ID++ },
		func(s *service.Status) { s.Boot.Init++ },
		func(s *service.Status) { s.Boot = procfs.Boot{} },
	} {
		s := x.status()
		if s.Want != service.Down {
			t.Fatalf("%+v", s)
		}
		change(&s)
		os.WriteFile(x.path+"/supervise/status", s.Append(nil), 0o644)
		x = startIn(t, x.path)
		x.until("up", func() bool { return x.status().PID != 0 })
		x.order("d")
		x.until("down", func() bool { return x.status().Phase == service.PhaseDown })
		x.kill()
	}
}

// A service that has failed stays failed.
func TestFailureOutlivesSupervise(t *testing.T) {
	x := started(t, map[string]string{"run": "#!/bin/sh\necho x >>starts\nexit 100\n", "permafail": ""})
	x.until("failed", func() bool { return x.status().Phase == service.PhaseFailed })
	x.kill()
	x = startIn(t, x.path)
	x.order("h")
	if s := x.status(); s.Phase != service.PhaseFailed || x.read("starts") != "x\n" {
		t.Errorf("%+v", s)
	}
}

// There is a warning if a service waits for one that is not supervised.
func TestAfterNobody(t *testing.T) {
	x := started(t, map[string]string{"run": "#!/bin/sh\nexec sleep 1000\n", "after": "databas\n"})
	x.until("waiting", func() bool { return x.status().Phase == service.PhaseWaiting })
	x.until("told", func() bool {
		return strings.Contains(x.said.String(), x.path+" waits for databas, which is not supervised\n")
	})
}

// A separate supervise waits for services in the same directory.
func TestAfter(t *testing.T) {
	base := t.TempDir()
	for name, text := range map[string]string{
		"db/run": "#!/bin/sh\nuntil test -e go; do sleep 0.1; done\necho >&3\nexec sleep 1000\n", "db/notification-fd": "3",
		"web/run": "#!/bin/sh\nexec sleep 1000\n", "web/after": "db\n",
	} {
		os.MkdirAll(filepath.Dir(filepath.Join(base, name)), 0o755)
		if err := os.WriteFile(filepath.Join(base, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	web := startIn(t, base+"/web")
	web.until("waiting", func() bool { return web.status().Phase == service.PhaseWaiting })
	db := startIn(t, base+"/db")
	db.until("starting", func() bool { return db.status().PID != 0 })
	if s := web.status(); s.Phase != service.PhaseWaiting {
		t.Errorf("%+v", s)
	}
	os.WriteFile(base+"/db/go", nil, 0o644)
	web.until("up", func() bool { return web.status().PID != 0 })
}

func TestCircle(t *testing.T) {
	services := after{"a": {"b", "x"}, "b": {"c"}, "c": {"b", "a"}, "d": {"a"}, "e": {"e"}}
	for _, c := range []struct{ name, next, want string }{
		{"a", "b", "a b c a"}, {"a", "x", ""}, {"d", "a", ""}, {"e", "e", "e e"}, {"c", "b", "c b c"},
	} {
		if got := strings.Join(cycle(services, c.name, c.next), " "); got != c.want {
			t.Errorf("%s, %s: %q, want %q", c.name, c.next, got, c.want)
		}
	}
}

type after map[string][]string

func (a after) Status(string) (s service.Status, ok bool) { return }
func (a after) After(name string) []string                { return a[name] }
