package tcpserver

import (
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/tcp"
)

// With no descriptor left for a connection it waits, one line says so, and no
// time is spent on trying. What a gate was woken for it takes.
func TestDescriptorsExhausted(t *testing.T) {
	fd, err := bind(netip.MustParseAddrPort("127.0.0.1:0"), 20)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	unix.SetNonblock(fd, true)
	local, err := tcp.Local(fd)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{port: strconv.Itoa(int(local.Port()))}
	env := &proc.Env{Name: "tcpserver"}
	env.Files[2] = logTo{r: r}
	s := newServer(&settings{limit: 10}, env, [8]proc.File{}, nil, nil)
	for range 3 {
		s.complain(strerr.Unable("accept", "connection", unix.EMFILE))
	}
	if want := "tcpserver: warning: unable to accept connection: process cannot open more files\n"; r.said() != want {
		t.Errorf("%q, want %q", r.said(), want)
	}
	g, err := newGate([]int{fd}, unix.EPOLLEXCLUSIVE, false)
	if err != nil {
		t.Fatal(err)
	}
	take := func(c net.Conn) {
		t.Helper()
		got, sa, err := g.accept(false)
		if err != nil {
			t.Fatal(err)
		}
		if remote, err := tcp.AddrPort(sa); err != nil || remote.String() != c.LocalAddr().String() {
			t.Errorf("%v, %v", remote, err)
		}
		unix.Close(got)
	}
	// A client that was not accepted yet is, later.
	take(r.dial(t, "127.0.0.1", "127.0.0.1"))
	// A gate that was woken for a client and told to stop takes him, or nobody would.
	c := r.dial(t, "127.0.0.1", "127.0.0.1")
	g.stop()
	take(c)
	if _, _, err := g.accept(false); err != errStopped {
		t.Error(err)
	}
}

// However many connections there were, nothing is left of them.
func TestNothingGrows(t *testing.T) {
	for _, options := range []string{"-RHl0", "-iRHl0"} {
		r := command(t, "127.0.0.2:deny\n:allow,MAXCONNIP=\"30\",MAXRATEIP=\"1000000/1\"\n", nil, "-1", options, "-S", "status", "-x", "rules.cdb", "127.0.0.1", "0", "true").start(t)
		pid := r.cmd.Process.Pid
		if strings.Contains(options, "i") {
			pid = r.worker(t)
		}
		crowd := func() {
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for i := range 40 {
						d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i%2))}}
						c, err := d.Dial("tcp", "127.0.0.1:"+r.port)
						if err != nil {
							t.Error(err)
							return
						}
						io.Copy(io.Discard, c)
						c.Close()
					}
				})
			}
			wg.Wait()
			for end := time.Now().Add(patience); !strings.Contains(r.status(t), "\ntcpserver_connections 0\n"); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal(r.status(t))
				}
			}
		}
		r.status(t) // it has begun to work
		threads := count(t, pid, "task")
		crowd()
		files := count(t, pid, "fd")
		crowd()
		if after := count(t, pid, "fd"); after > files+runtime.NumCPU() {
			t.Errorf("%s: %d descriptors, then %d", options, files, after)
		}
		if after := count(t, pid, "task"); after > threads+2 { // which are the runtime's affair
			t.Errorf("%s: %d threads, then %d", options, threads, after)
		}
		if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); err != nil {
			t.Error(err)
		}
	}
}

// count returns how many threads ("task") or descriptors ("fd") a process has.
func count(t *testing.T, pid int, what string) int {
	t.Helper()
	list, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/" + what + "/*")
	if err != nil || len(list) == 0 {
		t.Fatalf("process %d has no %s: %v", pid, what, err)
	}
	return len(list)
}
