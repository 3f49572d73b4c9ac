package remote

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/mta/tcpto"
)

// input is a descriptor 0 that holds a text.
type input struct {
	proc.Closed
	text *strings.Reader
}

func (i input) Read(b []byte) (int, error) { return i.text.Read(b) }

// byQMTP makes a home whose mail all goes to port by QMTP.
func byQMTP(t *testing.T, port int, files map[string]string) string {
	t.Helper()
	all := map[string]string{"qmtproutes": ":127.0.0.1:" + strconv.Itoa(port) + "\n"}
	for name, text := range files {
		all[name] = text
	}
	return home(t, "127.0.0.1", 1, all)
}

func TestQMTPServers(t *testing.T) {
	const (
		bad   = "Zrecipient did not talk proper QMTP (#4.3.0)\n|"
		gave  = "DGiving up on 127.0.0.1\n|"
		all   = "KAll received okay by 127.0.0.1\n|"
		some  = "K127.0.0.1 accepted message.\n|"
		first = "rqmtp: 1\n|"
	)
	for _, c := range []struct {
		name string
		play script
		to   int // recipients
		want string
	}{
		{"accepts", `+ 14:Kok 123 qp 456,`, 1, "rqmtp: ok 123 qp 456\n|" + all},
		{"refuses", `+ 4:Dno.,`, 1, "hqmtp: no.\n|" + gave},
		{"refuses for now", `+ 4:Zno.,`, 1, "sqmtp: no.\n|" + gave},
		{"says nothing much", `+ 1:K,`, 1, "rqmtp: \n|" + all},
		{"accepts all", `+ 2:K1,2:K2,2:K3,`, 3, first + "rqmtp: 2\n|rqmtp: 3\n|" + all},
		{"accepts some", `+ 2:K1,2:D2,2:Z3,`, 3, first + "hqmtp: 2\n|sqmtp: 3\n|" + some},
		{"accepts the last", `+ 2:D1,2:Z2,2:K3,`, 3, "hqmtp: 1\n|sqmtp: 2\n|rqmtp: 3\n|" + some},
		{"accepts none", `+ 2:Z1,2:D2,`, 2, "sqmtp: 1\n|hqmtp: 2\n|" + gave},
		{"says more than was asked", `+ 2:D1,2:K2,`, 1, "hqmtp: 1\n|" + gave},
		{"does not print", `+ 11:K\x00\x1b[a\r\n\tb\xff\x7f,`, 1, "rqmtp: ??[a??b??\n|" + all},
		{"has zeros in front", `+ 0002:K1,`, 1, first + all},
		{"is verbose", "+ 9001:D" + script(strings.Repeat("x", 9000)) + ",", 1, "hqmtp: " + strings.Repeat("x", 4992) + "\n|" + gave},

		{"says an empty string", `+ 0:,`, 1, bad},
		{"says an empty length", `+ :K,`, 1, bad},
		{"has another letter", `+ 2:k1,`, 1, bad},
		{"speaks SMTP", `+ 220 hi\r\n`, 1, bad},
		{"has no comma", `+ 2:K12`, 1, bad},
		{"promises too much", `+ 1048577:K`, 1, bad},
		{"promises far too much", `+ 99999999999999999999:K`, 1, bad},
		{"promises too much in many digits", `+ 000000000000000000001:K,`, 1, bad},
		{"has a negative length", `+ -1:K,`, 1, bad},
		{"accepts, then talks nonsense", `+ 2:K1,x`, 2, first + bad},

		{"closes", "close", 1, dup},
		{"resets", "reset", 1, dup},
		{"closes within a length", "+ 1\nclose", 1, dup},
		{"closes behind a length", "+ 3:\nclose", 1, dup},
		{"closes within an answer", "+ 3:Ka\nclose", 1, dup},
		{"closes before the comma", "+ 2:Ka\nclose", 1, dup},
		{"answers once and closes", "+ 2:K1,\nclose", 2, first + dup},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "127.0.0.1:0", "q\n"+c.play)
			args := []string{"example.org", "me@client.test", "1@example.org", "2@example.org", "3@example.org"}
			if got := qmailRemote(t, byQMTP(t, s.port, nil), message, args[:2+c.to]...); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			s.Heard(t)
		})
	}
}

// Before the last byte of the package nothing can have been accepted.
func TestQMTPServersThatGoEarly(t *testing.T) {
	big := strings.Repeat("0123456789abcde\n", 1<<20)
	for _, play := range []script{"close", "+ 2:Kx,\nclose", "<\nreset"} {
		s := serve(t, "127.0.0.1:0", play)
		if got := qmailRemote(t, byQMTP(t, s.port, nil), big, "example.org", "", "you@example.org"); got != died {
			t.Errorf("%s: got %q", play, got)
		}
	}
}

func TestQMTPServersThatWasteTime(t *testing.T) {
	for _, c := range []struct {
		name    string
		play    script
		message string
		want    string
	}{
		{"never answers", "q\nhang", message, dup},
		{"drips an answer", "q\n+ 1000:D\ndrip", message, dup},
		{"does not read", "hang", strings.Repeat("0123456789abcde\n", 1<<20), died},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "127.0.0.1:0", c.play)
			dir := byQMTP(t, s.port, map[string]string{"timeoutremote": "1\n"})
			if got := qmailRemote(t, dir, c.message, "example.org", "", "you@example.org"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// What goes over the wire, to the byte: nothing is translated or quoted.
func TestQMTPConversation(t *testing.T) {
	for _, c := range []struct{ message, sender, want string }{
		{"A: b\n\n.\n..x\r\n\ry\n\xff\x00\n", "two words@client.test",
			"20:\nA: b\n\n.\n..x\r\n\ry\n\xff\x00\n,21:two words@client.test,28:9:b\xc3\xbc@b\xc3\xbc.x,12:a\"\r\n@[::1].x,,"},
		{"", "", "1:\n,0:,28:9:b\xc3\xbc@b\xc3\xbc.x,12:a\"\r\n@[::1].x,,"},
		{"no end of line", "#@[]", "15:\nno end of line,0:,28:9:b\xc3\xbc@b\xc3\xbc.x,12:a\"\r\n@[::1].x,,"},
	} {
		s := serve(t, "127.0.0.1:0", "q\n+ 1:K,1:K,")
		got := qmailRemote(t, byQMTP(t, s.port, nil), c.message, "example.org", c.sender, "b\xc3\xbc@b\xc3\xbc.x", "a\"\r\n@[::1].x")
		if got != "rqmtp: \n|rqmtp: \n|KAll received okay by 127.0.0.1\n|" {
			t.Errorf("report %q", got)
		}
		if heard := s.Heard(t); heard != c.want {
			t.Errorf("heard %q\nwant  %q", heard, c.want)
		}
	}
}

// A message is what is left of a file, or all that a pipe yields if it is not
// too much.
func TestSized(t *testing.T) {
	name := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(name, []byte("0123456789"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := sys.Open(name, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for at, want := range map[int64]int64{0: 10, 4: 6, 10: 0, 20: 0} {
		if _, err := f.Seek(at, 0); err != nil {
			t.Fatal(err)
		}
		if _, size, err := sized(f); size != want || err != nil {
			t.Errorf("at %d: %d, %v", at, size, err)
		}
	}

	for _, length := range []int{0, 5, 100000, maxSpool, maxSpool + 1} {
		r, w, err := sys.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			w.Write(bytes.Repeat([]byte("x"), length))
			w.Close()
		}()
		_, size, err := sized(r)
		if length <= maxSpool && (err != nil || size != int64(length)) || length > maxSpool && err == nil {
			t.Errorf("%d bytes: %d, %v", length, size, err)
		}
		r.Close()
	}
}

func TestQMTPMessageThatCannotBeRead(t *testing.T) {
	for name, message := range map[string]io.Reader{
		"too short":  strings.NewReader("too short"),
		"unreadable": iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(strings.Repeat("x", 20)))),
	} {
		conn := &turns{}
		l := newLink(conn, netip.MustParseAddr("192.0.2.1"), time.Minute)
		var unreadable readError
		if err := l.sendMessage(message, 20); !errors.As(err, &unreadable) {
			t.Errorf("%s: %v", name, err)
		}
		l.w.Flush()
		if sent := conn.sent.String(); strings.Contains(sent, ",") {
			t.Errorf("%s: sent %q", name, sent)
		}
	}
	// A descriptor that is closed, as in qmail-remote <&-.
	s := serve(t, "127.0.0.1:0", "q")
	dir := byQMTP(t, s.port, nil)
	env := &proc.Env{Args: []string{"qmail-remote", "example.org", "", "you@example.org"}, Vars: proc.Vars{"QMAILHOME=" + dir}}
	env.Files[0] = proc.Closed{}
	var report Report
	if err := deliver(context.Background(), env, &report); err != nil || report.Message != string(badMessage) {
		t.Errorf("%q, %v", report, err)
	}
	s.Heard(t)
}

// Where nobody listens for QMTP there is SMTP, and an address is dead only if
// that, too, does not answer.
func TestFallback(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	smtp := netip.MustParseAddrPort(l.Addr().String())
	dead := tcpto.Of(t.TempDir())
	list := []attempt{{addr: netip.MustParseAddrPort("127.0.0.1:1"), qmtp: true, same: true}, {addr: smtp}}
	conn, at, err := call(dead, list, time.Minute)
	if err != nil || at != 1 {
		t.Fatalf("attempt %d, %v", at, err)
	}
	conn.Close()
	list[0].addr = smtp
	if conn, at, err = call(dead, list, time.Minute); err != nil || at != 0 {
		t.Fatalf("attempt %d, %v", at, err)
	}
	conn.Close()
}

func TestFallbackFromDeafPort(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 on this machine: %v", err)
	}
	defer l.Close()
	smtp := netip.MustParseAddrPort(l.Addr().String())
	deafPort := deaf(t, 0)
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/queue/lock", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/queue/lock/tcpto6", make([]byte, 2048), 0o644); err != nil {
		t.Fatal(err)
	}
	dead := tcpto.Of(dir)
	list := []attempt{{addr: netip.AddrPortFrom(smtp.Addr(), deafPort), qmtp: true, same: true}, {addr: smtp}}
	conn, at, err := call(dead, list, 2*time.Second)
	if err != nil || at != 1 {
		t.Fatalf("attempt %d, %v", at, err)
	}
	conn.Close()
	if _, known := dead.Dead(smtp.Addr()); known {
		t.Error("remembered as dead, and it answers")
	}
}

// Whatever a server says, each report is one string, and a recipient is taken or
// refused for good only if the server said so in a whole answer.
func FuzzQMTPAnswers(f *testing.F) {
	f.Add([]byte("3:Kok,2:Zx,"))
	f.Add([]byte("1:D,0:,"))
	f.Add([]byte("00000000000000000005:D\x00\r\n\xff,"))
	f.Add([]byte("9999999999999999999999:"))
	f.Fuzz(func(t *testing.T, said []byte) {
		conn := &turns{replies: []string{string(said)}}
		l := newLink(conn, netip.MustParseAddr("192.0.2.1"), time.Minute)
		report := sendQMTP(l, "a@b", []string{"c@d", "e@f"}, input{text: strings.NewReader("x\n")})
		if want := "3:\nx\n,3:a@b,12:3:c@d,3:e@f,,"; conn.sent.String() != want {
			t.Fatalf("sent %q", conn.sent.String())
		}
		letters := map[byte]byte{'r': 'K', 'h': 'D', 's': 'Z'}
		r := bufio.NewReader(bytes.NewReader(said))
		for _, text := range report.Recipients {
			size, err := r.ReadString(':')
			n, _ := strconv.Atoi(strings.TrimSuffix(size, ":"))
			if err != nil || n == 0 || len(text) > maxText || strings.ContainsAny(strings.TrimSuffix(text, "\n"), "\x00\r\n") {
				t.Fatalf("%q: %q", said, text)
			}
			answer := make([]byte, n+1)
			if _, err := io.ReadFull(r, answer); err != nil || answer[0] != letters[text[0]] {
				t.Fatalf("%q: %q of %q", said, text, answer)
			}
		}
		taken := 0
		for _, text := range report.Recipients {
			if text[0] == 'r' {
				taken++
			}
		}
		if m := report.Message[0]; m != 'Z' && (len(report.Recipients) != 2 || (m == 'K') != (taken > 0)) {
			t.Fatalf("%q: %q", said, report)
		}
	})
}
