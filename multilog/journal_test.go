package multilog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"paperpath/internal/fsys"
	"paperpath/internal/fsys/crashfs"
	"paperpath/internal/proc/proctest"
	"paperpath/internal/sys"
	"paperpath/test/bin"
)

func TestMain(m *testing.M) { bin.Main(m) }

// needJournal skips a test where the file system does not support a journal.
func needJournal(t *testing.T, dir string) {
	t.Helper()
	f, err := fsys.OS{Root: dir}.Open("probe", fsys.RDWR|fsys.CREATE, 0600)
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(filepath.Join(dir, "probe"))
	defer f.Close()
	if openJournal(f) == nil {
		t.Skip("there are no journals on this file system, or /proc is not mounted")
	}
}

func logText(t *testing.T, dir string) string {
	t.Helper()
	old, _ := filepath.Glob(filepath.Join(dir, "@*"))
	slices.Sort(old)
	all := ""
	for _, file := range append(old, filepath.Join(dir, "current")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	return all
}

// Whatever part of its output a log has got when multilog is killed, the next
// one adds what is missing, at the end of the same file.
func TestKilledInAWrite(t *testing.T) {
	top := t.TempDir()
	needJournal(t, top)
	const input = "one\ntwo three\nfour\nhalf a li"
	for name, c := range map[string]struct {
		script string
		output string // L: a label and a space
	}{
		"all":     {"./log", "one\ntwo three\nfour\n"},
		"chosen":  {"-* +t* +f* ./log", "two three\nfour\n"},
		"stamped": {"t ./log", "Lone\nLtwo three\nLfour\n"},
	} {
		script := strings.Fields(c.script)
		output := strings.ReplaceAll(c.output, "L", "@4000000037c219bf2ef02e94 ")
		for n := 0; n <= len(output); n++ {
			dir := filepath.Join(top, fmt.Sprint(name, n))
			os.MkdirAll(filepath.Join(dir, "log"), 0755)
			if err := os.WriteFile(filepath.Join(dir, "log/current"), []byte("before\n"+output[:n]), 0644); err != nil {
				t.Fatal(err)
			}
			var st syscall.Stat_t
			syscall.Stat(filepath.Join(dir, "log/current"), &st)
			lock, err := fsys.OS{Root: dir}.Open("log/lock", fsys.RDWR|fsys.CREATE, 0600)
			if err != nil {
				t.Fatal(err)
			}
			j := openJournal(lock)
			j.begin()
			copy(j.data(), "old"+input)
			j.change(func(at *slot) {
				at.script, at.begin, at.known, at.open, at.selected = hashWords(script), 3, 2, 1, 1
				at.logs[0] = position{ino: st.Ino, base: uint64(len("before\n"))}
			})
			j.header.magic = magic
			syscall.Munmap(j.mem)
			lock.Close()

			r := proctest.Run(&Multilog, proctest.Case{Args: script, Dir: dir, In: "ne\n"})
			if r.Status != 0 || r.Err != "" {
				t.Fatalf("status %d, %q", r.Status, r.Err)
			}
			got := logText(t, filepath.Join(dir, "log"))
			want := "before\n" + c.output
			if name == "all" {
				want += "half a line\n"
			} else if name == "stamped" {
				want += "Lhalf a line\n"
			}
			if name == "stamped" {
				if len(got) != len(strings.ReplaceAll(want, "L", strings.Repeat("L", 26))) || strings.Count(got, "\n") != 5 {
					t.Fatalf("%s, killed after %d bytes: %q", name, n, got)
				}
			} else if got != want {
				t.Fatalf("%s, killed after %d bytes: %q, want %q", name, n, got, want)
			}
			if u, _ := filepath.Glob(filepath.Join(dir, "log/@*.u")); len(u) != 1 {
				t.Fatalf("%q", u)
			} else if text, _ := os.ReadFile(u[0]); text[len(text)-1] != '\n' || bytes.Count(text, []byte("\n")) != 1+strings.Count(c.output, "\n") {
				t.Fatalf("%s, killed after %d bytes: the file of then is %q", name, n, text)
			}
			if lock, err := os.Stat(filepath.Join(dir, "log/lock")); err != nil || lock.Size() != 0 {
				t.Fatalf("lock: %v, %v", lock, err)
			}
		}
	}
}

// A lock file with any other contents is not taken for a journal.
func TestOthersLockFile(t *testing.T) {
	for _, text := range []string{"12345\n", strings.Repeat("x", headerSize+dataSize)} {
		dir := t.TempDir()
		os.Mkdir(filepath.Join(dir, "log"), 0755)
		lock := filepath.Join(dir, "log/lock")
		if err := os.WriteFile(lock, []byte(text), 0600); err != nil {
			t.Fatal(err)
		}
		r := proctest.Run(&Multilog, proctest.Case{Args: []string{"./log"}, Dir: dir, In: "x\n"})
		if got, _ := os.ReadFile(lock); r.Status != 0 || string(got) != text {
			t.Errorf("status %d, the lock has %d bytes", r.Status, len(got))
		}
	}
}

// FuzzJournal opens a log whose journal has random contents.
func FuzzJournal(f *testing.F) {
	f.Add([]byte("multilog"), uint64(0))
	f.Add([]byte("one\ntwo\nthr"), uint64(3))
	f.Add([]byte(strings.Repeat("x", 2000)+"\ny\n"), uint64(8))
	f.Fuzz(func(t *testing.T, noise []byte, seed uint64) {
		mem := lockFile(t)
		defer syscall.Munmap(mem)
		copy(mem, noise)
		j := &journal{mem: mem, header: (*header)(unsafe.Pointer(&mem[0]))}
		if seed > 0 { // with a valid magic
			j.header.magic = magic
			rng := rand.New(rand.NewPCG(seed, 0))
			any := func() uint64 { return rng.Uint64() >> rng.UintN(64) }
			at := j.slot()
			*at = slot{begin: any(), known: any(), open: rng.Uint64N(3), inTail: rng.Uint64N(3), selected: any(), input: [2]uint64{rng.Uint64N(2)}}
			at.logs[0] = position{ino: rng.Uint64N(5), base: any(), skip: any()}
			copy(j.data()[rng.IntN(dataSize):], noise)
		}
		pending, at := j.left()
		if pending != nil && (at.begin+uint64(len(pending)) > dataSize || uint64(len(pending)) < at.known) {
			t.Errorf("%d bytes from %d", len(pending), at.begin)
		}
		v := startVictim(t, crashfs.New(), mem, []string{"plain", "t", "filtered"}[seed%3])
		v.buffer.end += copy(v.room(), "new\n")
		v.apply(v.script)
	})
}

// A journal with an unknown layout or with impossible sizes is not used, and an
// unknown layout is reported.
func TestForeignJournal(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*journal)
		warning string
	}{
		"layout": {func(j *journal) { j.header.magic = 'g'<<56 | ours }, "multilog: warning: what is in ./log/lock is of another version, and given up\n"},
		"skip":   {func(j *journal) { j.slot().logs[0].skip = 1 << 63 }, ""},
		"base":   {func(j *journal) { j.slot().logs[15].base = maxPosition + 1 }, ""},
	} {
		dir := t.TempDir()
		needJournal(t, dir)
		os.Mkdir(filepath.Join(dir, "log"), 0755)
		lock, err := fsys.OS{Root: dir}.Open("log/lock", fsys.RDWR|fsys.CREATE, 0600)
		if err != nil {
			t.Fatal(err)
		}
		j := openJournal(lock)
		j.begin()
		copy(j.data(), "left\n")
		j.change(func(at *slot) { at.known, at.script = 5, hashWords([]string{"./log"}) })
		j.header.magic = magic
		c.change(j)
		syscall.Munmap(j.mem)
		lock.Close()
		r := proctest.Run(&Multilog, proctest.Case{Args: []string{"./log"}, Dir: dir, In: "new\n"})
		if got := logText(t, filepath.Join(dir, "log")); r.Status != 0 || r.Err != c.warning || got != "new\n" {
			t.Errorf("%s: status %d, %q, the log is %q", name, r.Status, r.Err, got)
		}
	}
}

// Truncating the lock file costs the journal, but no line.
func TestLockTruncated(t *testing.T) {
	dir := t.TempDir()
	needJournal(t, dir)
	out, done := onPipe(t, dir, "t", "./log")
	out.Write([]byte("one\ntw"))
	waitFor(t, func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "log/current"))
		lock, _ := os.ReadFile(filepath.Join(dir, "log/lock"))
		return len(text) == 30 && bytes.Contains(lock, []byte("tw\x00"))
	})
	time.Sleep(50 * time.Millisecond) // to where it waits
	if err := os.Truncate(filepath.Join(dir, "log/lock"), 0); err != nil {
		t.Fatal(err)
	}
	out.Write([]byte("o\nthree\n"))
	out.Close()
	r := <-done
	if r.Status != 0 || r.Err != "multilog: warning: somebody has truncated ./log/lock: going on without\n" {
		t.Errorf("status %d, %q", r.Status, r.Err)
	}
	if got := unstamped(t, logText(t, filepath.Join(dir, "log"))); got != "one\ntwo\nthree\n" {
		t.Errorf("the log is %q", got)
	}
}

// A stream of numbered lines, short and long, runs at full speed while multilog is
// killed again and again: every line is in the log once, whole and in order.
func TestKillNine(t *testing.T) {
	dir := t.TempDir()
	needJournal(t, dir)
	program := filepath.Join(bin.Dir(t), "multilog")
	for _, script := range []string{"s20000 n1000000 ./log", "t n1000000 ./log", "-* +* s100000 n1000000 ./log", "s100000 n1000000 !cat ./log"} {
		os.RemoveAll(filepath.Join(dir, "log"))
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		start := func() *exec.Cmd {
			cmd := exec.Command(program, strings.Fields(script)...)
			cmd.Dir = dir
			cmd.Stdin = in
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			return cmd
		}
		stop, lines := make(chan bool), make(chan int)
		go func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					out.Close()
					lines <- n
					return
				default:
				}
				line := numbered(n)
				for part := range slices.Chunk([]byte(line), 1500) {
					out.Write(part)
				}
				if n%16 == 0 {
					time.Sleep(100 * time.Microsecond)
				}
			}
		}()
		for range 8 {
			cmd := start()
			time.Sleep(time.Duration(5+rand.IntN(20)) * time.Millisecond)
			cmd.Process.Kill()
			cmd.Wait()
		}
		// A processor that was being started may hold the lock for a moment.
		waitFor(t, func() bool {
			lock, err := os.Open(filepath.Join(dir, "log/lock"))
			if err != nil {
				return os.IsNotExist(err)
			}
			defer lock.Close()
			return sys.Lock(int(lock.Fd()), false) == nil
		})
		cmd := start()
		close(stop)
		n := <-lines
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		in.Close()
		got := logText(t, filepath.Join(dir, "log"))
		if script[0] == 't' {
			got = unstamped(t, got)
		}
		var want strings.Builder
		for i := range n {
			want.WriteString(numbered(i))
		}
		if got != want.String() {
			t.Errorf("%s, %d lines: %s", script, n, difference(got, want.String()))
		}
	}
}

// The killed multilog had begun a line, and TERM comes before the next one has
// read anything: the next one still waits for the end of that line.
func TestTermAfterKill(t *testing.T) {
	dir := t.TempDir()
	needJournal(t, dir)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	start := func() *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin.Dir(t), "multilog"), "./log")
		cmd.Dir, cmd.Stdin = dir, in
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill() })
		return cmd
	}
	current := func() string {
		text, _ := os.ReadFile(filepath.Join(dir, "log/current"))
		return string(text)
	}
	killed := start()
	out.WriteString("whole\nhal")
	waitFor(t, func() bool { return current() == "whole\n" })
	killed.Process.Kill()
	killed.Wait()
	next := start()
	waitFor(t, func() bool {
		old, _ := filepath.Glob(filepath.Join(dir, "log/@*.u"))
		_, err := os.Stat(filepath.Join(dir, "log/current"))
		return len(old) == 1 && err == nil
	})
	next.Process.Signal(syscall.SIGTERM)
	time.Sleep(50 * time.Millisecond) // long enough to exit, if it is wrong
	out.WriteString("f\nlater\n")
	if err := next.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := current(); got != "half\n" {
		t.Errorf("current is %q", got)
	}
	left := make([]byte, 100)
	if n, _ := in.Read(left); string(left[:n]) != "later\n" {
		t.Errorf("it left %q", left[:n])
	}
}

// numbered returns line n, of up to 5000 bytes.
func numbered(n int) string {
	length := n * 7919 % 100
	if n%8 == 0 {
		length = n * 7919 % 5000
	}
	return fmt.Sprintf("%08d ", n) + strings.Repeat(string(rune('a'+n%26)), length) + "\n"
}

// mapping returns the memory that a file is mapped to in this process.
func mapping(t *testing.T, file string) []byte {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		if strings.HasSuffix(line, " "+file+"\n") {
			fmt.Sscanf(line, "%x-%x", &from, &to)
			return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&from))), to-from)
		}
	}
	t.Fatalf("%s is not mapped", file)
	return nil
}

// The disk may have no room for stores into the mapping, which is then as good as
// read-only. multilog waits, and nothing else comes of it.
func TestNoRoomForStores(t *testing.T) {
	for _, kind := range []string{"plain", "t", "filtered", "processor"} {
		fs := crashfs.New()
		mem := lockFile(t)
		lock, err := os.Create(filepath.Join(t.TempDir(), "lock"))
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		if err := lock.Truncate(lockSize); err != nil {
			t.Fatal(err)
		}
		full := func(is bool) {
			access := syscall.PROT_READ | syscall.PROT_WRITE
			if is {
				access = syscall.PROT_READ
			}
			if err := syscall.Mprotect(mem, access); err != nil {
				t.Fatal(err)
			}
		}
		v := startVictim(t, fs, mem, kind)
		pauses := 0
		v.buffer.journal.file = lock
		v.buffer.journal.pause = func() {
			pauses++
			full(false)
		}
		want := ""
		for i := range 200 {
			line := numbered(i)
			want += line
			half := len(line) * (i % 3) / 2
			for _, text := range []string{line[:half], line[half:]} {
				v.buffer.end += copy(v.room(), text)
				full(true)
				v.apply(v.script)
				full(false)
			}
		}
		got := everything(t, fs)
		if kind == "t" {
			got = unstamped(t, got)
		}
		if got != want || pauses < 100 {
			t.Errorf("%s, %d pauses: %s", kind, pauses, difference(got, want))
		}
		if pending, _ := v.buffer.journal.left(); pending != nil {
			t.Errorf("%s: %d bytes are left", kind, len(pending))
		}
		syscall.Munmap(mem)
	}
}

// Bytes that the kernel copied before it found no room for the rest have not been
// read: they are not taken for the input of a killed multilog.
func TestNoRoomForAllOfIt(t *testing.T) {
	v := startVictim(t, crashfs.New(), lockFile(t), "plain")
	copy(v.room(), "one\ntwo\n"+filled(5000))
	v.came(len("one\n"))
	if pending, _ := v.buffer.journal.left(); string(pending) != "one\n" {
		t.Errorf("%d bytes are left: %.20q", len(pending), pending)
	}
	v.apply(v.script)
	copy(v.room(), "two\n"+filled(5000))
	v.came(0)
	if pending, _ := v.buffer.journal.left(); pending != nil {
		t.Errorf("%d bytes are left: %.20q", len(pending), pending)
	}
}

// When the disk has no room for the buffer of a read, multilog waits.
func TestNoRoomToRead(t *testing.T) {
	dir := t.TempDir()
	needJournal(t, dir)
	out, done := onPipe(t, dir, "./log")
	out.Write([]byte("one\n"))
	waitFor(t, func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "log/current"))
		lock, _ := os.ReadFile(filepath.Join(dir, "log/lock"))
		return len(text) == 4 && len(lock) == lockSize && !bytes.Contains(lock, []byte("one"))
	})
	time.Sleep(50 * time.Millisecond) // to where it waits
	mem := mapping(t, filepath.Join(dir, "log/lock"))
	if err := syscall.Mprotect(mem, syscall.PROT_READ); err != nil {
		t.Fatal(err)
	}
	out.Write([]byte("two\n"))
	time.Sleep(500 * time.Millisecond)
	if err := syscall.Mprotect(mem, syscall.PROT_READ|syscall.PROT_WRITE); err != nil {
		t.Fatal(err)
	}
	out.Write([]byte("three\n"))
	out.Close()
	r := <-done
	if r.Status != 0 || r.Err != "multilog: warning: unable to write to ./log/lock, pausing\n" {
		t.Errorf("status %d, %q", r.Status, r.Err)
	}
	if got := logText(t, filepath.Join(dir, "log")); got != "one\ntwo\nthree\n" {
		t.Errorf("the log is %q", got)
	}
}
