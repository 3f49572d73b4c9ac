package fsys_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
)

// create makes a file with contents.
func create(t *testing.T, fs fsys.FS, name, text string) {
	t.Helper()
	f, err := fs.Open(name, fsys.WRONLY|fsys.CREATE|fsys.EXCL, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, fs fsys.FS, name string) string {
	t.Helper()
	b, err := fsys.ReadFile(fs, name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFiles(t *testing.T) {
	fs := fsys.OS{Root: t.TempDir()}
	create(t, fs, "f", "hello")
	if _, err := fs.Open("f", fsys.WRONLY|fsys.CREATE|fsys.EXCL, 0o644); err != syscall.EEXIST {
		t.Errorf("exclusively: %v", err)
	}
	f, err := fs.Open("f", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := f.WriteAt([]byte("J"), 0); n != 1 || err != nil {
		t.Errorf("WriteAt: %d, %v", n, err)
	}
	b := make([]byte, 3)
	if n, err := f.ReadAt(b, 1); n != 3 || string(b) != "ell" || err != nil {
		t.Errorf("ReadAt: %q, %v", b[:n], err)
	}
	if n, err := f.ReadAt(b, 4); n != 1 || b[0] != 'o' || err != io.EOF {
		t.Errorf("ReadAt over the end: %q, %v", b[:n], err)
	}
	if off, err := f.Seek(2, io.SeekStart); off != 2 || err != nil {
		t.Errorf("Seek: %d, %v", off, err)
	}
	if rest, err := io.ReadAll(f); string(rest) != "llo" || err != nil {
		t.Errorf("Read: %q, %v", rest, err)
	}
	if err := f.Truncate(2); err != nil {
		t.Error(err)
	}
	if err := f.Chmod(0o600); err != nil {
		t.Error(err)
	}
	info, err := f.Stat()
	if err != nil || info.Size != 2 || info.Mode != unix.S_IFREG|0o600 || info.Nlink != 1 || !info.IsRegular() {
		t.Errorf("%+v, %v", info, err)
	}
	if got := read(t, fs, "f"); got != "Je" {
		t.Errorf("%q", got)
	}
	if a, err := fs.Open("f", fsys.WRONLY|fsys.APPEND, 0); err != nil {
		t.Error(err)
	} else {
		a.Write([]byte("t"))
		a.Close()
	}
	if got := read(t, fs, "f"); got != "Jet" {
		t.Errorf("appended: %q", got)
	}
}

func TestNames(t *testing.T) {
	fs := fsys.OS{Root: t.TempDir()}
	create(t, fs, "a", "text")
	if err := fs.Mkdir("d", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := fs.Mkdir("d", 0o755); err != syscall.EEXIST {
		t.Errorf("a second time: %v", err)
	}
	if err := fs.Link("a", "d/b"); err != nil {
		t.Fatal(err)
	}
	if err := fs.Link("a", "d/b"); err != syscall.EEXIST {
		t.Errorf("link over a file: %v", err)
	}
	a, err1 := fs.Stat("a")
	b, err2 := fs.Stat("d/b")
	if err1 != nil || err2 != nil || a.Ino != b.Ino || a.Dev != b.Dev || a.Nlink != 2 {
		t.Errorf("%+v, %+v, %v, %v", a, b, err1, err2)
	}
	if err := fs.Rename("a", "d/c"); err != nil {
		t.Error(err)
	}
	if _, err := fs.Stat("a"); err != syscall.ENOENT {
		t.Errorf("after rename: %v", err)
	}
	if err := fs.Remove("d/b"); err != nil {
		t.Error(err)
	}
	if err := fs.Remove("d/b"); err != syscall.ENOENT {
		t.Errorf("removed twice: %v", err)
	}
	if err := fs.Remove("d"); err != syscall.EISDIR {
		t.Errorf("a directory: %v", err)
	}
	if _, err := fs.Stat("d/c/x"); err != syscall.ENOTDIR {
		t.Errorf("below a file: %v", err)
	}
	if err := os.Symlink("c", fs.Root+"/d/l"); err != nil {
		t.Fatal(err)
	}
	l, err1 := fs.Lstat("d/l")
	c, err2 := fs.Stat("d/l")
	if err1 != nil || err2 != nil || l.IsRegular() || !c.IsRegular() {
		t.Errorf("a link: %o, %o, %v, %v", l.Mode, c.Mode, err1, err2)
	}
	if err := unix.Mkfifo(fs.Root+"/d/p", 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := fs.Stat("d/p"); !p.IsFIFO() || err != nil {
		t.Errorf("a fifo: %o, %v", p.Mode, err)
	}
	names, err := fs.List("d")
	if slices.Sort(names); !slices.Equal(names, []string{"c", "l", "p"}) || err != nil {
		t.Errorf("%q, %v", names, err)
	}
	if d, err := fs.Stat("d"); !d.IsDir() || err != nil {
		t.Errorf("%o, %v", d.Mode, err)
	}
	if err := fs.Chmod("d/c", 0o400); err != nil {
		t.Error(err)
	}
	then := time.Unix(1000000000, 5000)
	if err := fs.SetTimes("d/c", then); err != nil {
		t.Error(err)
	}
	if c, err := fs.Stat("d/c"); c.Mode&0o777 != 0o400 || !c.Mtime.Equal(then) || !c.Atime.Equal(then) || err != nil {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestLongDirectories(t *testing.T) {
	fs := fsys.OS{Root: t.TempDir()}
	var want []string
	for i := range 3000 { // more than one buffer of entries
		name := fmt.Sprintf("%0100d", i)
		if err := os.WriteFile(fs.Root+"/"+name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	got, err := fs.List(".")
	if slices.Sort(got); !slices.Equal(got, want) || err != nil {
		t.Errorf("%d names, %v", len(got), err)
	}
	if _, err := fs.List("none"); err != syscall.ENOENT {
		t.Errorf("%v", err)
	}
	if _, err := fs.List(want[0]); err != syscall.ENOTDIR {
		t.Errorf("a file: %v", err)
	}
}

func TestSyncDir(t *testing.T) {
	fs := fsys.OS{Root: t.TempDir()}
	create(t, fs, "f", "")
	if err := fs.SyncDir("."); err != nil {
		t.Error(err)
	}
	if err := fs.SyncDir("f"); err != syscall.ENOTDIR {
		t.Errorf("a file: %v", err)
	}
	if err := fs.SyncDir("none"); err != syscall.ENOENT {
		t.Errorf("%v", err)
	}
}

func TestRoot(t *testing.T) {
	dir := t.TempDir()
	create(t, fsys.OS{Root: dir}, "f", "x")
	if got := read(t, fsys.OS{Root: "/no/such"}, dir+"/f"); got != "x" { // absolute names are what they are
		t.Errorf("%q", got)
	}
	t.Chdir(dir)
	if got := read(t, fsys.OS{}, "f"); got != "x" {
		t.Errorf("%q", got)
	}
}

func TestHeldDirectoriesMayMove(t *testing.T) {
	fs := fsys.OS{Root: t.TempDir()}
	if err := fs.Mkdir("d", 0o755); err != nil {
		t.Fatal(err)
	}
	held, err := fs.Held("d")
	if err != nil {
		t.Fatal(err)
	}
	if err := fs.Rename("d", "e"); err != nil {
		t.Fatal(err)
	}
	create(t, held, "f", "x")
	if got := read(t, fs, "e/f"); got != "x" {
		t.Errorf("%q", got)
	}
	if _, err := fs.Held("d"); err != syscall.ENOENT {
		t.Errorf("%v", err)
	}
}

func TestLocks(t *testing.T) {
	fs := fsys.OS{Root: t.TempDir()}
	create(t, fs, "lock", "")
	open := func() fsys.File {
		f, err := fs.Open("lock", fsys.WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, b := open(), open()
	defer b.Close()
	if err := a.(fsys.Locker).Lock(false); err != nil {
		t.Fatal(err)
	}
	if err := b.(fsys.Locker).Lock(false); err != syscall.EWOULDBLOCK {
		t.Errorf("held: %v", err)
	}
	a.Close()
	if err := b.(fsys.Locker).Lock(false); err != nil {
		t.Errorf("given up: %v", err)
	}
}

func TestReadFile(t *testing.T) {
	fs := fsys.OS{Root: t.TempDir()}
	create(t, fs, "f", strings.Repeat("x", 1000))
	for limit, want := range map[int64]error{999: syscall.EFBIG, 1000: nil, 1001: nil, 0: syscall.EFBIG} {
		b, err := fsys.ReadFile(fs, "f", limit)
		if err != want || err == nil && len(b) != 1000 {
			t.Errorf("limit %d: %d bytes, %v", limit, len(b), err)
		}
	}
	if _, err := fsys.ReadFile(fs, "none", 1); err != syscall.ENOENT {
		t.Errorf("%v", err)
	}
	if _, err := fsys.ReadFile(fs, ".", 1); err != syscall.EISDIR {
		t.Errorf("%v", err)
	}
}

func TestFullDisk(t *testing.T) {
	f, err := fsys.OS{}.Open("/dev/full", fsys.WRONLY, 0)
	if err != nil {
		t.Skipf("no /dev/full: %v", err)
	}
	defer f.Close()
	if n, err := f.Write(bytes.Repeat([]byte("x"), 100)); n != 0 || err != syscall.ENOSPC {
		t.Errorf("%d, %v", n, err)
	}
}
