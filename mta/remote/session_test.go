package remote

import (
	"bufio"
	"bytes"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// turns gives one reply for each wait, so that the server is polite whatever
// it says.
type turns struct {
	replies []string
	waiting bool
	sent    bytes.Buffer
}

func (c *turns) Write(b []byte) (int, error)      { return c.sent.Write(b) }
func (c *turns) Close() error                     { return nil }
func (c *turns) SetWriteDeadline(time.Time) error { return nil }

func (c *turns) SetReadDeadline(d time.Time) error {
	c.waiting = d.After(time.Now())
	return nil
}

func (c *turns) Read(b []byte) (int, error) {
	if !c.waiting {
		return 0, os.ErrDeadlineExceeded
	}
	if len(c.replies) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.replies[0])
	if c.replies[0] = c.replies[0][n:]; c.replies[0] == "" {
		c.replies = c.replies[1:]
	}
	return n, nil
}

// talk holds a session with a server that says replies, a | between them.
func talk(replies string) (report Report, sent string) {
	conn := &turns{replies: strings.Split(replies, "|")}
	s := NewSession(conn, netip.MustParseAddr("192.0.2.1"), time.Minute)
	if err := s.Hello("me"); err != nil {
		report.Message = err.Error()
	} else {
		report = s.Send("a@b", []string{"c@d", "e@f"}, strings.NewReader("x\n.\n"))
	}
	s.Quit()
	return report, conn.sent.String()
}

func TestReport(t *testing.T) {
	report, _ := talk("220 a\r\n|250 b\r\n|250 c\r\n|550 d\r\n|250 e\r\n|354 f\r\n|250 g\r\n")
	want := "h192.0.2.1 does not like recipient.\nRemote host said: 550 d\n\x00r\x00" +
		"K192.0.2.1 accepted message.\nRemote host said: 250 g\n\x00"
	if got := string(report.Append(nil)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A drip that keeps within every single timeout meets the end of the session.
func TestSessionEnds(t *testing.T) {
	conn := &turns{replies: []string{"220 a\n", "250 b\n", "250 c\n"}}
	s := NewSession(conn, netip.MustParseAddr("192.0.2.1"), time.Minute)
	s.end = time.Now()
	if err := s.Hello("me"); err == nil {
		t.Error("went on")
	}
	if got := time.Until(NewSession(conn, netip.MustParseAddr("192.0.2.1"), time.Minute).end); got > 3*time.Minute {
		t.Errorf("lasts %v", got)
	}
}

// Whatever a server says, the report is well-formed, bounded and honest: a
// message is accepted only if the final dot was sent, and refused for good
// only if there was a 5xx.
func FuzzSession(f *testing.F) {
	f.Add("220 a\r\n|250 b\r\n|250 c\r\n|250 d\r\n|250 e\r\n|354 f\r\n|250 g\r\n")
	f.Add("220-a\n220 b\n|250-\n250 \n|550 c\n|")
	f.Add("220\n|250\n|250\n|450 x\x00\x1b\n|354\n|250")
	f.Add("220 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n250 f\r\n")
	f.Add("-\n---\n--")
	f.Fuzz(func(t *testing.T, replies string) {
		report, sent := talk(replies)
		if report.Message == "" || !strings.Contains("KZD", report.Message[:1]) {
			t.Fatalf("message report %q", report.Message)
		}
		if report.Message[0] == 'K' && !strings.Contains(sent, "x\r\n..\r\n.\r\n") {
			t.Fatalf("%q after %q", report.Message, sent)
		}
		for _, r := range append(report.Recipients, report.Message) {
			if strings.Contains(r, "\x00") || len(r) > maxText+200 {
				t.Fatalf("report %q", r)
			}
			if (r[0] == 'D' && !strings.HasPrefix(r, "DGiving") || r[0] == 'h') && !strings.Contains(r, "Remote host said: 5") {
				t.Fatalf("for good, without a 5xx: %q", r)
			}
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add("250-a\r\n250 b\r\nrest")
	f.Add("25\n")
	f.Add("250-\n\n\n-")
	f.Fuzz(func(t *testing.T, s string) {
		r := bufio.NewReader(strings.NewReader(s))
		code, text, err := readReply(r)
		if code < 0 || code > 999 || len(text) > maxText || bytes.ContainsRune(text, '\r') {
			t.Fatalf("%d %q", code, text)
		}
		if rest, _ := io.ReadAll(r); err == nil && !strings.HasSuffix(strings.TrimSuffix(s, string(rest)), "\n") {
			t.Fatalf("%q was left of %q", rest, s)
		}
	})
}
