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
	"paperpath/internal/proc/proctest"
	"paperpath/test/bin"
)

func TestMain(m *testing.M) { bin.Main(m) }

// needJournal skips a test where files are not as a journal needs them.
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
			j.begin(hashWords(script), [2]uint64{})
			copy(j.data(), "old"+input)
			j.change(func(at *slot) {
				at.begin, at.known, at.open = 3, 2, 1
				at.logs[0] = position{ino: st.Ino, base: uint64(len("before\n")), selected: 1}
			})
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

// What is in a lock file is nobody's journal unless it says so.
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

// FuzzJournal reads headers that anything may have happened to.
func FuzzJournal(f *testing.F) {
	f.Add([]byte("multilog"), uint64(0))
	f.Fuzz(func(t *testing.T, noise []byte, seed uint64) {
		mem := make([]byte, headerSize+dataSize)
		copy(mem, noise)
		j := &journal{mem: mem, header: (*header)(unsafe.Pointer(&mem[0]))}
		if seed > 0 { // a true beginning
			j.header.magic = magic
			rng := rand.New(rand.NewPCG(seed, 0))
			*j.slot() = slot{begin: rng.Uint64() >> rng.UintN(64), known: rng.Uint64() >> rng.UintN(64), open: rng.Uint64N(3)}
			copy(j.data()[rng.IntN(dataSize):], noise)
		}
		pending, at := j.left()
		if pending != nil && (at.begin+uint64(len(pending)) > dataSize || uint64(len(pending)) < at.known) {
			t.Errorf("%d bytes from %d", len(pending), at.begin)
		}
	})
}

// A numbered stream at full speed, and multilog killed again and again: every
// line is there once, whole and in order.
func TestKillNine(t *testing.T) {
	dir := t.TempDir()
	needJournal(t, dir)
	program := filepath.Join(bin.Dir(t), "multilog")
	for _, script := range []string{"s20000 n1000000 ./log", "t n1000000 ./log", "-* +* s100000 n1000000 ./log"} {
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
			n := 0
			for ; ; n++ {
				select {
				case <-stop:
					out.Close()
					lines <- n
					return
				default:
					fmt.Fprintf(out, "%08d and some more\n", n)
				}
			}
		}()
		for range 12 {
			cmd := start()
			time.Sleep(time.Duration(5+rand.IntN(20)) * time.Millisecond)
			cmd.Process.Kill()
			cmd.Wait()
		}
		cmd := start()
		close(stop)
		n := <-lines
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		in.Close()
		got := strings.Split(logText(t, filepath.Join(dir, "log")), "\n")
		for i := range n {
			if want := fmt.Sprintf("%08d and some more", i); i >= len(got) || !strings.HasSuffix(got[i], want) || len(got[i]) != len(want) && len(got[i]) != 26+len(want) {
				t.Fatalf("%s: line %d of %d is %q", script, i, n, got[min(i, len(got)-1)])
			}
		}
		if len(got) != n+1 {
			t.Errorf("%s: %d lines of %d", script, len(got)-1, n)
		}
	}
}
