package svscan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A service that is made in place, piece by piece, gets its logger, and there is no
// message about a run that does not exist yet.
func TestMadeInPlace(t *testing.T) {
	x := services(t)
	x.start()
	x.until("s is up", func() bool { return pid(x.dirOf("s")) != 0 })
	for _, step := range []string{"run", "log/run"} {
		text := "#!/bin/sh\necho line\nexec sleep 1000\n"
		if step == "log/run" {
			text = "#!/bin/sh\nexec cat >>out\n"
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(x.dir, "late", step)), 0o755); err != nil {
			t.Fatal(err)
		}
		time.Sleep(quiet / 3)
		x.write("late/"+step, text)
		time.Sleep(quiet / 3)
	}
	x.until("late has its logger", func() bool { return x.read("late/log/out") == "line\n" })
	if said, _ := os.ReadFile(x.said.Name()); strings.Contains(string(said), "late") {
		t.Errorf("svscan says %s", said)
	}
	x.stop()
}

func TestSettled(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x")
	create := func(file string) {
		t.Helper()
		if strings.HasSuffix(file, "/") {
			file = filepath.Join(name, file)
			if err := os.Mkdir(file, 0o755); err != nil {
				t.Fatal(err)
			}
			return
		}
		if err := os.WriteFile(filepath.Join(name, file), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		file  string
		after time.Duration // of quiet it is ready
	}{{"./", interval}, {"run", quiet}, {"log/", interval}, {"log/run", quiet}} {
		create(step.file)
		now := time.Now()
		if ok, again := settled(name, now, now); ok || again.Sub(now) > step.after {
			t.Errorf("%s: settled %v, again in %v", step.file, ok, again.Sub(now))
		}
		if ok, _ := settled(name, now, now.Add(step.after-quiet/2)); ok {
			t.Errorf("%s: settled too early", step.file)
		}
		if ok, _ := settled(name, now, now.Add(step.after)); !ok {
			t.Errorf("%s: not settled after %v", step.file, step.after)
		}
	}
	if ok, _ := settled(name, time.Now(), time.Now().Add(-time.Hour)); !ok {
		t.Error("a clock that was set back keeps the service out")
	}

	// Something is written there all the time.
	since := time.Now()
	create("new")
	if ok, _ := settled(name, since, time.Now()); ok {
		t.Error("settled while something changes")
	}
	if ok, _ := settled(name, since.Add(-interval), time.Now()); !ok {
		t.Error("not settled because something changes all the time")
	}
	if err := os.RemoveAll(filepath.Join(name, "log/run")); err != nil {
		t.Fatal(err)
	}
	if ok, _ := settled(name, since.Add(-interval), time.Now()); ok {
		t.Error("settled without a run of the logger")
	}
	create("log/run")

	// It comes by rename. The clock of file systems is coarse.
	time.Sleep(20 * time.Millisecond)
	if err := os.Rename(name, name+".new"); err != nil {
		t.Fatal(err)
	}
	name += ".new"
	if ok, _ := settled(name, time.Now(), time.Now()); !ok {
		t.Error("not settled when renamed")
	}
	create("data")
	if ok, _ := settled(name, time.Now(), time.Now()); ok {
		t.Error("settled when something was made in it after the rename")
	}
}

// If a directory is removed while its service is down, or cannot be started, the
// service is forgotten: no message every second, no descriptors.
func TestRemovedDirectory(t *testing.T) {
	x := services(t)
	x.write("gone/run", "#!/bin/sh\nexit 1\n")
	x.write("gone/log/run", "#!/bin/sh\nexec cat >/dev/null\n")
	x.write("idle/run", "#!/bin/sh\nexec sleep 1000\n")
	x.write("idle/down", "")
	x.start()
	gone, idle := x.dirOf("gone"), x.dirOf("idle")
	x.until("both are kept", func() bool { return gone.OK() == nil && idle.OK() == nil })
	for _, name := range []string{"gone", "idle"} {
		if err := os.RemoveAll(filepath.Join(x.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	x.until("both are let go", func() bool {
		open, err := os.ReadDir("/proc/" + x.number() + "/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range open {
			to, _ := os.Readlink("/proc/" + x.number() + "/fd/" + fd.Name())
			if strings.Contains(to, x.dir+"/gone") || strings.Contains(to, x.dir+"/idle") {
				return false
			}
		}
		return true
	})
	x.stop()
}
