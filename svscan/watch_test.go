package svscan

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/supervise"
)

// watching returns a scanner of a new directory, which is the current one.
func watching(t *testing.T) (s *scanner, said *proctest.Buffer) {
	t.Helper()
	t.Chdir(t.TempDir())
	said = &proctest.Buffer{}
	env := &proc.Env{Name: "svscan"}
	env.Files[2] = said
	s = newScanner(env)
	var err error
	if s.host, err = supervise.NewHost(env, s, interval, s.signal); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.watcher != nil {
			s.watcher.Close()
		}
	})
	return s, said
}

// sees reports whether a new name in the directory causes a scan.
func (s *scanner) sees(t *testing.T) bool {
	t.Helper()
	s.nextScan = time.Now().Add(time.Hour)
	if err := os.WriteFile("name", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove("name")
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && s.nextScan.After(end); {
		s.host.Turn(end)
	}
	return time.Until(s.nextScan) < time.Minute
}

// A directory that cannot be watched at first is watched as soon as it can.
func TestWatchedLater(t *testing.T) {
	s, said := watching(t)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	few := unix.Rlimit{Cur: 3, Max: before.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	s.watch()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	const want = "svscan: warning: unable to watch directory: process cannot open more files\n"
	if s.watcher != nil || said.String() != want {
		t.Fatalf("%v, %q; want %q", s.watcher, said.String(), want)
	}
	s.step(time.Now())
	if s.watcher == nil || !s.sees(t) {
		t.Error("it is not watched")
	}
}

// After HUP, svscan tries again at once to take in services that it could not.
func TestHangup(t *testing.T) {
	now := time.Now()
	v := &entry{seen: true, logged: true}
	v.main.later(now)
	v.log.later(now)
	s := newScanner(&proc.Env{})
	s.services = []*entry{v}
	s.signal(unix.SIGHUP)
	if !v.main.wanting(now) || !v.log.wanting(now) || v.due(now).After(now) || s.nextScan.After(now) {
		t.Errorf("next try at %v and %v, next scan at %v; now %v", v.main.next, v.log.next, s.nextScan, now)
	}
}

// A directory that is renamed is still the one that is scanned, and watched.
func TestWatchedWhenRenamed(t *testing.T) {
	s, _ := watching(t)
	s.step(time.Now())
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".renamed"); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); s.watcher != nil && time.Now().Before(end); {
		s.host.Turn(end)
	}
	s.step(time.Now().Add(interval))
	if !s.sees(t) {
		t.Error("it is not watched")
	}
}
