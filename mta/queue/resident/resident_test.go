package resident

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestArgv(t *testing.T) {
	if !Asked(Argv("bin/qmail-queue")) {
		t.Error("our own command line is not recognized")
	}
	for _, args := range [][]string{{"qmail-queue"}, {"qmail-queue", "x"}, {"--resident"}, {"qmail-queue", "--resident", "x"}} {
		if Asked(args) {
			t.Errorf("%q is taken for it", args)
		}
	}
}

// What is written arrives, in whatever sizes it is written and read.
func TestThereAndBack(t *testing.T) {
	for _, size := range []int{0, 1, 2, bufferSize - 2*header - 1, bufferSize - 2*header, bufferSize - 2*header + 1, bufferSize - header - 1,
		bufferSize - header, bufferSize - header + 1, bufferSize, MaxPiece, 200_000} {
		for _, step := range []int{1, 7, 1000, 1 << 20} {
			message := []byte(strings.Repeat("0123456789\n", size/11+1)[:size])
			var wire bytes.Buffer
			w := NewWriter(&wire)
			for _, envelope := range []string{"Fs\x00Tr\x00\x00", ""} { // two messages
				for p := message; len(p) > 0; p = p[min(step, len(p)):] {
					if n, err := w.Write(p[:min(step, len(p))]); n != min(step, len(p)) || err != nil {
						t.Fatal(n, err)
					}
				}
				w.End()
				io.WriteString(w, envelope)
				w.End()
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
				r := bufio.NewReader(&wire)
				got, err := io.ReadAll(NewReader(r))
				if err != nil || !bytes.Equal(got, message) {
					t.Fatalf("size %d in steps of %d: %d bytes, %v", size, step, len(got), err)
				}
				if got, err := io.ReadAll(NewReader(r)); err != nil || string(got) != envelope {
					t.Fatalf("size %d in steps of %d: envelope %q, %v", size, step, got, err)
				}
				if r.Buffered() != 0 || wire.Len() != 0 {
					t.Fatalf("size %d in steps of %d: more came", size, step)
				}
			}
		}
	}
}

func TestReaderErrors(t *testing.T) {
	for wire, want := range map[string]error{
		"":                          io.ErrUnexpectedEOF,
		"\x00\x00\x00":              io.ErrUnexpectedEOF,
		"\x00\x00\x00\x02a":         io.ErrUnexpectedEOF,
		"\x00\x00\x00\x02ab":        io.ErrUnexpectedEOF,
		"\x00\x01\x00\x01ab":        ErrPiece,
		"\xff\xff\xff\xffab":        ErrPiece,
		"\x00\x00\x00\x01a\x00\x00": io.ErrUnexpectedEOF,
	} {
		r := NewReader(bufio.NewReader(strings.NewReader(wire)))
		if _, err := io.ReadAll(r); err != want {
			t.Errorf("%q: %v, want %v", wire, err, want)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriterErrors(t *testing.T) {
	if n, err := NewWriter(broken{}).Write(make([]byte, 2*bufferSize)); n >= bufferSize || err != io.ErrClosedPipe {
		t.Error(n, err)
	}
	w := NewWriter(broken{})
	w.Write(make([]byte, bufferSize-header))
	if err := w.End(); err != io.ErrClosedPipe {
		t.Error(err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01a\x00\x00\x00\x00\x00\x00\x00\x02bc"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		got, err := io.ReadAll(NewReader(bufio.NewReader(bytes.NewReader(wire))))
		if err == nil && !bytes.Contains(wire, make([]byte, header)) {
			t.Errorf("%q: no end, and yet %q", wire, got)
		}
		if len(got) > len(wire) {
			t.Errorf("%q: out of nothing: %q", wire, got)
		}
	})
}

func TestReset(t *testing.T) {
	var wire bytes.Buffer
	w := NewWriter(&wire)
	io.WriteString(w, "given up")
	w.End()
	if w.Sent() {
		t.Error("sent before Flush")
	}
	w.Reset()
	io.WriteString(w, "x")
	w.End()
	w.Flush()
	if wire.String() != "\x00\x00\x00\x01x\x00\x00\x00\x00" || !w.Sent() {
		t.Errorf("%q", wire.String())
	}
}
