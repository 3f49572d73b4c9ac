// Package house tests the rules that the whole tree keeps.
package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"paperpath/test/bin"
)

// goList runs go list at the top of the tree and returns its lines.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = bin.Root(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// readFloors returns what each package may import.
func readFloors(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(bin.Root(t), "FLOORS"))
	if err != nil {
		t.Fatal(err)
	}
	floors := map[string][]string{}
	for _, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		name, imports, ok := strings.Cut(line, ":")
		if !ok {
			t.Errorf("FLOORS: no colon in %q", line)
		}
		if _, twice := floors[name]; twice {
			t.Errorf("FLOORS: %s stands twice", name)
		}
		floors[name] = strings.Fields(imports)
	}
	return floors
}

// floorName is how FLOORS calls an import: without the module's name, a
// foreign package by its module. The standard library has none.
func floorName(path string) (name string, ok bool) {
	if path == "paperpath" {
		return ".", true
	}
	if own, found := strings.CutPrefix(path, "paperpath/"); found {
		return own, true
	}
	parts := strings.Split(path, "/")
	if !strings.Contains(parts[0], ".") {
		return "", false
	}
	return strings.Join(parts[:min(3, len(parts))], "/"), true
}

func TestFloors(t *testing.T) {
	floors := readFloors(t)
	seen := map[string]bool{}
	for _, line := range goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
		fields := strings.Fields(line)
		name, _ := floorName(fields[0])
		if strings.HasPrefix(name, "cmd/") || strings.HasPrefix(name, "test/") {
			continue // the generated mains and the tests stand outside
		}
		seen[name] = true
		allowed, listed := floors[name]
		if !listed {
			t.Errorf("FLOORS has no line for %s", name)
			continue
		}
		var used []string
		for _, path := range fields[1:] {
			dep, ok := floorName(path)
			if !ok || slices.Contains(used, dep) {
				continue
			}
			used = append(used, dep)
			if !slices.Contains(allowed, dep) {
				t.Errorf("%s imports %s, which its line in FLOORS does not allow", name, dep)
			}
		}
		for _, dep := range allowed {
			if !slices.Contains(used, dep) {
				t.Errorf("FLOORS lets %s import %s, which it does not", name, dep)
			}
		}
	}
	for name := range floors {
		if !seen[name] {
			t.Errorf("FLOORS lists %s, which does not exist", name)
		}
	}
}

// No file is longer than one can read in a sitting.
func TestFileLength(t *testing.T) {
	root := bin.Root(t)
	err := filepath.WalkDir(root, func(name string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", "bin", "run"}, entry.Name()) && filepath.Dir(name) == root {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if n := strings.Count(string(text), "\n"); n > 800 {
			t.Errorf("%s has %d lines", name, n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
