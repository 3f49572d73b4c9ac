package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"paperpath/internal/netstring"
)

// connect opens a connection to one of the server's ports.
func (s *server) connect(protocol string) (net.Conn, *bufio.Reader) {
	s.t.Helper()
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.ports[protocol]), patience)
	if err != nil {
		s.t.Fatalf("%s: %v", protocol, err)
	}
	c.SetDeadline(time.Now().Add(patience))
	s.t.Cleanup(func() { c.Close() })
	return c, bufio.NewReader(c)
}

// pop logs in and says something; it returns all that the server says.
func (s *server) pop(user, password, commands string) string {
	s.t.Helper()
	c, r := s.connect("POP3")
	io.WriteString(c, strings.ReplaceAll("USER "+user+"\nPASS "+password+"\n"+commands, "\n", "\r\n"))
	text, err := io.ReadAll(r)
	if err != nil {
		s.t.Errorf("POP3: %v", err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// Mail comes in by QMTP and QMQP as well, and is fetched by POP3.
func TestOtherProtocols(t *testing.T) {
	s := start(t, runDir(t))
	const host = "paperpath.test"

	t.Run("QMTP", func(t *testing.T) {
		c, r := s.connect("QMTP")
		text := netstring.Append(nil, "\nSubject: by QMTP\n\nx\n")
		text = netstring.Append(text, "s@client.test")
		text = netstring.Append(text, netstring.Append(netstring.Append(nil, "alice@"+host), "bob@"+host))
		c.Write(text)
		in := netstring.NewReader(r)
		for range 2 {
			if answer, _, err := in.Bytes(1000); err != nil || !strings.HasPrefix(string(answer), "Kok ") {
				t.Fatalf("%q, %v", answer, err)
			}
		}
		s.arrived("Subject: by QMTP")
	})
	t.Run("QMQP", func(t *testing.T) {
		c, r := s.connect("QMQP")
		text := netstring.Append(nil, "Subject: by QMQP\n\nx\n")
		text = netstring.Append(netstring.Append(text, "s@client.test"), "alice@"+host)
		c.Write(netstring.Append(nil, text))
		if answer, _, err := netstring.NewReader(r).Bytes(1000); err != nil || !strings.HasPrefix(string(answer), "Kok ") {
			t.Fatalf("%q, %v", answer, err)
		}
		s.arrived("Subject: by QMQP")
	})
	t.Run("POP3", func(t *testing.T) {
		if len(s.passwords) != 2 || s.passwords["alice"] == s.passwords["bob"] {
			t.Fatalf("passwords: %q", s.passwords)
		}
		// qmail-pop3d leaves the current second's messages for the next time.
		eventually(t, "POP3 has alice's mail", func() bool {
			got := s.pop("alice", s.passwords["alice"], "LIST\nQUIT\n")
			return strings.Contains(got, "\n3 ") // welcome, QMTP, QMQP
		})
		got := s.pop("alice", s.passwords["alice"], "RETR 2\nDELE 2\nQUIT\n")
		if !strings.Contains(got, "\nSubject: by QM") || !strings.HasSuffix(got, "\n.\n+OK \n+OK \n") {
			t.Errorf("%s", got)
		}
		if got := s.pop("alice", s.passwords["alice"], "STAT\nQUIT\n"); !strings.Contains(got, "+OK 2 ") {
			t.Errorf("%s", got)
		}
		eventually(t, "POP3 has bob's mail", func() bool {
			return strings.Contains(s.pop("bob", s.passwords["bob"], "RETR 1\nQUIT\n"), "Subject: by QMTP")
		})
		for _, wrong := range []string{s.passwords["bob"], "x"} {
			if got := s.pop("alice", wrong, ""); !strings.HasSuffix(got, "-ERR authorization failed\n") {
				t.Errorf("a wrong password: %s", got)
			}
		}
	})
	s.stop()
}
