package e2e

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// sink is an SMTP server that takes everything and keeps it as it came.
type sink struct {
	port int
	mu   sync.Mutex
	data []string
}

func newSink(t *testing.T) *sink {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{port: l.Addr().(*net.TCPAddr).Port}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *sink) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	io.WriteString(conn, "220 sink.test ESMTP\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.TrimSpace(line)); {
		case verb == "DATA":
			io.WriteString(conn, "354 go ahead\r\n")
			var data strings.Builder
			for !strings.HasSuffix("\r\n"+data.String(), "\r\n.\r\n") {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				data.WriteString(line)
			}
			s.mu.Lock()
			s.data = append(s.data, data.String())
			s.mu.Unlock()
			io.WriteString(conn, "250 ok\r\n")
		case verb == "QUIT":
			io.WriteString(conn, "221 bye\r\n")
			return
		default:
			io.WriteString(conn, "250 ok\r\n")
		}
	}
}

// has reports whether a message containing text came in.
func (s *sink) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.data {
		if strings.Contains(d, text) {
			return true
		}
	}
	return false
}
