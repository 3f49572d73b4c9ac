// Package bin builds the programs for tests that run real processes.
package bin

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

var build = sync.OnceValues(func() (string, error) {
	// make test has built them already and says where.
	if dir := os.Getenv("PAPERPATH_BIN"); dir != "" {
		return dir, rename(dir)
	}
	built = true
	return compile(nil)
})

// compile builds the programs into a new directory.
func compile(flags []string) (string, error) {
	dir, err := os.MkdirTemp("", "paperpath-bin-")
	if err != nil {
		return "", err
	}
	args := slices.Concat([]string{"build", "-o", dir}, flags, []string{"./cmd/...", "./demo"})
	cmd := exec.Command("go", args...)
	cmd.Dir = root()
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := cmd.Run(); err != nil {
		return dir, err
	}
	return dir, rename(dir)
}

// rename gives the programs whose names end with @ these names, as links: go
// build cannot (programs.Program.Dir).
func rename(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*-at"))
	for _, file := range files {
		name := strings.TrimSuffix(file, "-at") + "@"
		if e := os.Symlink(filepath.Base(file), name); e != nil && !errors.Is(e, fs.ErrExist) {
			err = e
		}
	}
	return err
}

var built bool // by this process, which must clean up

// Dir returns a directory with every program of PROGRAMS, built once for each
// test binary.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatalf("building the programs: %v", err)
	}
	return dir
}

// At is Dir for programs whose qmail home is another than /var/qmail, also for
// those that do not heed QMAILHOME. The directory goes with the test.
func At(t testing.TB, home string) string {
	t.Helper()
	dir, err := compile([]string{"-ldflags", "-X paperpath/mta/layout.DefaultHome=" + home})
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err != nil {
		t.Fatalf("building the programs: %v", err)
	}
	return dir
}

// Main is for TestMain: it runs the tests and removes what Dir built.
func Main(m *testing.M) {
	status := m.Run()
	if built {
		dir, _ := build()
		os.RemoveAll(dir)
	}
	os.Exit(status)
}

// Root is the top of the source tree.
func Root(t testing.TB) string { t.Helper(); return root() }

func root() string {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "PROGRAMS")); err == nil {
			return dir
		}
		if dir == "/" {
			break
		}
		dir = filepath.Dir(dir)
	}
	panic("test/bin: no PROGRAMS above the test's directory")
}
