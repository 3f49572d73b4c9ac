package store

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paperpath/internal/fsys"
)

func readEnvelope(text string) (env Envelope, recipients []string, err error) {
	err = ReadEnvelope(strings.NewReader(text),
		func(e Envelope) error { env = e; return nil },
		func(r string) error { recipients = append(recipients, r); return nil })
	return env, recipients, err
}

func TestEnvelope(t *testing.T) {
	env, to, err := readEnvelope("u1000\x00p4711\x00Fa@b\x00Tc@d\x00Te@f\x00")
	if err != nil || env != (Envelope{1000, 4711, "a@b"}) || len(to) != 2 || to[1] != "e@f" {
		t.Errorf("%+v %q %v", env, to, err)
	}
	// Bounces have no sender; a message without recipients ends at once.
	if env, to, err = readEnvelope("F\x00"); err != nil || env.Sender != "" || to != nil {
		t.Errorf("%+v %q %v", env, to, err)
	}
	for _, bad := range []string{
		"", "u1\x00p2\x00", // no sender
		"Fa\x00Fb\x00Tc\x00",         // two
		"Tc\x00Fa\x00",               // recipients first
		"Fa\x00Tc",                   // cut off
		"Fa\x00Xc\x00", "Fa\x00\x00", // letters nobody knows, no letter
		"Fa\x00T" + strings.Repeat("x", maxRecord) + "\x00",
	} {
		if _, _, err := readEnvelope(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

func TestEnvelopeReadErrorIsNotCorruption(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("Fa\x00Tb"), errorReader{})
	err := ReadEnvelope(broken, func(Envelope) error { return nil }, func(string) error { return nil })
	if err == nil || errors.Is(err, ErrCorrupt) {
		t.Errorf("%v", err)
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, os.ErrPermission }

func queueDir(t *testing.T) fsys.OS {
	dir := t.TempDir()
	for _, d := range []string{"pid", "intd", "todo", "bounce", "mess", "info", "local", "remote"} {
		os.Mkdir(filepath.Join(dir, d), 0o700)
	}
	for _, d := range []string{"mess", "info", "local", "remote"} {
		for _, s := range Subdirs(d) {
			os.Mkdir(filepath.Join(dir, s), 0o700)
		}
	}
	return fsys.OS{Root: dir}
}

func put(t *testing.T, fs fsys.OS, name, text string) {
	t.Helper()
	if err := os.WriteFile(fs.Root+"/"+name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestInfo(t *testing.T) {
	fs := queueDir(t)
	id := ID(457)
	put(t, fs, id.Info(), "Fgod@heaven\x00")
	born := time.Unix(5e9, 0) // beyond 2^32
	fs.SetTimes(id.Info(), born)
	if sender, birth, err := ReadInfo(fs, id); err != nil || sender != "god@heaven" || !birth.Equal(born) {
		t.Errorf("%q %v %v", sender, birth, err)
	}
	for _, bad := range []string{"", "god", "Fgod", "Tgod\x00", "\x00"} {
		put(t, fs, id.Info(), bad)
		if _, _, err := ReadInfo(fs, id); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestMarkDone(t *testing.T) {
	fs := queueDir(t)
	id := ID(23)
	put(t, fs, id.Local(), "Ta@b\x00Tc@d\x00")
	if err := MarkDone(fs, id.Local(), 5); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(fs.Root + "/local/0/23"); string(b) != "Ta@b\x00Dc@d\x00" {
		t.Errorf("%q", b)
	}
	if err := MarkDone(fs, id.Remote(), 0); err == nil {
		t.Error("marked in a file that does not exist")
	}
}

func TestListPassesOverForeignNames(t *testing.T) {
	fs := queueDir(t)
	for _, name := range []string{"12", "012", "x", "12.corrupt", "-3"} {
		put(t, fs, "todo/"+name, "")
	}
	if ids, err := List(fs, "todo"); err != nil || len(ids) != 1 || ids[0] != 12 {
		t.Errorf("%v %v", ids, err)
	}
	if _, err := List(fs, "nowhere"); err == nil {
		t.Error("a directory that cannot be read looks empty")
	}
}

func FuzzRecords(f *testing.F) {
	for _, s := range []string{"u1\x00p2\x00Fa\x00Tb\x00", "", "\x00\x00", "Fa", "T\x00F\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var again []byte
		for s := NewRecords(strings.NewReader(text)); ; {
			rec, err := s.Next()
			if err != nil {
				if err != io.EOF && err != ErrCorrupt {
					t.Fatal(err)
				}
				break
			}
			if rec.Pos != int64(len(again)) {
				t.Fatalf("record at %d, said %d", len(again), rec.Pos)
			}
			again = append(append(append(again, rec.Letter), rec.Text...), 0)
		}
		if !strings.HasPrefix(text, string(again)) {
			t.Fatalf("%q read as %q", text, again)
		}
		readEnvelope(text)
	})
}
