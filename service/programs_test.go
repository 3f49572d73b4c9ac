package service

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

// supervised makes a service directory "s" with the files of a supervise that
// runs.
func supervised(t *testing.T) (base string, owner *Owner) {
	base = t.TempDir()
	if err := os.Mkdir(filepath.Join(base, "s"), 0o755); err != nil {
		t.Fatal(err)
	}
	d, err := Open(&proc.Env{Dir: base}, "s")
	if err != nil {
		t.Fatal(err)
	}
	owner, err = d.Acquire("s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { owner.Close(); d.Close() })
	if err := owner.Announce(Status{Stamp: time.Now(), PID: 42, Want: Up}); err != nil {
		t.Fatal(err)
	}
	if err := owner.Ready(); err != nil {
		t.Fatal(err)
	}
	return base, owner
}

func run(p *proc.Program, base string, args ...string) proctest.Result {
	return proctest.Run(p, proctest.Case{Dir: base, Args: args})
}

func TestOwnerFiles(t *testing.T) {
	base, _ := supervised(t)
	for name, mode := range map[string]os.FileMode{
		"":         os.ModeDir | 0o700,
		"/lock":    0o600,
		"/control": os.ModeNamedPipe | 0o600,
		"/ok":      os.ModeNamedPipe | 0o600,
	} {
		info, err := os.Stat(base + "/s/supervise" + name)
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v; want mode %v", name, info, err, mode)
		}
	}
	if info, err := os.Stat(base + "/s/supervise/status"); err != nil || info.Size() != statusLen || info.Mode()&^0o044 != 0o600 {
		t.Errorf("status: %v, %v", info, err)
	}
}

func TestSecondOwner(t *testing.T) {
	base, owner := supervised(t)
	d, err := Open(&proc.Env{Dir: base}, "s")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if !d.Locked() {
		t.Error("not locked")
	}
	_, err = d.Acquire("s")
	if err == nil || err.Error() != "unable to acquire s/supervise/lock: temporary failure" {
		t.Errorf("a second supervise: %v", err)
	}
	owner.Close()
	if d.Locked() {
		t.Error("locked after the end")
	}
	if r := run(&Svok, base, "s"); r.Status != 100 || r.Err != "" {
		t.Errorf("svok after the end: %+v", r)
	}
	if r := run(&Svstat, base, "s"); r.Out != "s: supervise not running\n" {
		t.Errorf("svstat after the end: %+v", r)
	}
	if r := run(&Svc, base, "-u", "s"); r.Status != 0 || r.Err != "svc: warning: unable to control s: supervise not running\n" {
		t.Errorf("svc after the end: %+v", r)
	}
}

// Debian keeps the files elsewhere, through a link whose target may not exist yet.
func TestDanglingLink(t *testing.T) {
	base := t.TempDir()
	os.Mkdir(base+"/s", 0o755)
	if err := os.Symlink(base+"/elsewhere", base+"/s/supervise"); err != nil {
		t.Fatal(err)
	}
	d, err := Open(&proc.Env{Dir: base}, "s")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	owner, err := d.Acquire("s")
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	if _, err := os.Stat(base + "/elsewhere/lock"); err != nil {
		t.Error(err)
	}
}

func TestSvcWritesLettersOnce(t *testing.T) {
	base, owner := supervised(t)
	if r := run(&Svc, base, "-u", "-dux", "-td", "s"); r.Status != 0 || r.Err != "" {
		t.Fatalf("%+v", r)
	}
	var b [20]byte
	if n, err := owner.Control().Read(b[:]); err != nil || string(b[:n]) != "udxt" {
		t.Errorf("%q, %v", b[:n], err)
	}
}

// The letters of one svc stay together, even if others send at the same time.
func TestSvcTogether(t *testing.T) {
	base, owner := supervised(t)
	var wait sync.WaitGroup
	const each = 50
	for _, letters := range []string{"-ud", "-pc"} {
		wait.Go(func() {
			for range each {
				if r := run(&Svc, base, letters, "s"); r.Err != "" {
					t.Error(r.Err)
				}
			}
		})
	}
	wait.Wait()
	text := make([]byte, 4*each)
	n, err := owner.Control().Read(text)
	if err != nil || n != len(text) || len(strings.ReplaceAll(strings.ReplaceAll(string(text), "ud", ""), "pc", "")) != 0 {
		t.Errorf("%q, %v", text[:n], err)
	}
}

// A control file that is no fifo might be any file: nothing is written to it.
func TestSvcSparesFiles(t *testing.T) {
	base := t.TempDir()
	os.MkdirAll(base+"/file/supervise", 0o755)
	os.MkdirAll(base+"/link/supervise", 0o755)
	precious := base + "/file/supervise/control"
	if err := os.WriteFile(precious, []byte("root:x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, base+"/link/supervise/control"); err != nil {
		t.Fatal(err)
	}
	r := run(&Svc, base, "-dx", "file", "link", "none")
	want := "svc: warning: unable to control file: not a fifo\n" +
		"svc: warning: unable to control link: symbolic link loop\n" +
		"svc: warning: unable to chdir to none: file does not exist\n"
	if r.Status != 0 || r.Err != want {
		t.Errorf("%+v, want %q", r, want)
	}
	if b, _ := os.ReadFile(precious); string(b) != "root:x" {
		t.Errorf("overwritten: %q", b)
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		p      *proc.Program
		args   []string
		status int
		err    string
	}{
		{&Svok, nil, 100, "svok: usage: svok dir\n"},
		{&Svok, []string{"none"}, 111, "svok: fatal: unable to chdir to none: file does not exist\n"},
		{&Svok, []string{""}, 111, "svok: fatal: unable to chdir to : file does not exist\n"},
		{&Svc, nil, 0, ""},
		{&Svc, []string{"-q"}, 100, "svc: illegal option -- q\n" + svcOptions + "\n"},
		{&Svstat, nil, 0, ""},
	} {
		if r := run(c.p, t.TempDir(), c.args...); r.Status != c.status || r.Err != c.err || r.Out != "" {
			t.Errorf("%s %q: %+v", c.p.Name, c.args, r)
		}
	}
}

func TestSvstat(t *testing.T) {
	base, owner := supervised(t)
	status := base + "/s/supervise/status"
	for _, c := range []struct {
		prepare func()
		want    string
	}{
		{func() {}, "s: up (pid 42) 0 seconds\n"},
		{func() { os.WriteFile(base+"/s/down", nil, 0o644) }, "s: up (pid 42) 0 seconds, normally down\n"},
		{func() { owner.Announce(Status{Stamp: time.Now().Add(time.Hour), Want: Up}) }, "s: down 0 seconds, want up\n"},
		{func() { os.WriteFile(status, []byte(fromC[:17]), 0o644) }, "s: unable to read supervise/status: bad format\n"},
		{func() { os.WriteFile(status, nil, 0o644) }, "s: unable to read supervise/status: bad format\n"},
		{func() { os.Remove(status); os.Mkdir(status, 0o755) }, "s: unable to read supervise/status: is a directory\n"},
		{func() { os.Remove(status) }, "s: unable to open supervise/status: file does not exist\n"},
		{func() { os.Remove(base + "/s/supervise/ok") }, "s: unable to open supervise/ok: file does not exist\n"},
		{func() { os.Remove(base + "/s/down"); os.Symlink("down", base+"/s/down") }, "s: unable to stat down: symbolic link loop\n"},
		{func() { os.Rename(base+"/s", base+"/t") }, "s: unable to chdir: file does not exist\n"},
		{func() { os.WriteFile(base+"/s", nil, 0o644) }, "s: unable to chdir: not a directory\n"},
	} {
		c.prepare()
		r := run(&Svstat, base, "s")
		// A second may pass between Announce and svstat.
		if got := strings.Replace(r.Out, " 1 seconds", " 0 seconds", 1); got != c.want || r.Status != 0 || r.Err != "" {
			t.Errorf("%+v, want %q", r, c.want)
		}
	}
}

// Without search permission on the directory itself chdir(2) fails, and so do
// we.
func TestNoSearchPermission(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may search everything")
	}
	base, _ := supervised(t)
	unix.Chmod(base+"/s", 0o600)
	defer unix.Chmod(base+"/s", 0o700)
	if r := run(&Svstat, base, "s"); r.Out != "s: unable to chdir: access denied\n" {
		t.Errorf("%+v", r)
	}
}

// SUPERVISEDIR puts the files where daemontools-encore would look for them, and
// programs with the same SUPERVISEDIR find them there.
func TestElsewhere(t *testing.T) {
	for _, base := range []string{"state", t.TempDir() + "/run/"} {
		services := t.TempDir()
		if err := os.MkdirAll(services+"/real/log", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("real", services+"/s"); err != nil {
			t.Fatal(err)
		}
		env := &proc.Env{Dir: services, Vars: proc.Vars{"SUPERVISEDIR=" + base}}
		d, err := Open(env, "s")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		log, err := d.Sub("log")
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		for _, d := range []*Dir{d, log} {
			if _, err := d.Acquire("s"); err != nil {
				t.Fatalf("in %s: %v", base, err)
			}
		}
		want := []string{services + "/real/state/lock", services + "/real/log/state/lock"}
		if base != "state" {
			path := strings.ReplaceAll(services[1:]+"/real", "/", ":")
			want = []string{base + path + "/lock", base + path + ":log/lock"}
		}
		for _, name := range want {
			if _, err := os.Stat(name); err != nil {
				t.Error(err)
			}
		}
		if _, err := os.Stat(services + "/real/supervise"); err == nil {
			t.Error("there is a supervise, too")
		}
		again, err := Open(env, services+"/real/.")
		if err != nil || !again.Locked() {
			t.Errorf("by another name it is not found: %v", err)
		}
		again.Close()
		// Without /proc it is the same place.
		for _, d := range []*Dir{d, log} {
			path, err := d.path()
			if resolved, errResolved := resolve(d.name); err != nil || errResolved != nil || path != resolved {
				t.Errorf("%q, %v; resolved %q, %v", path, err, resolved, errResolved)
			}
		}
	}
}

// Errors below SUPERVISEDIR are reported with its path, those in supervise/ in the
// words of daemontools.
func TestElsewhereMissing(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("loop", dir+"/loop"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir+"/s/supervise/lock", 0o755); err != nil {
		t.Fatal(err)
	}
	name := strings.ReplaceAll(dir[1:], "/", ":") + ":s"
	for base, want := range map[string]string{
		"":                    "s/supervise/lock: is a directory",
		"state/s":             "s/state/s/lock: file does not exist",
		dir + "/loop":         dir + "/loop/" + name + "/lock: symbolic link loop",
		dir + "/none/but/one": dir + "/none/but/one/" + name + "/lock: file does not exist",
		// Nobody can make a directory here, for a reason that is not ENOENT.
		"/sys/paperpath": "/sys/paperpath/" + name + "/lock: ",
	} {
		d, err := Open(&proc.Env{Dir: dir, Vars: proc.Vars{"SUPERVISEDIR=" + base}}, "s")
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Acquire("s")
		if err == nil || !strings.HasPrefix(err.Error(), "unable to acquire "+want) {
			t.Errorf("%q: %v, want %q", base, err, want)
		}
		if strings.HasPrefix(base, "/sys") && errors.Is(err, unix.ENOENT) {
			t.Errorf("%v, and not why the directory could not be made", err)
		}
		d.Close()
	}
}
