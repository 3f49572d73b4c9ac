package hier

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"paperpath"
)

func TestMake(t *testing.T) {
	table, err := Parse(paperpath.HIER)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := Make(table, home); err != nil {
		t.Fatal(err)
	}
	for _, e := range table {
		if e.Host {
			if _, err := os.Lstat(filepath.Join(home, e.Path)); err == nil {
				t.Errorf("%s is for a host, and made in a home", e.Path)
			}
			continue
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(filepath.Join(home, e.Path), &st); err != nil {
			t.Errorf("%s: %v", e.Path, err)
			continue
		}
		kind := map[byte]uint32{'d': syscall.S_IFDIR, 'p': syscall.S_IFIFO, 'f': syscall.S_IFREG}[e.Kind]
		if st.Mode&syscall.S_IFMT != kind {
			t.Errorf("%s: mode %o, want a %c", e.Path, st.Mode, e.Kind)
		}
		if e.Path != "." && st.Mode&0o7777 != e.Mode {
			t.Errorf("%s: mode %o, want %o", e.Path, st.Mode&0o7777, e.Mode)
		}
		if e.Kind == 'f' && st.Size != e.Size {
			t.Errorf("%s: size %d, want %d", e.Path, st.Size, e.Size)
		}
	}
	// A second pass keeps what is there.
	tcpto := filepath.Join(home, "queue/lock/tcpto")
	if err := os.WriteFile(tcpto, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Make(table, home); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(tcpto); string(text) != "kept" {
		t.Errorf("%s was overwritten: %q", tcpto, text)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"d 0755 root:root":          "HIER:1: want kind mode owner path",
		"\nx 0755 root:root a":      "HIER:2: unknown kind x",
		"d 0999 root:root a":        "HIER:1: ",
		"d 0755 root:root a 12":     "HIER:1: want kind",
		"s 0755 root:root a":        "HIER:1: want kind",
		"f 0644 root:root a":        "HIER:1: want kind",
		"f 0644 root:root a 99zz99": "HIER:1: ",
	} {
		if _, err := Parse(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("Parse(%q): %v, want %s", text, err, want)
		}
	}
}
