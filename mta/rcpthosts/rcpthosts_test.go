package rcpthosts

import (
	"os"
	"path/filepath"
	"testing"

	"paperpath/internal/cdb"
	"paperpath/internal/fsys"
)

func TestAllowed(t *testing.T) {
	dir := t.TempDir()
	fs := fsys.OS{Root: dir}
	if err := os.Mkdir(filepath.Join(dir, "control"), 0o755); err != nil {
		t.Fatal(err)
	}
	check := func(step, addr string, want, wantErr bool) {
		t.Helper()
		h, err := Open(fs)
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		defer h.Close()
		if got, err := h.Allowed(addr); got != want || (err != nil) != wantErr {
			t.Errorf("%s: %q: %v, %v", step, addr, got, err)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "control", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	check("no rcpthosts", "u@any.example", true, false)

	write("rcpthosts", "Host.example\n.below.example\n# other.example\n")
	for addr, want := range map[string]bool{
		"u@host.EXAMPLE":             true,
		"u@x.host.example":           false,
		"u@below.example":            false,
		"u@a.b.below.example":        true,
		"u@other.example":            false,
		"u@host.example.":            false,
		"u@host.example@other":       false,
		"u@other@host.example":       true,
		"u@":                         false,
		"u":                          true,
		"":                           true,
		"u@host.example\x00":         false,
		"u@xbelow.example":           false,
		"u@more.example":             false,
		"host.example@other.example": false,
	} {
		check("rcpthosts", addr, want, false)
	}

	more, err := fs.Open("control/morercpthosts.cdb", fsys.WRONLY|fsys.CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer more.Close()
	err = cdb.Write(more, func(w *cdb.Writer) error {
		if err := w.Add([]byte("more.example"), nil); err != nil {
			return err
		}
		return w.Add([]byte(".wild.example"), nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	check("morercpthosts", "u@MORE.example", true, false)
	check("morercpthosts", "u@a.wild.example", true, false)
	check("morercpthosts", "u@wild.example", false, false)

	write("morercpthosts.cdb", "damaged")
	check("damaged", "u@host.example", true, false)
	check("damaged", "u@more.example", false, true)

	// Without rcpthosts the database does not count.
	if err := os.Remove(filepath.Join(dir, "control", "rcpthosts")); err != nil {
		t.Fatal(err)
	}
	check("database alone", "u@other.example", true, false)
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "control", "rcpthosts"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(fsys.OS{Root: dir}); err == nil {
		t.Error("a control file that cannot be read is no error")
	}
}
