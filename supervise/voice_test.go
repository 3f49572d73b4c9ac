package supervise

import (
	"strconv"
	"strings"
	"testing"

	"paperpath/internal/sys"
)

func TestHeard(t *testing.T) {
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	h := &Heard{File: w, Name: "supervise"}
	line := strings.Repeat("x", 999) + "\n"
	for range 200 { // far more than a pipe holds
		if n, err := h.Write([]byte(line)); n != len(line) || err != nil {
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
	h.Write([]byte("again\n"))
	if n, err = r.Read(b); err != nil {
		t.Fatal(err)
	}
	if got, want := string(b[:n]), "supervise: warning: "+strconv.Itoa(200-held)+" messages were lost, nobody read them\nagain\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
