package multilog

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"paperpath/test/bin"
)

// overlayVariable is set where the directory for temporary files is an overlay.
const overlayVariable = "PAPERPATH_MULTILOG_OVERLAY"

// onOverlay mounts an overlay, as the root of a container is one, on a small
// file system below $1, and runs the other arguments.
const onOverlay = `set -e
mount -t tmpfs -o size=32m none "$1"
cd "$1"; shift
mkdir lower upper work over
mount -t overlay -o lowerdir="$PWD/lower",upperdir="$PWD/upper",workdir="$PWD/work" none over
TMPDIR="$PWD/over" exec "$@"`

// On an overlay a kill costs no line either, and a full disk does not end
// multilog.
func TestOverlay(t *testing.T) {
	if os.Getenv(overlayVariable) != "" {
		t.Run("KillNine", TestKillNine)
		t.Run("FullDisk", testFullDisk)
		return
	}
	top := t.TempDir()
	mounted := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", append([]string{"-c", onOverlay, "sh", top}, args...)...)
		cmd.Env = append(os.Environ(), overlayVariable+"=1", "PAPERPATH_BIN="+bin.Dir(t))
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		if os.Getuid() != 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
			}
		}
		return cmd
	}
	if out, err := mounted("true").CombinedOutput(); err != nil {
		t.Skipf("no overlay can be mounted here: %v, %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := mounted(self, "-test.v", "-test.run=^TestOverlay$").CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("--- SKIP")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// The disk is full, multilog waits and is killed, and the next one waits as well:
// once there is room, each line is there once.
func testFullDisk(t *testing.T) {
	dir := t.TempDir()
	filler, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	warned := make(chan bool)
	start := func() *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin.Dir(t), "multilog"), "t", "s100000", "n1000", "./log")
		cmd.Dir, cmd.Stdin = dir, in
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill() })
		go func() {
			var text [1000]byte
			n, _ := stderr.Read(text[:])
			if warning := string(text[:n]); warning != "multilog: warning: unable to write to ./log/current, pausing: out of disk space\n" {
				t.Errorf("it said %q", warning)
			}
			warned <- true
			io.Copy(io.Discard, stderr)
		}()
		return cmd
	}
	first := start()
	out.WriteString(numbered(0))
	waitFor(t, func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "log/current"))
		return len(text) > 0
	})
	for size := 1 << 20; size > 0; size /= 2 {
		for err == nil {
			_, err = filler.Write(make([]byte, size))
		}
		err = nil
	}
	const lines = 5000
	go func() {
		for i := range lines {
			out.WriteString(numbered(i + 1))
		}
		out.Close()
	}()
	<-warned
	first.Process.Kill()
	first.Wait()
	second := start()
	<-warned
	filler.Truncate(0)
	in.Close()
	if err := second.Wait(); err != nil {
		t.Error(err)
	}
	var want strings.Builder
	for i := range lines + 1 {
		want.WriteString(numbered(i))
	}
	if got := unstamped(t, logText(t, filepath.Join(dir, "log"))); got != want.String() {
		t.Error(difference(got, want.String()))
	}
}
