package main

import (
	"os"
	"path/filepath"
	"testing"
)

// A directory that was moved keeps working, and what people changed in its
// files stays.
func TestRelocate(t *testing.T) {
	home := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(".home", "/old/run")
	write("users/assign", "=alice:alice:1:1:/old/run/home/alice:::\n=carol:carol:1:1:/home/carol:::\n.\n")
	write("rc", "#!/bin/sh\n# mine\nexec /old/run/bin/qmail-start\n")
	if err := relocate(home); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"users/assign": "=alice:alice:1:1:" + home + "/home/alice:::\n=carol:carol:1:1:/home/carol:::\n.\n",
		"rc":           "#!/bin/sh\n# mine\nexec " + home + "/bin/qmail-start\n",
		".home":        home,
	} {
		got, err := os.ReadFile(filepath.Join(home, name))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q %v, want %q", name, got, err, want)
		}
	}
	if info, _ := os.Stat(filepath.Join(home, "rc")); info.Mode().Perm()&0o100 == 0 {
		t.Error("rc is not executable any more")
	}
}

func TestReachable(t *testing.T) {
	dir := t.TempDir()
	closed := filepath.Join(dir, "closed")
	if err := os.MkdirAll(filepath.Join(closed, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	if reachable(filepath.Join(closed, "run"), nobody-1, nobody-1) {
		t.Error("a stranger passes through a directory of mode 0700")
	}
	if !reachable("/usr/bin", nobody, nobody) {
		t.Error("nobody cannot reach /usr/bin")
	}
	if uid := os.Getuid(); !reachable(filepath.Join(closed, "run"), uid, os.Getgid()) {
		// os.MkdirTemp's own directory is ours, too.
		t.Errorf("uid %d does not reach its own directory", uid)
	}
}

// What somebody keeps in a directory is not touched.
func TestClaim(t *testing.T) {
	parent := t.TempDir()
	fresh := filepath.Join(parent, "a", "run")
	for range 2 { // absent, then made by us
		if err := claim(fresh); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(fresh, "mail"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := claim(fresh); err != nil {
		t.Errorf("our own directory: %v", err)
	}

	theirs := filepath.Join(parent, "theirs")
	if err := os.MkdirAll(filepath.Join(theirs, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := claim(theirs); err == nil {
		t.Error("a directory with somebody's bin in it was taken")
	}
	link := filepath.Join(parent, "link")
	if err := os.Symlink(fresh, link); err != nil {
		t.Fatal(err)
	}
	if err := claim(link); err == nil {
		t.Error("a symbolic link was taken")
	}
	file := filepath.Join(parent, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := claim(file); err == nil {
		t.Error("a file was taken")
	}
}

// Nothing runs with root's ids, whoever's group the directory has.
func TestChooseUser(t *testing.T) {
	dir := t.TempDir()
	if uid, gid, err := chooseUser(dir); err != nil || uid == 0 || gid == 0 {
		t.Errorf("uid %d, gid %d, %v", uid, gid, err)
	}
	if os.Getuid() != 0 {
		t.Skip("only root can give directories away")
	}
	if err := os.Chown(dir, nobody, 0); err != nil {
		t.Fatal(err)
	}
	if uid, gid, err := chooseUser(dir); err != nil || uid != nobody || gid == 0 {
		t.Errorf("of nobody:root: uid %d, gid %d, %v", uid, gid, err)
	}
}
