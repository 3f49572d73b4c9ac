package dnsq

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/tcp"
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
	connect := datagrams
	if stream {
		connect = connection
	}
	f, err := withDescriptor(ctx, func() (*os.File, error) {
		return connect(ctx, netip.AddrPortFrom(server.Addr().Unmap(), server.Port()))
	})
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	if err := f.SetDeadline(deadline); err != nil {
		f.Close()
		return nil, err
	}
	return &socket{f, context.AfterFunc(ctx, func() { f.SetDeadline(time.Unix(1, 0)) })}, nil
}

// descriptorPause is between two tries to get a descriptor.
const descriptorPause = 20 * time.Millisecond

// withDescriptor calls open until it does not lack a descriptor, or ctx ends. In a
// server that asks for many clients at a time others are given back soon, and
// "nobody knows" would let in whom a list warns of.
func withDescriptor[T any](ctx context.Context, open func() (T, error)) (T, error) {
	for {
		v, err := open()
		if !errors.Is(err, unix.EMFILE) && !errors.Is(err, unix.ENFILE) {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, err
		case <-time.After(descriptorPause):
		}
	}
}

func connection(ctx context.Context, server netip.AddrPort) (*os.File, error) {
	fd, err := tcp.Socket(server.Addr())
	if err != nil {
		return nil, err
	}
	return tcp.Connect(ctx, fd, server)
}

func datagrams(_ context.Context, server netip.AddrPort) (*os.File, error) {
	family := unix.AF_INET
	if server.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, tcp.Sockaddr(server)); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), server.String()), nil
}

// Close closes the socket.
func (s *socket) Close() error {
	s.stop()
	return s.File.Close()
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
