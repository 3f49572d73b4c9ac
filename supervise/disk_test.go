package supervise

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"paperpath/test/bin"
)

// diskTest runs with a file system of its own that has room for a few pages. It
// prints errors.
const diskTest = `
mount --make-rprivate / 2>/dev/null
mount -t tmpfs -o size=64k none "$1" 2>/dev/null || exit 77
cd "$1" || exit
said=$2
wait_for() {
	i=0
	until eval "$1" >/dev/null 2>&1
	do
		i=$((i+1))
		test $i -lt 300 || { echo "never: $1"; svstat s; kill $!; exit; }
		sleep 0.1
	done
}
fill() { dd if=/dev/zero of=full bs=4096 2>/dev/null; }
mkdir s
printf '#!/bin/sh\nexec sleep 1000\n' >s/run
chmod 755 s/run

# Full from the beginning: it runs, and its status comes when there is room.
mkdir s/supervise
fill
supervise s 2>"$said" &
wait_for 'grep "unable to write s/supervise/status.new: out of disk space" "$said"'
wait_for 'svok s'
test ! -s s/supervise/status || echo 'there is a status, without room for one'
rm full
wait_for 'svstat s | grep "up (pid"'

# Full later: a status replaces the one before.
svc -d s
wait_for 'svstat s | grep "down .*normally up"'
fill
svc -u s
wait_for 'svstat s | grep "up (pid"'
svc -d s
wait_for 'svstat s | grep "down .*normally up"'
rm full

kill $!
wait $!
test $? = 0 || echo 'supervise ended with another status than 0'

# Read-only: it says so. (While it runs the kernel allows no change to that.)
mount -o remount,ro none "$1" || exit
supervise s 2>>"$said"
test $? = 111 || echo 'on a read-only file system it ended with another status than 111'
grep -q '^supervise: fatal: unable to .*: read-only file system$' "$said" || echo 'it does not say why'
`

// V-05: a full disk does not end the supervision, and a status that could not be
// written is written later.
func TestDiskFull(t *testing.T) {
	said := filepath.Join(t.TempDir(), "said")
	cmd := exec.Command("/bin/sh", "-c", diskTest, "sh", t.TempDir(), said)
	cmd.Env = []string{"PATH=" + bin.Dir(t) + ":/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS):
		t.Skipf("this kernel gives no namespaces to this user: %v", err)
	case errors.As(err, &exit) && exit.ExitCode() == 77:
		t.Skip("this user may not mount")
	case err != nil || len(out) > 0:
		messages, _ := os.ReadFile(said)
		t.Errorf("%v\n%s\nsupervise said:\n%s", err, out, messages)
	}
}
