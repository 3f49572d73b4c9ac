// Package ident asks the host at the other end of a connection on behalf of
// which user it is there (RFC 1413). The answer is what that host likes to say.
//
//	4000 , 25\r\n                        the question: its port, our port
//	4000 , 25 : USERID : UNIX : joe\r\n  the answer: joe
package ident

import (
	"bufio"
	"context"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/tcp"
)

const (
	port    = 113
	readMax = 4 << 10 // bytes that are read in search of an answer
)

// Ask asks about the connection between local and remote. ok is false unless a
// whole line arrives within the timeout; of a longer answer max bytes count.
func Ask(ctx context.Context, local, remote netip.AddrPort, timeout time.Duration, max int) (info string, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	fd, err := tcp.Socket(local.Addr())
	if err != nil {
		return "", false
	}
	// The server sees the address that the connection came to.
	if err := tcp.Bind(fd, netip.AddrPortFrom(local.Addr(), 0)); err != nil {
		unix.Close(fd)
		return "", false
	}
	conn, err := tcp.Connect(ctx, fd, netip.AddrPortFrom(remote.Addr(), port))
	if err != nil {
		return "", false
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	question := strconv.Itoa(int(remote.Port())) + " , " + strconv.Itoa(int(local.Port())) + "\r\n"
	if _, err := io.WriteString(conn, question); err != nil {
		return "", false
	}
	return parse(conn, max)
}

func parse(r io.Reader, max int) (info string, ok bool) {
	in := bufio.NewReaderSize(io.LimitReader(r, readMax), 512)
	var b strings.Builder
	for colons := 0; ; {
		c, err := in.ReadByte()
		switch {
		case err != nil:
			return "", false
		case c == ' ' || c == '\t' || c == '\r':
			continue
		case c == '\n':
		case colons < 3:
			if c == ':' {
				colons++
			}
			continue
		default:
			b.WriteByte(c)
			if b.Len() < max {
				continue
			}
		}
		// It goes into the environment, where NUL ends a string.
		info, _, _ = strings.Cut(b.String(), "\x00")
		return info, true
	}
}
