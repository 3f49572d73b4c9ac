package multilog

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"paperpath/internal/child"
	"paperpath/internal/fsys"
	"paperpath/internal/fsys/crashfs"
)

// testLog is a log whose files end at the first line feed from byte 200 on,
// whose pauses take no time, and which settles a full file before it goes on.
func testLog(t *testing.T, fs fsys.FS) *log {
	l := &log{fs: fs, name: "./main", settings: settings{size: window + 200, keep: 100}}
	pauses := 0
	l.pause = func(what string, err error) {
		if pauses++; pauses > 1000 {
			t.Fatalf("%s: %v, again and again", what, err)
		}
	}
	return l
}

func mustOpen(t *testing.T, l *log) {
	t.Helper()
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, fs fsys.FS, name string) string {
	t.Helper()
	b, err := fsys.ReadFile(fs, name, 1<<20)
	if err != nil && err != syscall.ENOENT {
		t.Fatal(err)
	}
	return string(b)
}

// oldLogs returns the old logs by name, in order.
func oldLogs(t *testing.T, fs fsys.FS) []string {
	t.Helper()
	names, err := fs.List(".")
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name[0] != '@' })
	slices.Sort(names)
	return names
}

// everything returns what a reader of all the log's files sees.
func everything(t *testing.T, fs fsys.FS) string {
	t.Helper()
	var all strings.Builder
	for _, name := range oldLogs(t, fs) {
		all.WriteString(read(t, fs, name))
	}
	all.WriteString(read(t, fs, "current"))
	return all.String()
}

func testLine(i int) string { return fmt.Sprintf("line %03d %s\n", i, strings.Repeat("q", 50)) }

// copier is a processor: it copies, and counts its runs in state.
func copier(_ *log, previous, processed, state, newstate fsys.File) (child.Status, error) {
	_, err1 := io.Copy(processed, previous)
	_, err2 := io.Copy(newstate, io.MultiReader(state, strings.NewReader("x")))
	return 0, errors.Join(err1, err2)
}

func withProcessor(l *log) {
	l.processor, l.start = new(string), copier
}

func TestRotation(t *testing.T) {
	fs := crashfs.New()
	l := testLog(t, fs)
	l.keep = 4
	mustOpen(t, l)
	if mode := mode(t, fs, "current"); mode != 0644 {
		t.Errorf("current is %o while it is written", mode)
	}
	want := ""
	for i := range 40 {
		want += testLine(i)
		l.write([]byte(testLine(i)))
	}
	l.close()
	if mode := mode(t, fs, "current"); mode != 0744 {
		t.Errorf("current is %o at the end", mode)
	}
	old := oldLogs(t, fs)
	if len(old) != 3 {
		t.Errorf("%d old logs with n4: %v", len(old), old)
	}
	for _, name := range old {
		text := read(t, fs, name)
		if !strings.HasSuffix(name, ".s") || len(name) != 27 || mode(t, fs, name) != 0744 {
			t.Errorf("%s has mode %o", name, mode(t, fs, name))
		}
		if len(text) < 200 || len(text) > 200+len(testLine(0)) || text[len(text)-1] != '\n' {
			t.Errorf("%s has %d bytes", name, len(text))
		}
	}
	if all := everything(t, fs); !strings.HasSuffix(want, all) {
		t.Errorf("lines lost: %q", all)
	}
}

// A directory that cannot be searched for a while is warned of, and waited for.
func TestUnsearchable(t *testing.T) {
	fs := crashfs.New()
	l := testLog(t, fs)
	mustOpen(t, l)
	searchable := false
	l.fs = unsearchable{fs, &searchable}
	pauses := 0
	l.pause = func(string, error) {
		pauses++
		searchable = pauses == 3
	}
	want := ""
	for i := range 10 {
		want += testLine(i)
		l.write([]byte(testLine(i)))
	}
	l.close()
	if got := everything(t, fs); got != want || pauses != 3 {
		t.Errorf("%d pauses, %q", pauses, got)
	}
}

type unsearchable struct {
	fsys.FS
	is *bool
}

func (u unsearchable) Lstat(name string) (fsys.Info, error) {
	if !*u.is {
		return fsys.Info{}, syscall.EACCES
	}
	return u.FS.Lstat(name)
}

func mode(t *testing.T, fs fsys.FS, name string) uint32 {
	t.Helper()
	st, err := fs.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return st.Mode & 0777
}

func TestFileEnds(t *testing.T) {
	l := log{settings: settings{size: 4096}}
	for _, c := range []struct {
		have int
		text string
		want int
	}{
		{0, "short\n", 6},
		{2094, "a\nb\nc\n", 2}, // the first line feed within 2000 bytes of the end
		{2095, "a\nb\nc\n", 2},
		{2096, "\nb\n", 1},
		{2093, "a\nb\nc\n", 4},
		{4000, strings.Repeat("x", 200), 96}, // none there: the size itself
		{4095, "xy\n", 1},
	} {
		l.bytes = c.have
		if got := l.fits([]byte(c.text)); got != c.want {
			t.Errorf("with %d bytes there, %d of %q fit, not %d", c.have, got, c.text, c.want)
		}
	}
}

func TestTakenUpWhereItWasLeft(t *testing.T) {
	fs := crashfs.New()
	for i := range 3 {
		l := testLog(t, fs)
		mustOpen(t, l)
		l.write([]byte(testLine(i)))
		l.close()
	}
	if got := read(t, fs, "current"); got != testLine(0)+testLine(1)+testLine(2) || len(oldLogs(t, fs)) != 0 {
		t.Errorf("current is %q", got)
	}
}

// Once multilog has ended a power cut takes nothing, not even from a new log.
func TestEndIsDurable(t *testing.T) {
	for lines := range 4 { // none, some, and enough for a rotation
		fs := crashfs.New()
		l := testLog(t, fs)
		mustOpen(t, l)
		want := ""
		for i := range lines * lines {
			want += testLine(i)
			l.write([]byte(testLine(i)))
		}
		l.close()
		ended := fs.Calls()
		for _, model := range []crashfs.Model{crashfs.Strict, crashfs.Journal} {
			for c := range fs.Crashes(model, 40, 1) {
				if c.At < ended {
					continue
				}
				if got := everything(t, c.FS); got != want {
					t.Fatalf("%v: %q, not %q\n%s", c, got, want, c.Dump())
				}
			}
		}
	}
}

// A log after any cut can be used again, and an old log that was finished
// before it is there, whole. If the process alone died, every line is there.
func TestCuts(t *testing.T) {
	for _, processor := range []bool{false, true} {
		fs := crashfs.New()
		l := testLog(t, fs)
		if processor {
			withProcessor(l)
		}
		mustOpen(t, l)
		opened := fs.Calls()
		type promise struct {
			at       int // calls made before the promise
			finished map[string]string
			written  string // handed to the kernel
		}
		var promises []promise
		written := ""
		for i := range 12 {
			l.write([]byte(testLine(i)))
			written += testLine(i)
			finished := map[string]string{}
			at := fs.Calls()
			for _, name := range oldLogs(t, fs) {
				finished[name] = read(t, fs, name)
			}
			promises = append(promises, promise{at, finished, written})
		}
		// What was in current when it was synced is safe when its name is.
		synced := map[int]string{}
		text := ""
		for _, call := range fs.Log() {
			switch {
			case call.Op == "sync" && call.Name == "current":
				for _, p := range promises {
					if p.at > call.N { // this write made the rotation
						text = p.written
						break
					}
				}
			case call.Op == "syncdir":
				synced[call.N] = text
			}
		}
		// And a file that is called safe is safe.
		safe := map[int]string{}
		for _, call := range fs.Log() {
			if call.Op == "rename" && strings.HasSuffix(call.Name2, ".s") {
				safe[call.N] = read(t, fs, call.Name2)
			}
		}
		last := promises[len(promises)-1]
		if len(last.finished) < 2 {
			t.Fatalf("no rotations: %v", last.finished)
		}
		for _, model := range []crashfs.Model{crashfs.Strict, crashfs.Journal} {
			for c := range fs.Crashes(model, 40, 1) {
				after := testLog(t, c.FS)
				if processor {
					withProcessor(after)
				}
				mustOpen(t, after)
				after.write([]byte("after\n"))
				after.close()
				all := everything(t, c.FS)
				if !strings.HasSuffix(all, "after\n") {
					t.Fatalf("%v: what came after is not last\n%s", c, c.Dump())
				}
				p := promise{}
				for _, q := range promises {
					if q.at <= c.At {
						p = q
					}
				}
				for name, text := range p.finished {
					if got := read(t, c.FS, name); got != text {
						t.Fatalf("%v: finished %s is %q\n%s", c, name, got, c.Dump())
					}
				}
				lines := strings.TrimSuffix(all, "after\n")
				for at, text := range safe {
					if at < c.At && !strings.Contains(all, text) {
						t.Fatalf("%v: of a finished file there is no trace\n%s", c, c.Dump())
					}
				}
				for at, text := range synced {
					if at < c.At && !strings.Contains(all, text) {
						t.Fatalf("%v: of the synced lines there are %q\n%s", c, all, c.Dump())
					}
				}
				if c.What == "" && c.At >= opened && !(strings.HasPrefix(lines, p.written) && strings.HasPrefix(written, lines)) {
					t.Fatalf("%v: after a kill there is %q\n%s", c, lines, c.Dump())
				}
			}
		}
	}
}

// Every call fails, three times in a row: no line is lost, doubled or torn.
func TestTrouble(t *testing.T) {
	for _, processor := range []bool{false, true} {
		for _, fault := range []error{syscall.ENOSPC, syscall.EIO, crashfs.Short(syscall.ENOSPC), syscall.EMFILE} {
			for n := 0; ; n++ {
				fs := crashfs.New()
				l := testLog(t, fs)
				l.keep = 3
				if processor {
					withProcessor(l)
				}
				mustOpen(t, l)
				begin := fs.Calls()
				fs.Fault = func(c crashfs.Call) error {
					if c.N >= begin+n && c.N < begin+n+3 {
						return fault
					}
					return nil
				}
				want := ""
				for i := range 12 {
					want += testLine(i)
					l.write([]byte(testLine(i)))
				}
				l.close()
				calls := fs.Calls()
				fs.Fault = nil
				if all := everything(t, fs); len(oldLogs(t, fs)) != 2 || !strings.HasSuffix(want, all) || len(all) < 400 {
					t.Fatalf("%v at call %d (%v): %q\n%s", fault, n, fs.Log()[begin+n:][:3], all, fs.Dump())
				}
				if begin+n > calls {
					break
				}
			}
		}
	}
}

func TestProcessor(t *testing.T) {
	fs := crashfs.New()
	l := testLog(t, fs)
	withProcessor(l)
	tries := 0
	l.start = func(l *log, previous, processed, state, newstate fsys.File) (child.Status, error) {
		switch tries++; tries {
		case 1:
			return 0, syscall.EAGAIN
		case 2:
			processed.Write([]byte("half of it"))
			return 1 << 8, nil // exit status 1
		case 3:
			return 9, nil // killed
		}
		return copier(l, previous, processed, state, newstate)
	}
	mustOpen(t, l)
	want := ""
	for i := range 12 {
		want += testLine(i)
		l.write([]byte(testLine(i)))
	}
	if all := everything(t, fs); all != want {
		t.Errorf("there is %q", all)
	}
	runs := len(oldLogs(t, fs))
	if state := read(t, fs, "state"); runs < 2 || state != strings.Repeat("x", runs) {
		t.Errorf("state is %q after %d runs", state, runs)
	}
	for _, name := range []string{"previous", "processed", "newstate"} {
		if _, err := fs.Stat(name); err != syscall.ENOENT {
			t.Errorf("%s stays: %v", name, err)
		}
	}
}

// A hard link made by a backup is not taken for an old log.
func TestBackupsHardLink(t *testing.T) {
	fs := crashfs.New("backup")
	l := testLog(t, fs)
	mustOpen(t, l)
	if err := fs.Link("current", "backup/current"); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		l.write([]byte(testLine(i)))
	}
	if all := everything(t, fs); !strings.HasPrefix(all, testLine(0)) {
		t.Errorf("the first lines are gone: %q", all)
	}
}

// Files that others remove, or directories that they make, do not stop the log.
func TestOthersInTheDirectory(t *testing.T) {
	const theirs = "@0000000000000000000000000"
	fs := crashfs.New(theirs)
	l := testLog(t, fs)
	l.keep = 2
	mustOpen(t, l)
	l.write([]byte(testLine(0)))
	if err := fs.Remove("current"); err != nil {
		t.Fatal(err)
	}
	for i := range 9 {
		l.write([]byte(testLine(i)))
	}
	if names := oldLogs(t, fs); len(names) < 2 || names[0] != theirs {
		t.Errorf("there are %q", names)
	}
	if current := read(t, fs, "current"); current != testLine(7)+testLine(8) {
		t.Errorf("current is %q", current)
	}
}

// FuzzOpen opens a log whose directory is in any state: the lines in current,
// previous and a finished "processed" stay readable, and new lines come last.
func FuzzOpen(f *testing.F) {
	f.Add(uint64(1), "a\n", "b\n", "c\n")
	f.Add(uint64(77), "a", "", "c")
	f.Fuzz(func(t *testing.T, seed uint64, current, previous, processed string) {
		rng := rand.New(rand.NewPCG(seed, 0))
		fs := crashfs.New()
		put := func(name, text string) (safe, there bool) {
			if rng.IntN(3) == 0 {
				return false, false
			}
			safe = rng.IntN(2) == 0
			file, err := fs.Open(name, fsys.WRONLY|fsys.CREATE, 0644)
			if err != nil {
				t.Fatal(err)
			}
			file.Write([]byte(text))
			if safe {
				file.Chmod(0744)
			}
			file.Close()
			if rng.IntN(3) == 0 {
				fs.Link(name, fmt.Sprintf("@40000000%016x.%c", rng.Uint64N(1<<60), "su"[rng.IntN(2)]))
			}
			return safe, true
		}
		currentSafe, _ := put("current", "<"+current+">")
		_, previousThere := put("previous", "("+previous+")")
		processedSafe, _ := put("processed", "["+processed+"]")
		put("state", "s")
		put("newstate", "n")

		l := testLog(t, fs)
		mustOpen(t, l)
		l.write([]byte("new\n"))
		l.close()
		all := everything(t, fs)
		if !strings.HasSuffix(all, "new\n") {
			t.Fatalf("the new line is not last: %q", all)
		}
		keep := []string{}
		if _, err := fs.Stat("previous"); err == syscall.ENOENT && previousThere && !processedSafe {
			keep = append(keep, "("+previous+")")
		}
		if currentSafe {
			keep = append(keep, "<"+current+">")
		}
		for _, text := range keep {
			if !strings.Contains(all, text) {
				t.Errorf("%q is not in %q\n%s", text, all, fs.Dump())
			}
		}
	})
}
