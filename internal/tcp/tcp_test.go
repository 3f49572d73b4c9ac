package tcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestConnect(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		l, err := net.Listen("tcp", host+":0")
		if err != nil {
			t.Logf("%s: %v", host, err) // a machine without IPv6
			continue
		}
		remote := netip.MustParseAddrPort(l.Addr().String())
		fd, err := Socket(remote.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if err := Bind(fd, netip.AddrPortFrom(remote.Addr(), 0)); err != nil {
			t.Fatal(err)
		}
		f, err := Connect(context.Background(), fd, remote)
		if err != nil {
			t.Fatal(err)
		}
		peer, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		local, _ := Local(fd)
		if got, err := Remote(fd); got != remote || err != nil || local.String() != peer.RemoteAddr().String() {
			t.Errorf("%v, %v, %v; want %v, %v", local, got, err, peer.RemoteAddr(), remote)
		}
		f.Close()
		peer.Close()
		l.Close()
		if fd, err = Socket(remote.Addr()); err != nil {
			t.Fatal(err)
		}
		if _, err := Connect(context.Background(), fd, remote); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%v", err)
		}
	}
}

// A queue that is full answers nobody.
func TestConnectInVain(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := Bind(fd, netip.MustParseAddrPort("127.0.0.1:0")); err != nil {
		t.Fatal(err)
	}
	unix.Listen(fd, 0)
	remote, err := Local(fd)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		s, err := Socket(remote.Addr())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		f, err := Connect(ctx, s, remote)
		cancel()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	t.Error("everybody could connect")
}

func TestPort(t *testing.T) {
	for s, want := range map[string]uint16{"25": 25, "025": 25, "": 0, "65535": 65535} {
		if got, ok := Port(s); got != want || !ok {
			t.Errorf("%q: %d, %v", s, got, ok)
		}
	}
	for _, s := range []string{"65536", "99999999999999999999", "25x", "no such service", "-1"} {
		if got, ok := Port(s); ok {
			t.Errorf("%q: %d", s, got)
		}
	}
}

// The poller, which says things once, may have said that the connection is made
// before anybody waits for it.
func TestConnectedBeforeWaiting(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	remote := netip.MustParseAddrPort(l.Addr().String())
	fd, err := Socket(remote.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, Sockaddr(remote)); err != nil && err != unix.EINPROGRESS {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "")
	defer f.Close()
	time.Sleep(50 * time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := connected(ctx, f); err != nil {
		t.Error(err)
	}
}
