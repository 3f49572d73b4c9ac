package tcpserver

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// limitUser is nobody else's, so that its processes are the server's.
const limitUser = "64917"

// limited prepares a server of limitUser, who may have so many processes.
func limited(t *testing.T, count string, args ...string) *running {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("the processes of an ordinary user are not the server's alone")
	}
	r := command(t, "", nil, append([]string{"-u", limitUser, "-g", limitUser}, args...)...)
	r.cmd.Path = public(t, r.cmd.Path) // that user must execute it, too
	r.cmd.Env = append(r.cmd.Env, processes+"="+count)
	return r
}

// public copies a file to a directory that everybody may enter.
func public(t *testing.T, file string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "tcpserver")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", file, dir+"/tcpserver.test").CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	return dir + "/tcpserver.test"
}

// With more clients than there may be processes everybody is served, some later
// than others, and the server survives.
func TestProcessesExhausted(t *testing.T) {
	for _, options := range []string{"-1vRHl0", "-1viRHl0"} {
		r := limited(t, "40", options, "-c100", "-b100", "127.0.0.1", "0", "sh", "-c", "read x; echo $x").start(t)
		var conns []net.Conn
		for range 60 {
			conns = append(conns, r.dial(t, "127.0.0.1", "127.0.0.1"))
		}
		r.waitLog(t, "warning: unable to fork: temporary failure\n")
		for _, c := range conns {
			io.WriteString(c, "x\n")
		}
		for i, c := range conns {
			if b, err := io.ReadAll(c); err != nil || string(b) != "x\n" {
				t.Fatalf("%s, %d: %q, %v\n%s", options, i, b, err, r.said())
			}
		}
		if strings.Contains(r.said(), "dropping") {
			t.Errorf("%s", r.said())
		}
	}
}
