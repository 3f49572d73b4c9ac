// Package tcp makes TCP connections from sockets that nobody else touches:
// bound by the caller if he likes, waited for by the runtime's poller, handed to
// another program at the end. Package net, which does more, costs a program
// that is started for one connection the time to set itself up, and makes
// multipath sockets, which landlock's rules do not reach.
//
//	Socket → Bind → Connect → Handover
package tcp

import (
	"context"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Socket returns a socket for addresses of the family of addr.
func Socket(addr netip.Addr) (fd int, err error) {
	family := unix.AF_INET
	if addr.Is6() {
		family = unix.AF_INET6
	}
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_TCP)
}

// Bind gives the socket its own address; the unspecified one and port 0 leave
// the choice to the kernel.
func Bind(fd int, local netip.AddrPort) error { return unix.Bind(fd, Sockaddr(local)) }

// Connect connects the socket, which is the file's from now on, or closed.
// os.ErrDeadlineExceeded means that ctx's deadline came first.
func Connect(ctx context.Context, fd int, remote netip.AddrPort) (*os.File, error) {
	connecting := unix.Connect(fd, Sockaddr(remote))
	f := os.NewFile(uintptr(fd), remote.String())
	if connecting == unix.EINPROGRESS {
		connecting = connected(ctx, f)
	}
	if connecting != nil {
		f.Close()
		return nil, connecting
	}
	return f, nil
}

// connected waits until a connection is made, or is not.
func connected(ctx context.Context, f *os.File) error {
	deadline, _ := ctx.Deadline()
	if err := f.SetWriteDeadline(deadline); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { f.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	outcome := error(unix.EINPROGRESS)
	look := func(fd uintptr) bool {
		outcome = state(int(fd))
		return outcome != unix.EINPROGRESS
	}
	err = raw.Write(look)
	if err != nil {
		raw.Control(func(fd uintptr) { look(fd) }) // with no time at all there may still be a result
	}
	if outcome == unix.EINPROGRESS {
		return err
	}
	return outcome
}

// state is EINPROGRESS until connect(2) has come to a result.
func state(fd int) error {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	if n, err := unix.Poll(p, 0); n == 0 || err == unix.EINTR {
		return unix.EINPROGRESS
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		return unix.Errno(errno)
	}
	return err
}

// Handover makes f the descriptors fds of this process, blocking, which a
// program that is executed now inherits.
func Handover(f *os.File, fds ...int) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetNonblock(int(fd), false)
		for _, n := range fds {
			if failed == nil {
				failed = unix.Dup3(int(fd), n, 0)
			}
		}
	})
	if err != nil {
		return err
	}
	return failed
}

// Local returns the address of a socket's own end.
func Local(fd int) (netip.AddrPort, error) { return named(unix.Getsockname(fd)) }

// Remote returns the address of the other end.
func Remote(fd int) (netip.AddrPort, error) { return named(unix.Getpeername(fd)) }

func named(sa unix.Sockaddr, err error) (netip.AddrPort, error) {
	if err != nil {
		return netip.AddrPort{}, err
	}
	return AddrPort(sa)
}

// Sockaddr returns an address as the kernel has it. The zone of a link-local
// address is an interface's name or number.
func Sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: zoneID(a.Addr().Zone())}
}

func zoneID(zone string) uint32 {
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil || zone == "" {
		return uint32(n)
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(zone)
	if err != nil || unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr) != nil {
		return 0
	}
	return ifr.Uint32()
}

// AddrPort is the inverse of Sockaddr. The zone is a number; an IPv4 address on
// an IPv6 socket is an IPv4 address.
func AddrPort(sa unix.Sockaddr) (netip.AddrPort, error) {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		a := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 {
			a = a.WithZone(strconv.FormatUint(uint64(sa.ZoneId), 10))
		}
		return netip.AddrPortFrom(a, uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, unix.EAFNOSUPPORT
}
