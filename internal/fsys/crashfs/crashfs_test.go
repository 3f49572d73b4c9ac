package crashfs

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"paperpath/internal/fsys"
)

func write(t *testing.T, fs fsys.FS, name, text string, sync bool) {
	t.Helper()
	f, err := fs.Open(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, text); err != nil {
		t.Fatal(err)
	}
	if sync && f.Sync() != nil {
		t.Fatal("sync")
	}
	f.Close()
}

// states returns what the named file holds in the states of a cut now.
func states(fs *FS, m Model, name string) []string {
	var all []string
	for c := range fs.CrashesAt(fs.Calls(), m, 200, 1) {
		b, err := fsys.ReadFile(c, name, 1<<20)
		all = append(all, strings.ReplaceAll(string(b), "\x00", "0"))
		if err != nil {
			all[len(all)-1] = err.Error()
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

const none = "no such file or directory"

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("states %q, want %q", got, want)
	}
}

func TestWhatIsNotSyncedMayVanish(t *testing.T) {
	fs := New("d")
	write(t, fs, "d/f", "abcd", false)
	for _, m := range []Model{Strict, Journal} {
		expect(t, states(fs, m, "d/f"), none, "", "ab", "0000", "abcd")
	}
}

func TestSyncOfAFileIsNotOfItsName(t *testing.T) {
	fs := New("d")
	write(t, fs, "d/f", "abcd", true)
	expect(t, states(fs, Strict, "d/f"), none, "abcd")
	expect(t, states(fs, Journal, "d/f"), "abcd") // one journal
	fs.SyncDir("d")
	expect(t, states(fs, Strict, "d/f"), "abcd")
}

func TestAJournalKeepsTheOrder(t *testing.T) {
	fs := New("d", "e")
	write(t, fs, "d/first", "", false)
	write(t, fs, "e/second", "", false)
	for c := range fs.CrashesAt(fs.Calls(), Journal, 100, 1) {
		_, err1 := c.Stat("d/first")
		_, err2 := c.Stat("e/second")
		if err2 == nil && err1 != nil {
			t.Errorf("%v: the second without the first", c)
		}
	}
	fs.SyncDir("e")
	expect(t, states(fs, Journal, "d/first"), "")
	expect(t, states(fs, Strict, "d/first"), none, "")
}

func TestRenameInADirectoryIsOneChange(t *testing.T) {
	fs := New("d")
	write(t, fs, "d/new", "new", true)
	write(t, fs, "d/f", "old", true)
	fs.SyncDir("d")
	fs.Rename("d/new", "d/f")
	for _, m := range []Model{Strict, Journal} {
		expect(t, states(fs, m, "d/f"), "old", "new")
		expect(t, states(fs, m, "d/new"), "new", none)
	}
}

func TestRenameBetweenDirectoriesIsTwo(t *testing.T) {
	fs := New("tmp", "new")
	write(t, fs, "tmp/f", "x", true)
	fs.SyncDir("tmp")
	fs.Rename("tmp/f", "new/f")
	fs.SyncDir("tmp")
	expect(t, states(fs, Strict, "new/f"), "x", none)
	expect(t, states(fs, Journal, "new/f"), "x")
}

func TestAnAtomicRenameIsOneChange(t *testing.T) {
	for _, sync := range []string{"", "tmp", "new"} {
		fs := New("tmp", "new")
		write(t, fs, "tmp/f", "x", true)
		fs.SyncDir("tmp")
		fs.Rename("tmp/f", "new/f")
		if sync != "" {
			fs.SyncDir(sync)
		}
		both := map[string]bool{}
		for c := range fs.CrashesAt(fs.Calls(), Atomic, 100, 1) {
			both[strings.Join(append(states(c.FS, Atomic, "tmp/f"), states(c.FS, Atomic, "new/f")...), " ")] = true
		}
		if moved, not := both[none+" x"], both["x "+none]; !moved || not != (sync == "") || len(both) > 2 {
			t.Errorf("sync of %q: %v", sync, both)
		}
	}
}

func TestAFailedSyncIsNotMadeUpForByALaterOne(t *testing.T) {
	fs := New("d")
	fs.Fault = FailNth(2, syscall.EIO)
	f, _ := fs.Open("d/f", os.O_WRONLY|os.O_CREATE, 0o644)
	f.Write([]byte("abcd"))
	if err := f.Sync(); err != syscall.EIO {
		t.Fatalf("sync: %v", err)
	}
	if err := f.Sync(); err != nil {
		t.Fatalf("second sync: %v", err)
	}
	fs.SyncDir("d")
	for _, m := range []Model{Strict, Journal} {
		expect(t, states(fs, m, "d/f"), "", "ab", "0000", "abcd")
	}
}

func TestALieSavesNothing(t *testing.T) {
	fs := New("d")
	fs.Lie = func(c Call) bool { return c.Op == "syncdir" && c.Name == "d" }
	write(t, fs, "d/f", "x", true)
	if err := fs.SyncDir("d"); err != nil {
		t.Fatal(err)
	}
	expect(t, states(fs, Strict, "d/f"), none, "x")
}

func TestFaults(t *testing.T) {
	fs := New("d")
	fs.Fault = FailNth(1, Short(syscall.ENOSPC))
	f, _ := fs.Open("d/f", os.O_WRONLY|os.O_CREATE, 0o644)
	if n, err := f.Write([]byte("abcd")); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("short write: %d, %v", n, err)
	}
	if n, err := f.Write([]byte("cd")); n != 2 || err != nil {
		t.Errorf("after it: %d, %v", n, err)
	}
	fs.Fault = FailFrom(4, Short(syscall.EMFILE))
	if _, err := fs.Stat("d/f"); err != nil {
		t.Errorf("call 3: %v", err)
	}
	for range 2 {
		if _, err := fs.Stat("d/f"); err != syscall.EMFILE {
			t.Errorf("later calls: %v", err)
		}
	}
}

func TestReuse(t *testing.T) {
	number := func(fs *FS, name string) uint64 {
		write(t, fs, name, "", false)
		info, _ := fs.Stat(name)
		return info.Ino
	}
	fs := New("d")
	fs.Reuse = true
	first := number(fs, "d/a")
	fs.Link("d/a", "d/b")
	fs.Remove("d/a")
	if second := number(fs, "d/c"); second == first {
		t.Error("a number was reused while the file had a name")
	}
	f, _ := fs.Open("d/b", os.O_RDONLY, 0)
	fs.Remove("d/b")
	if third := number(fs, "d/d"); third == first {
		t.Error("a number was reused while the file was open")
	}
	f.Close()
	if fourth := number(fs, "d/e"); fourth != first {
		t.Error("the lowest number was not reused")
	}
}

// A state is a file system: its own crash takes nothing that was in it.
func TestStatesAreDurable(t *testing.T) {
	fs := New("d")
	write(t, fs, "d/f", "x", false)
	for c := range fs.Crashes(Strict, 10, 1) {
		before := c.Dump()
		c.Remove("d/f")
		for again := range c.CrashesAt(0, Strict, 10, 1) {
			if again.Dump() != before {
				t.Errorf("%v changed from %q to %q", c, before, again.Dump())
			}
		}
	}
}

// Limits hold, and the extremes are among the states.
func TestSampling(t *testing.T) {
	fs := New("d")
	for i := range 12 {
		write(t, fs, fmt.Sprint("d/", i), "abcd", false)
	}
	for _, m := range []Model{Strict, Journal} {
		n, all, empty := 0, false, false
		for c := range fs.CrashesAt(fs.Calls(), m, 50, 7) {
			n++
			all = all || c.Dump() == fs.Dump()
			empty = empty || c.Dump() == ""
		}
		if n != 50 || !all || !empty {
			t.Errorf("%v: %d states, everything kept %v, everything lost %v", m, n, all, empty)
		}
	}
}

// The kernel's file system and this one agree on random calls.
func TestAgreesWithTheKernel(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		mem, disk := New("a", "b"), fsys.OS{Root: t.TempDir()}
		disk.Mkdir("a", 0o755)
		disk.Mkdir("b", 0o755)
		names := []string{"a", "a/x", "a/y", "b/x", "b/y", "a/x/z", "c/x", "b/sub", "b/sub/x"}
		name := func() string { return names[rng.IntN(len(names))] }
		flags := []int{os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_CREATE, os.O_EXCL, os.O_TRUNC, os.O_APPEND}
		for range 60 {
			what := ""
			var do func(fs fsys.FS) error
			switch a, b := name(), name(); rng.IntN(8) {
			case 0:
				what, do = "link "+a+" "+b, func(fs fsys.FS) error { return fs.Link(a, b) }
			case 1:
				if a == "a" || b == "a" { // a directory into itself and the like
					continue
				}
				what, do = "rename "+a+" "+b, func(fs fsys.FS) error { return fs.Rename(a, b) }
			case 2:
				what, do = "remove "+a, func(fs fsys.FS) error { return fs.Remove(a) }
			case 3:
				what, do = "mkdir "+a, func(fs fsys.FS) error { return fs.Mkdir(a, 0o755) }
			case 4:
				what, do = "syncdir "+a, func(fs fsys.FS) error { return fs.SyncDir(a) }
			default:
				flag := flags[rng.IntN(3)] | flags[3]*rng.IntN(2) | flags[4]*rng.IntN(2) | flags[5]*rng.IntN(2) | flags[6]*rng.IntN(2)
				if flag&(os.O_CREATE|os.O_EXCL) == os.O_EXCL || flag&os.O_TRUNC != 0 && flag&(os.O_WRONLY|os.O_RDWR) == 0 {
					continue // undefined
				}
				off, text := int64(rng.IntN(20)), "0123456789"[:rng.IntN(10)]
				what = fmt.Sprintf("open %s %x", a, flag)
				do = func(fs fsys.FS) error {
					f, err := fs.Open(a, flag, 0o644)
					if err != nil {
						return err
					}
					defer f.Close()
					f.Seek(off, io.SeekStart)
					_, err = f.Write([]byte(text))
					if len(text)%3 == 0 {
						err = errors.Join(err, f.Truncate(off))
					}
					return err
				}
			}
			e1, e2 := do(mem), do(disk)
			if fmt.Sprint(e1) != fmt.Sprint(e2) {
				t.Fatalf("seed %d: %s: memory says %v, kernel %v\n%s", seed, what, e1, e2, mem.Dump())
			}
		}
		for _, n := range names {
			i1, e1 := mem.Stat(n)
			i2, e2 := disk.Stat(n)
			b1, _ := fsys.ReadFile(mem, n, 1000)
			b2, _ := fsys.ReadFile(disk, n, 1000)
			if e1 != e2 || string(b1) != string(b2) || e1 == nil && i1.IsRegular() && (i1.Nlink != i2.Nlink || i1.Mode>>12 != i2.Mode>>12) {
				t.Fatalf("seed %d: %s: memory %v %q %+v, kernel %v %q %+v", seed, n, e1, b1, i1, e2, b2, i2)
			}
		}
	}
}
