package multilog

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys/crashfs"
)

// A victim is a multilog that is killed when a call of its file system fails.
type victim struct {
	*script
	*buffer
}

type killed struct{}

// startVictim does what openLogs does, with a file system and a lock file in
// memory.
func startVictim(t *testing.T, fs *crashfs.FS, mem []byte, kind string) *victim {
	l := testLog(t, fs)
	l.pause = func(string, error) { panic(killed{}) }
	s := &script{logs: []*log{l}, outs: []*out{{to: l, selected: true}}}
	switch kind {
	case "t":
		s.stamp = true
	case "filtered":
		s.choosy = true
		s.actions = []action{{verb: '-', pattern: compile("*odd*")}, {verb: toOut, out: s.outs[0]}}
	case "processor":
		withProcessor(l)
		l.keep = 1000
	}
	if kind != "processor" {
		l.size = 1 << 20 // a settler would live on
	}
	j := &journal{mem: mem, header: (*header)(unsafe.Pointer(&mem[0])), script: uint64(len(kind))}
	pending, at := j.left()
	if pending == nil {
		if err := l.open(); err != nil {
			panic(killed{})
		}
	}
	b, err := s.begin(j, pending, &at)
	if err != nil {
		panic(killed{})
	}
	return &victim{s, b}
}

// lockFile returns memory that is like the mapping of a lock file.
func lockFile(t *testing.T) []byte {
	mem, err := unix.Mmap(-1, 0, lockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	return mem
}

// until calls run until it ends or is killed.
func until(run func()) {
	defer func() {
		if r := recover(); r != nil {
			_ = r.(killed)
		}
	}()
	run()
}

// multilog is killed anywhere, so is the next one while it adds what is missing,
// and the one after that: each line, even a long one, is there once and whole.
func TestKilledAgain(t *testing.T) {
	var text strings.Builder
	rng := rand.New(rand.NewPCG(7, 7))
	for i := range 25 {
		fmt.Fprintf(&text, "%03d %s %s\n", i, []string{"even", "odd"}[i%2], filled([]int{0, 30, 60, 90, 300, 1000, 3000}[rng.IntN(7)]))
	}
	all := text.String()
	mem := lockFile(t)
	defer unix.Munmap(mem)
	for _, kind := range []string{"plain", "t", "filtered", "processor"} {
		want := all
		if kind == "filtered" {
			want = ""
			for line := range strings.Lines(all) {
				if !strings.Contains(line[:9], "odd") {
					want += line
				}
			}
		}
		const never = 1 << 30
		total := never // calls of a complete run, known after the first round
		for range map[bool]int{false: 150, true: 600}[kind == "processor"] {
			first, second, quiet := never, rng.IntN(45), len(all)
			if total < never {
				first, quiet = rng.IntN(total), quiet*(1+rng.IntN(4))/4
			}
			fs := crashfs.New()
			clear(mem)
			read := 0
			live := func(calls, bytes int) {
				last := fs.Calls() + calls
				fs.Fault = func(c crashfs.Call) error {
					switch {
					case c.N < last:
						return nil
					case c.N == last && second%2 == 0:
						return crashfs.Short(syscall.EIO)
					}
					return syscall.EIO
				}
				defer func() { fs.Fault = nil }()
				until(func() {
					v := startVictim(t, fs, mem, kind)
					for read < bytes {
						n := copy(v.room(), all[read:min(read+1+rng.IntN(3000), bytes)])
						read += n
						v.buffer.end += n
						v.apply(v.script)
					}
				})
			}
			live(first, quiet) // killed at a call, or when nothing is going on
			if total == never {
				total = fs.Calls()
			}
			live(second, read) // this one only adds
			live(never, len(all))
			got := everything(t, fs)
			if kind == "t" {
				got = unstamped(t, got)
			}
			if got != want {
				t.Fatalf("%s, killed at call %d, then at %d of the start: %s\n%s", kind, first, second, difference(got, want), fs.Dump())
			}
		}
	}
}

func unstamped(t *testing.T, text string) string {
	t.Helper()
	var plain strings.Builder
	for line := range strings.Lines(text) {
		if len(line) < 26 || line[0] != '@' || line[25] != ' ' {
			t.Fatalf("no stamp in %q", line)
		}
		plain.WriteString(line[26:])
	}
	return plain.String()
}

func difference(got, want string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	from := max(i-20, 0)
	return fmt.Sprintf("at byte %d of %d there is %.60q, not %.60q", i, len(want), got[from:], want[from:])
}

// Input from another stdin does not continue the unfinished line from the old one,
// which ends where it was.
func TestOtherInputAfterKill(t *testing.T) {
	for _, kind := range []string{"plain", "t", "filtered"} {
		for _, begun := range []string{"half", filled(3000)} {
			fs := crashfs.New()
			mem := lockFile(t)
			feed := func(v *victim, text string) {
				v.buffer.end += copy(v.room(), text)
				v.apply(v.script)
			}
			feed(startVictim(t, fs, mem, kind), "one\n"+begun)
			(*header)(unsafe.Pointer(&mem[0])).slots[0].input = [2]uint64{1, 1}
			(*header)(unsafe.Pointer(&mem[0])).slots[1].input = [2]uint64{1, 1}
			feed(startVictim(t, fs, mem, kind), "two\n")
			got := everything(t, fs)
			if kind == "t" {
				got = unstamped(t, got)
			}
			want := "one\ntwo\n"
			if len(begun) > headSize {
				want = "one\n" + begun + "\ntwo\n"
			}
			if got != want {
				t.Errorf("%s: %s", kind, difference(got, want))
			}
		}
	}
}

// The tail of a line that was not selected is not selected by the next multilog
// either.
func TestSelectionOutlivesKill(t *testing.T) {
	fs := crashfs.New()
	mem := lockFile(t)
	for _, text := range []string{"odd " + filled(2000), "even", " odd\neven\n"} {
		v := startVictim(t, fs, mem, "filtered")
		v.buffer.end += copy(v.room(), text)
		v.apply(v.script)
	}
	if got := everything(t, fs); got != "even\n" {
		t.Errorf("there is %q", got)
	}
}
