package fsys

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A held directory stays the same one under whatever name, and every call
// goes to it.
func TestHeld(t *testing.T) {
	base := t.TempDir()
	if err := os.Mkdir(filepath.Join(base, "a"), 0755); err != nil {
		t.Fatal(err)
	}
	fs, err := OS{Root: base}.Held("a")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(base, "a"), filepath.Join(base, "b")); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Open("one", WRONLY|CREATE, 0600)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := fs.Mkdir("sub", 0700); err != nil {
		t.Fatal(err)
	}
	if err := fs.Link("one", "sub/two"); err != nil {
		t.Fatal(err)
	}
	if err := fs.Rename("sub/two", "three"); err != nil {
		t.Fatal(err)
	}
	if err := fs.Chmod("three", 0640); err != nil {
		t.Fatal(err)
	}
	if err := fs.SyncDir("."); err != nil {
		t.Fatal(err)
	}
	names, err := fs.List(".")
	if err != nil || len(names) != 3 {
		t.Errorf("%v, %v", names, err)
	}
	if err := fs.Remove("one"); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(filepath.Join(base, "b/three"))
	if err != nil || st.Mode() != 0640 {
		t.Errorf("%v, %v", st, err)
	}
	if info, err := fs.Lstat("three"); err != nil || info.Nlink != 1 || !info.IsRegular() {
		t.Errorf("%+v, %v", info, err)
	}
	if _, err := fs.Held("three"); err != unix.ENOTDIR {
		t.Errorf("a file is held: %v", err)
	}
	if _, err := fs.Stat(filepath.Join(base, "b")); err != nil {
		t.Errorf("an absolute name: %v", err)
	}
}
