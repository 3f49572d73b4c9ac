package host_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"paperpath/internal/limit"
	"paperpath/test/bin"
)

func TestMain(m *testing.M) { bin.Main(m) }

// A word that names one of our programs spares a typed command line the limits,
// but not a command that a softlimit was started for.
func TestSoftlimitAsHelper(t *testing.T) {
	file := filepath.Join(bin.Dir(t), "softlimit")
	for argv0, want := range map[string]string{"softlimit": "same\n", limit.Helper: "limited\n"} {
		cmd := exec.Cmd{
			Path: file,
			Args: []string{argv0, "--", "/bin/sh", "-c", `test "$(ulimit -S -d)" = 3000000 && echo limited || echo same`, "sh", file},
			Env:  []string{limit.Variable + "=data=3072000000 " + file},
		}
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("%s: %q, %v; want %q", argv0, out, err, want)
		}
	}
}
