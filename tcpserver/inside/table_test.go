package inside

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"paperpath"
	"paperpath/internal/proc"
	"paperpath/internal/programs"
)

// The table has the programs that PROGRAMS marks, under their names.
func TestPrograms(t *testing.T) {
	table, err := programs.Parse(paperpath.PROGRAMS)
	if err != nil {
		t.Fatal(err)
	}
	have := Programs()
	for _, p := range table {
		got := have["paperpath/cmd/"+p.Name]
		if p.Inside != (got != nil) || got != nil && got.Name != p.Name {
			t.Errorf("%s: inside is %v in PROGRAMS; the table has %+v", p.Name, p.Inside, got)
		}
		delete(have, "paperpath/cmd/"+p.Name)
	}
	for name := range have {
		t.Errorf("%s is not in PROGRAMS", name)
	}
}

func copyTo(t *testing.T, name, from string) string {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name+".new", text, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
	return name
}

// This test's binary is a program of its own build.
func TestFind(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	mine := &proc.Program{Name: "mine"}
	table := NewTable(map[string]*proc.Program{"paperpath/tcpserver/inside.test": mine})
	dir := t.TempDir()
	own := copyTo(t, filepath.Join(dir, "own"), self)
	late := filepath.Join(dir, "late")
	link := filepath.Join(dir, "link")
	if err := os.Symlink("own", link); err != nil {
		t.Fatal(err)
	}
	setuid := copyTo(t, filepath.Join(dir, "setuid"), self)
	if err := os.Chmod(setuid, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	stranger := filepath.Join(dir, "stranger")
	build := exec.Command("go", "build", "-o", stranger, "paperpath/cmd/svok")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for file, want := range map[string]*proc.Program{
		own: mine, link: mine, setuid: nil, stranger: nil, "/bin/sh": nil, dir: nil, late: nil, dir + "/none/x": nil,
	} {
		if got := table.Find(file); got != want {
			t.Errorf("%s: %v, want %v", file, got, want)
		}
	}

	// A file that was not there is looked at when it comes; one that changes
	// is executed from then on, even if it looks the same.
	copyTo(t, late, self)
	if table.Find(late) != mine {
		t.Error("a file that came later is not found")
	}
	copyTo(t, late, self)
	if table.Find(late) != nil {
		t.Error("a file that was replaced is still taken for the program")
	}
	if err := os.Chmod(own, 0o750); err != nil {
		t.Fatal(err)
	}
	if table.Find(own) != nil {
		t.Error("a file that was changed is still taken for the program")
	}
	if NewTable(nil).Find(link) != nil {
		t.Error("found in an empty table")
	}
}
