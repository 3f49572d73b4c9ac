package tcpserver

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const (
	identPort = 113
	identMax  = 257     // bytes of an answer that are of interest (remoteinfo.c)
	identRead = 4 << 10 // bytes that are read in search of them
)

// ident asks the client's host, on behalf of which user it made the connection
// (RFC 1413). The answer is what that host likes to say. There is none, and ok
// is false, unless a whole line arrives within the timeout.
//
//	4000 , 25\r\n                        the question: its port, our port
//	4000 , 25 : USERID : UNIX : joe\r\n  the answer: joe
func ident(ctx context.Context, local, remote netip.AddrPort, timeout time.Duration) (info string, ok bool) {
	deadline := time.Now().Add(timeout)
	d := net.Dialer{
		Deadline: deadline,
		// The ident server sees the address that the client connected to.
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local.Addr(), 0)),
	}
	conn, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(remote.Addr(), identPort).String())
	if err != nil {
		return "", false
	}
	defer conn.Close()
	conn.SetDeadline(deadline)
	question := strconv.Itoa(int(remote.Port())) + " , " + strconv.Itoa(int(local.Port())) + "\r\n"
	if _, err := io.WriteString(conn, question); err != nil {
		return "", false
	}
	return parseIdent(conn)
}

func parseIdent(r io.Reader) (info string, ok bool) {
	in := bufio.NewReader(io.LimitReader(r, identRead))
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
			if b.Len() < identMax {
				continue
			}
		}
		// It goes into the environment, where NUL ends a string.
		info, _, _ = strings.Cut(b.String(), "\x00")
		return info, true
	}
}
