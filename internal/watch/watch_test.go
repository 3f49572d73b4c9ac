package watch

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/sys"
)

// start returns a watcher of one new directory.
func start(t *testing.T) (w *Watcher, dir string) {
	t.Helper()
	w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	dir = t.TempDir()
	if err := w.Add(dir); err != nil {
		t.Fatal(err)
	}
	return w, dir
}

// until waits for a change.
func until(t *testing.T, w *Watcher, want Change) {
	t.Helper()
	seen := map[Change]bool{}
	for end := time.Now().Add(20 * time.Second); !seen[want]; {
		ready, err := sys.Poll(end, w.FD())
		if err != nil || !ready[0] {
			t.Fatalf("%v, %v: never %+v, only %v", ready, err, want, seen)
		}
		changes, lost := w.Changes()
		if lost {
			t.Fatal("lost")
		}
		for _, c := range changes {
			seen[c] = true
		}
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestNames(t *testing.T) {
	w, dir := start(t)
	name := func(s string) string { return filepath.Join(dir, s) }
	if ready, err := sys.Poll(time.Now().Add(10*time.Millisecond), w.FD()); err != nil || ready[0] {
		t.Fatalf("readable before any change: %v, %v", ready, err)
	}
	must(t, os.WriteFile(name("a"), nil, 0o600))
	until(t, w, Change{dir, "a"})
	must(t, os.Symlink("nowhere", name("b")))
	until(t, w, Change{dir, "b"})
	must(t, os.Rename(name("a"), name("b"))) // replaced
	until(t, w, Change{dir, "b"})
	must(t, os.Remove(name("b")))
	until(t, w, Change{dir, "b"})
	must(t, os.Mkdir(name("\xff\n"), 0o700))
	until(t, w, Change{dir, "\xff\n"})
	must(t, os.Rename(name("\xff\n"), filepath.Join(t.TempDir(), "x"))) // out of it
	until(t, w, Change{dir, "\xff\n"})
}

// Changes that replace no name are not reported.
func TestWriting(t *testing.T) {
	w, dir := start(t)
	file := filepath.Join(dir, "a")
	must(t, os.WriteFile(file, nil, 0o600))
	until(t, w, Change{dir, "a"})
	must(t, os.WriteFile(file, []byte("x"), 0o600), os.Chmod(file, 0o644), os.Mkdir(filepath.Join(dir, "b"), 0o700))
	ready, err := sys.Poll(time.Now().Add(20*time.Second), w.FD())
	changes, lost := w.Changes()
	if err != nil || !ready[0] || lost || len(changes) != 1 || changes[0] != (Change{dir, "b"}) {
		t.Errorf("%v, %v, %v, %v", ready, err, changes, lost)
	}
}

func TestSeveralDirectories(t *testing.T) {
	w, dir := start(t)
	sub := dir + "//sub/."
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700), w.Add(sub))
	must(t, os.WriteFile(sub+"/x", nil, 0o600))
	until(t, w, Change{sub, "x"})
	must(t, os.WriteFile(dir+"/y", nil, 0o600))
	until(t, w, Change{dir, "y"})
	w.Remove(sub)
	w.Changes()
	must(t, os.WriteFile(sub+"/z", nil, 0o600), os.WriteFile(dir+"/last", nil, 0o600))
	for end := time.Now().Add(20 * time.Second); ; {
		if ready, err := sys.Poll(end, w.FD()); err != nil || !ready[0] {
			t.Fatal(ready, err)
		}
		changes, _ := w.Changes()
		for _, c := range changes {
			if c.Dir == sub {
				t.Errorf("%+v of what is watched no more", c)
			}
			if c.Name == "last" {
				return
			}
		}
	}
}

// The removal of a directory is reported, whether the one above is watched or not,
// and the directory can be watched again when it is back.
func TestDirectoryGoes(t *testing.T) {
	for _, above := range []bool{false, true} {
		for _, rename := range []bool{false, true} {
			w, dir := start(t)
			if !above {
				w.Remove(dir)
			}
			sub := filepath.Join(dir, "sub")
			for range 3 {
				must(t, os.Mkdir(sub, 0o700), w.Add(sub), os.WriteFile(sub+"/x", nil, 0o600))
				until(t, w, Change{sub, "x"})
				if rename {
					must(t, os.Rename(sub, filepath.Join(t.TempDir(), "x")))
				} else {
					must(t, os.Remove(sub+"/x"), os.Remove(sub))
				}
				until(t, w, Change{sub, ""})
			}
			// Renamed and removed: fsnotify complains of that, and lives.
			must(t, os.Mkdir(sub, 0o700), w.Add(sub), os.Rename(sub, sub+"2"), os.Remove(sub+"2"))
			must(t, os.Mkdir(sub, 0o700))
			for i := range 50 {
				w.Add(sub)
				must(t, os.WriteFile(fmt.Sprint(sub, "/", i), nil, 0o600))
			}
			for end, seen := time.Now().Add(20*time.Second), false; !seen; {
				if ready, err := sys.Poll(end, w.FD()); err != nil || !ready[0] {
					t.Fatal(ready, err)
				}
				changes, _ := w.Changes()
				for _, c := range changes {
					seen = seen || c == Change{sub, "49"}
				}
				w.Add(sub)
			}
		}
	}
}

func TestFlood(t *testing.T) {
	w, dir := start(t)
	for i := range maxPending + 10 {
		w.changed(filepath.Join(dir, fmt.Sprint(i)), false)
		w.changed(filepath.Join(dir, fmt.Sprint(i)), false) // once is enough
	}
	changes, lost := w.Changes()
	if len(changes) != maxPending || !lost {
		t.Errorf("%d changes, lost %v", len(changes), lost)
	}
	if changes, lost := w.Changes(); len(changes) != 0 || lost {
		t.Errorf("then %v, %v", changes, lost)
	}
	if ready, err := sys.Poll(time.Now(), w.FD()); err != nil || ready[0] {
		t.Errorf("still readable: %v, %v", ready, err)
	}
	must(t, os.WriteFile(dir+"/x", nil, 0o600))
	until(t, w, Change{dir, "x"})
}

func TestErrors(t *testing.T) {
	w, dir := start(t)
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for name, want := range map[string]error{file: unix.ENOTDIR, dir + "/none": unix.ENOENT, "": unix.ENOENT} {
		if err := w.Add(name); err != want {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
	must(t, w.Close())
	if err := w.Add(dir); err == nil {
		t.Error("added to what is closed")
	}
	w.Close() // once more is no hazard
	w.Changes()
}

// When the kernel's events cannot be read any more, fsnotify is closed, and FD
// becomes readable.
func TestEnd(t *testing.T) {
	w, dir := start(t)
	if w.Ended() {
		t.Error("ended at the beginning")
	}
	must(t, w.events.Close()) // what collect does then
	for range 2 {
		ready, err := sys.Poll(time.Now().Add(20*time.Second), w.FD())
		if err != nil || !ready[0] || !w.Ended() {
			t.Fatalf("readable: %v, %v; ended: %v", ready, err, w.Ended())
		}
		w.Changes()
	}
	if err := w.Add(dir); err == nil {
		t.Error("added to what has ended")
	}
	must(t, w.Close())
}

func TestCloseLeavesNothing(t *testing.T) {
	goroutines, fds := runtime.NumGoroutine(), descriptors(t)
	for range 20 {
		w, err := New()
		must(t, err, w.Add(t.TempDir()), w.Close())
	}
	for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, before %d", runtime.NumGoroutine(), goroutines)
		}
	}
	// The runtime's poller may have begun meanwhile: two.
	if n := descriptors(t); n > fds+2 {
		t.Errorf("%d descriptors, before %d", n, fds)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(names)
}

// child runs a test again in a process of its own.
func child(t *testing.T, attr *syscall.SysProcAttr) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "WATCH_TEST_CHILD=1")
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS) {
		t.Skipf("no user namespace to be had: %v", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func isChild() bool { return os.Getenv("WATCH_TEST_CHILD") != "" }

// A process that has no descriptor left gets an error and lives, wherever on
// the way it happens, and has its watcher when there are some again. (A process
// of its own: only the first watcher makes the runtime's poller begin.)
func TestNoDescriptors(t *testing.T) {
	if !isChild() {
		child(t, nil)
		return
	}
	var old unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	first, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
	must(t, err)
	unix.Close(first)
	failed := 0
	for free := range 12 {
		limit := unix.Rlimit{Cur: uint64(first + free), Max: old.Max}
		must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
		w, err := New()
		must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old))
		switch {
		case err == nil:
			w.Close()
		case err == unix.EMFILE:
			failed++
		default:
			t.Errorf("%d free: %v", free, err)
		}
	}
	if failed == 0 || failed == 12 {
		t.Errorf("%d of 12 failed", failed)
	}
}

// If the user has no inotify instance left, that is an error. (This runs in a
// namespace of its own, so that no other program runs out of them.)
func TestNoInstances(t *testing.T) {
	if !isChild() {
		child(t, &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		})
		return
	}
	must(t, os.WriteFile("/proc/sys/user/max_inotify_instances", []byte("3"), 0))
	for n := range 3 {
		w, err := New()
		if err != nil {
			t.Fatalf("number %d: %v", n, err)
		}
		defer w.Close()
	}
	if _, err := New(); err != unix.EMFILE {
		t.Errorf("one too many: %v, want %v", err, unix.EMFILE)
	}
}
