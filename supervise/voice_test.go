package supervise

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"paperpath/internal/sys"
)

func pipe(t *testing.T) (r, w *sys.FD) {
	t.Helper()
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func TestDropWriter(t *testing.T) {
	r, w := pipe(t)
	d := NewDropWriter(w, "supervise")
	line := strings.Repeat("x", 999) + "\n"
	for range 200 { // far more than a pipe holds
		if n, err := d.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	b := make([]byte, 1<<20)
	n, err := r.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	got := string(b[:n])
	held := strings.Count(got, "\n")
	if held == 0 || got != strings.Repeat(line, held) {
		t.Fatalf("%d bytes, %d lines: not whole ones", n, held)
	}
	d.Write([]byte("again\n"))
	if n, err = r.Read(b); err != nil {
		t.Fatal(err)
	}
	if got, want := string(b[:n]), "supervise: warning: "+strconv.Itoa(200-held)+" messages were lost, nobody read them\nagain\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Services that fill the pipe between the check for room and the write do not make
// the write block; and their own writes still block when it is full.
func TestDropWriterNeverBlocks(t *testing.T) {
	r, w := pipe(t)
	d := NewDropWriter(w, "supervise")
	for fd, want := range map[*sys.FD]int{w: 0, d.out.(*sys.FD): unix.O_NONBLOCK} {
		if flags, err := unix.FcntlInt(fd.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != want {
			t.Errorf("flags of descriptor %d: %#x, %v; want %#x", fd.Fd(), flags, err, want)
		}
	}
	r.Close()
	if n, err := d.Write([]byte("x\n")); n != 2 || err != nil {
		t.Errorf("without a reader: %d, %v", n, err)
	}
}

// A file is written through the shared descriptor, because the offset is shared, too.
func TestDropWriterToFile(t *testing.T) {
	name := t.TempDir() + "/log"
	fd, err := sys.Open(name, unix.O_WRONLY|unix.O_CREAT, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	d := NewDropWriter(fd, "supervise")
	d.Write([]byte("one\n"))
	fd.Write([]byte("two\n"))
	d.Write([]byte("three\n"))
	if b, err := os.ReadFile(name); err != nil || string(b) != "one\ntwo\nthree\n" {
		t.Errorf("%q, %v", b, err)
	}
}
