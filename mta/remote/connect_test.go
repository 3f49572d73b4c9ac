package remote

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/mta/tcpto"
)

// deaf makes an IPv6 loopback port that answers no call: a listener whose
// queue is full drops them. A port of 0 is any.
func deaf(t *testing.T, port int) uint16 {
	t.Helper()
	to := &unix.SockaddrInet6{Port: port, Addr: netip.IPv6Loopback().As16()}
	l, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		t.Cleanup(func() { unix.Close(l) })
		err = unix.Bind(l, to)
	}
	if err != nil {
		t.Skipf("no IPv6 on this machine: %v", err)
	}
	if err := unix.Listen(l, 0); err != nil {
		t.Fatal(err)
	}
	if port == 0 {
		bound, err := unix.Getsockname(l)
		if err != nil {
			t.Fatal(err)
		}
		to.Port = bound.(*unix.SockaddrInet6).Port
	}
	for range 4 {
		c, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(c) })
		unix.Connect(c, to)
	}
	return uint16(to.Port)
}

// A host whose IPv6 address is dead is reached over IPv4 before the time for
// one connection is over, and the dead address is remembered.
func TestDeadIPv6(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	deaf(t, port)

	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/queue/lock", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/queue/lock/tcpto6", make([]byte, 2048), 0o644); err != nil {
		t.Fatal(err)
	}
	six, four := netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")
	list := []attempt{{addr: netip.AddrPortFrom(six, uint16(port)), other: true}, {addr: netip.AddrPortFrom(four, uint16(port))}}
	const timeout = 30 * time.Second
	start := time.Now()
	dead := tcpto.Of(dir)
	conn, at, err := call(dead, list, timeout/10)
	if err != nil || at != 1 {
		t.Fatalf("attempt %v, %v", at, err)
	}
	conn.Close()
	if took := time.Since(start); took > timeout {
		t.Errorf("took %v", took)
	}
	if _, known := dead.Dead(six); !known {
		t.Error("the dead address was not remembered")
	}
}

func TestNobodyAnswers(t *testing.T) {
	dead := tcpto.Of(t.TempDir())
	list := []attempt{{addr: netip.MustParseAddrPort("127.0.0.1:1")}, {addr: netip.MustParseAddrPort("[::1]:1")}}
	if _, _, err := call(dead, list, time.Minute); err != noConnection {
		t.Errorf("%v", err)
	}
	list[0].qmtp, list[1].qmtp = true, true
	if _, _, err := call(dead, list, time.Minute); err != noQMTP {
		t.Errorf("by QMTP: %v", err)
	}
	list[0].same = true
	if _, _, err := call(dead, list, time.Minute); err != noConnection {
		t.Errorf("by QMTP or SMTP: %v", err)
	}
}

// Without descriptors the delivery is put off, not the host blamed.
func TestNoDescriptors(t *testing.T) {
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(null) // the lowest free number, which must not be given out
	few := was
	few.Cur = uint64(null)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	_, _, err = call(tcpto.Of("/nonexistent"), []attempt{{addr: netip.MustParseAddrPort("127.0.0.1:1")}}, time.Minute)
	if e := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); e != nil {
		t.Fatal(e)
	}
	if err != badSystem {
		t.Errorf("%v", err)
	}
}
