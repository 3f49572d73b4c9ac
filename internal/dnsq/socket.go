package dnsq

import (
	"context"
	"encoding/binary"
	"io"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a connection to a name server, UDP or TCP. The runtime's poller
// waits for it: package net, which does the same, would cost every program that
// is started for one message or one connection the time to set itself up.
type socket struct {
	*os.File
	stop func() bool // watching for a caller who gives up
}

// dial connects to a server. A datagram socket that is connected takes
// datagrams from that server alone. The deadline of ctx is the socket's, and a
// caller who gives up ends all waiting.
func dial(ctx context.Context, server netip.AddrPort, stream bool) (*socket, error) {
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(server.Port()), Addr: [4]byte(server.Addr().Unmap().AsSlice())})
	if server.Addr().Is6() && !server.Addr().Is4In6() {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(server.Port()), Addr: server.Addr().As16(), ZoneId: scope(server.Addr().Zone())}
	}
	kind := unix.SOCK_DGRAM
	if stream {
		kind = unix.SOCK_STREAM
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	connecting := unix.Connect(fd, sa)
	s := &socket{File: os.NewFile(uintptr(fd), server.String())}
	deadline, _ := ctx.Deadline()
	err = s.SetDeadline(deadline)
	s.stop = context.AfterFunc(ctx, func() { s.SetDeadline(time.Unix(1, 0)) })
	if err == nil {
		if err = connecting; err == unix.EINPROGRESS {
			err = s.connected()
		}
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close closes the socket.
func (s *socket) Close() error {
	s.stop()
	return s.File.Close()
}

// connected waits until a connection is made, or is not. Each time it must look:
// Write forgets what the poller said before, and the poller says it once.
func (s *socket) connected() error {
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		var errno int
		errno, failed = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if failed == nil && errno != 0 {
			failed = unix.Errno(errno)
		}
		if failed != nil {
			return true
		}
		_, err := unix.Getpeername(int(fd))
		return err != unix.ENOTCONN
	})
	if err != nil {
		return err
	}
	return failed
}

// Read reads a datagram or a part of a stream. A datagram may be empty, which
// to an os.File is the end.
func (s *socket) Read(b []byte) (int, error) {
	n, err := s.File.Read(b)
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// converse sends a question over TCP and reads the answer.
func (s *socket) converse(q *query) (*message, error) {
	// One write: there are servers that read the length and the message with
	// one read each (RFC 7766 section 8).
	b, err := q.appendTo([]byte{0, 0})
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	if _, err := s.Write(b); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(s.File, size[:]); err != nil {
		return nil, err
	}
	b = make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(s.File, b); err != nil {
		return nil, err
	}
	return q.judge(b)
}

// scope returns the number of the network interface that an IPv6 address is
// about, 0 for none.
func scope(name string) uint32 {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil || name == "" {
		return uint32(n)
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(name)
	if err != nil || unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr) != nil {
		return 0
	}
	return ifr.Uint32()
}
