// Package agent is what qmail-lspawn and a resident qmail-local say to each
// other. qmail-lspawn starts qmail-local as the user of some deliveries with
// [Argument] as its only argument and a socket (SOCK_SEQPACKET, so that a
// packet is whole or not there) as descriptor 0:
//
//	qmail-lspawn                                   qmail-local
//
//	                                               Greeting, once
//	number, eight strings; a message file
//	number, eight strings; a message file          number, status, text
//	…                                              number, status, text
//	end of file                                    finishes, exits
//
//	number   4 bytes, the most significant first; chosen by qmail-lspawn
//	strings  qmail-local's arguments, each with a NUL after it
//	message  a descriptor, open for reading (SCM_RIGHTS)
//	status   1 byte, qmail-local's exit status
//	text     its output, at most MaxText bytes of it
//
// Deliveries run side by side, and answers come in the order in which they
// end. A qmail-local that does not know the argument exits with its usage and
// does not greet: whoever does not greet has read no request.
package agent

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// Argument asks qmail-local to serve. To the C program it is the end of the
// options, with too few arguments behind it: usage, 100.
const Argument = "--agent"

// Greeting is the agent's first packet. Another version of this protocol
// greets otherwise.
const Greeting = "qmail-local agent 1\n"

// Args is how many arguments a delivery has.
const Args = 8

// Bounds of packets. What does not fit into a request is delivered by a
// qmail-local of its own.
const (
	MaxRequest = 16 << 10
	MaxText    = 4 << 10 // more than a report has room for
	MaxReply   = 5 + MaxText
)

// ErrForm means that a packet is not of this protocol.
var ErrForm = errors.New("malformed packet")

// AppendRequest appends a request; false means that it is too long.
func AppendRequest(dst []byte, number uint32, args []string) ([]byte, bool) {
	size := 4
	for _, arg := range args {
		size += len(arg) + 1
	}
	if size > MaxRequest {
		return dst, false
	}
	dst = binary.BigEndian.AppendUint32(dst, number)
	for _, arg := range args {
		dst = append(append(dst, arg...), 0)
	}
	return dst, true
}

// ParseRequest takes a request apart.
func ParseRequest(b []byte) (number uint32, args []string, err error) {
	if len(b) < 4 {
		return 0, nil, ErrForm
	}
	number = binary.BigEndian.Uint32(b)
	args = strings.Split(string(b[4:]), "\x00")
	if len(args) != Args+1 || args[Args] != "" {
		return number, nil, ErrForm
	}
	return number, args[:Args], nil
}

// AppendReply appends a reply; of a text that is too long, its beginning.
func AppendReply(dst []byte, number uint32, status byte, text []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, number)
	return append(append(dst, status), text[:min(len(text), MaxText)]...)
}

// ParseReply takes a reply apart. text is part of b.
func ParseReply(b []byte) (number uint32, status byte, text []byte, err error) {
	if len(b) < 5 || len(b) > MaxReply {
		return 0, 0, nil, ErrForm
	}
	return binary.BigEndian.Uint32(b), b[4], b[5:], nil
}

// Socket returns the two ends of a connection, which children do not inherit.
func Socket() (spawner, local int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	return pair[0], pair[1], err
}

// Send sends a request with the descriptor of its message. It does not wait:
// EAGAIN means that the agent has not read what it got before.
func Send(socket int, request []byte, message int) error {
	return retry(func() error {
		return unix.Sendmsg(socket, request, unix.UnixRights(message), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	})
}

// Reply sends a packet without a descriptor, and waits until there is room.
func Reply(socket int, packet []byte) error {
	return retry(func() error { return unix.Sendmsg(socket, packet, nil, nil, unix.MSG_NOSIGNAL) })
}

// Receive waits for a request: a part of buf, which has room for MaxRequest
// bytes, and the message, which children do not inherit. io.EOF is the end.
func Receive(socket int, buf []byte) (request []byte, message int, err error) {
	control := make([]byte, unix.CmsgSpace(4)) // one descriptor and no more
	var n, nc, flags int
	err = retry(func() (err error) {
		n, nc, flags, _, err = unix.Recvmsg(socket, buf, control, unix.MSG_CMSG_CLOEXEC)
		return err
	})
	if err != nil {
		return nil, -1, err
	}
	if n == 0 {
		return nil, -1, io.EOF
	}
	parts, err := unix.ParseSocketControlMessage(control[:nc])
	if err != nil || len(parts) != 1 || flags&unix.MSG_TRUNC != 0 {
		return nil, -1, ErrForm
	}
	fds, err := unix.ParseUnixRights(&parts[0])
	if err != nil || len(fds) != 1 {
		return nil, -1, ErrForm
	}
	return buf[:n], fds[0], nil
}

func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
