package qmqp

import (
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/internal/sys"
	"paperpath/mta/queue/answer"
	"paperpath/mta/queue/queuetest"
)

// server answers one connection after another as serve does, and returns its
// address.
func server(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

// says is a server that reads a request and answers it.
func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		io.ReadFull(c, make([]byte, len(mail("text\n", "s@x", "a@b", ""))))
		io.WriteString(c, text)
	}
}

// closed is an address where nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// queue runs qmail-qmqpc on a message and an envelope and returns its status.
func queueVia(t *testing.T, servers, message, envelope string) int {
	t.Helper()
	home := queuetest.New(t, "0")
	home.Control("qmqpservers", servers)
	return statusOf(t, home.Home, message, envelope)
}

func statusOf(t *testing.T, home, message, envelope string) int {
	t.Helper()
	r := proctest.Run(&QmailQmqpc, proctest.Case{In: message, Vars: proc.Vars{"QMAILHOME=" + home},
		Files: map[int]proc.File{1: proctest.Input(envelope)}})
	if r.Err != "" {
		t.Errorf("it says %q", r.Err)
	}
	return r.Status
}

const envelope = "Fs@x\x00Ta@b\x00T\x00\x00"

// What it sends is what qmail-qmqpd takes.
func TestThroughQmqpd(t *testing.T) {
	q := queuetest.New(t, "0")
	addr := server(t, func(c net.Conn) {
		f, err := c.(*net.TCPConn).File()
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		fd := sys.NewFD(int(f.Fd()))
		proctest.Run(&QmailQmqpd, proctest.Case{Vars: q.Vars, Files: map[int]proc.File{0: fd, 1: fd}})
	})
	text := "Subject: x\n\n" + strings.Repeat("line\n", 50_000)
	if got := queueVia(t, addr, text, "Fs@x\x00Ta@b\x00Tc@d\x00\x00"); got != 0 {
		t.Errorf("status %d", got)
	}
	if _, body, _ := strings.Cut(q.Message(), "-0000\n"); body != text || q.Envelope() != "Fs@x|Ta@b|Tc@d||" {
		t.Errorf("%d bytes, envelope %q", len(body), q.Envelope())
	}
}

func TestAnswers(t *testing.T) {
	for text, want := range map[string]int{
		"5:Kgood,":   0,
		"4:Znow,":    answer.Refused,
		"5:Dnever,":  answer.RefusedForGood,
		"":           answer.ConnectionLost,
		"1234567890": answer.ConnectionLost,
		"0002:K":     0,
		"0:K":        answer.ConnectionLost,
		"-3:Kok,":    answer.ConnectionLost,
		"3:xKD,":     answer.ConnectionLost,
		"HTTP/1.1 400 Bad Request\r\nDate: today\r\nServer: K\r\n\r\n": answer.ConnectionLost,
		"220 MAIL.EXAMPLE.NET ESMTP KD\r\n":                            answer.ConnectionLost,
		"99999999999999999999999999:K":                                 answer.ConnectionLost,
		strings.Repeat("0", 100_000) + ":K":                            answer.ConnectionLost,
	} {
		if got := queueVia(t, server(t, says(text)), "text\n", envelope); got != want {
			t.Errorf("%q: status %d, want %d", text, got, want)
		}
	}
}

// The next server is asked only if this one was never reached.
func TestServers(t *testing.T) {
	good, gone := server(t, says("5:Kgood,")), server(t, says(""))
	for servers, want := range map[string]int{
		"# none\n":                            answer.Config,
		"not.an.address\n256.1.1.1\n1.2.3\n":  answer.Config,
		closed(t):                             answer.ConnectRefused,
		closed(t) + "\nx\n" + good + "\n":     0,
		gone + "\n" + good + "\n":             answer.ConnectionLost,
		good + "\n" + closed(t) + "\n" + gone: 0,
	} {
		if got := queueVia(t, servers, "text\n", envelope); got != want {
			t.Errorf("%q: status %d, want %d", servers, got, want)
		}
	}
	if got := statusOf(t, t.TempDir(), "", envelope); got != answer.Config {
		t.Errorf("no qmqpservers: status %d", got)
	}
	if got := statusOf(t, "/nonexistent", "", envelope); got != answer.Home {
		t.Errorf("no home: status %d", got)
	}
}

func TestBadEnvelope(t *testing.T) {
	for _, envelope := range []string{"", "F", "\x00", "Fs\x00", "Fs\x00Ta", "Ts\x00\x00", "Fs\x00Fs\x00\x00"} {
		if got := queueVia(t, closed(t), "text\n", envelope); got != answer.NotEnvelope {
			t.Errorf("%q: status %d", envelope, got)
		}
	}
	home := queuetest.New(t, "0")
	home.Control("qmqpservers", closed(t))
	dir, err := sys.Open(t.TempDir(), os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	r := proctest.Run(&QmailQmqpc, proctest.Case{Vars: home.Vars, Files: map[int]proc.File{0: dir, 1: proctest.Input(envelope)}})
	if r.Status != answer.Read {
		t.Errorf("unreadable message: %+v", r)
	}
}

func TestAddress(t *testing.T) {
	for line, want := range map[string]string{
		"192.0.2.1":          "192.0.2.1:628",
		"192.0.2.1 # backup": "192.0.2.1:628",
		"010.0.2.001":        "10.0.2.1:628",
		"192.0.2.1:2628":     "192.0.2.1:2628",
		"2001:db8::1":        "[2001:db8::1]:628",
		"[2001:db8::1]":      "[2001:db8::1]:628",
		"[2001:db8::1]:2628": "[2001:db8::1]:2628",
		"192.0.2":            "",
		"192.0.2.":           "",
		"192.0.2.256":        "",
		"mail.example":       "",
		"":                   "",
	} {
		got, ok := address(line)
		if ok != (want != "") || ok && got != netip.MustParseAddrPort(want) {
			t.Errorf("%q: %v, %v", line, got, ok)
		}
	}
}
