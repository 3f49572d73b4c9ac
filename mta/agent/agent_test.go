package agent

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var example = []string{"joe", "/home/joe", "joe-x", "-", "x", "here", "", "./Mailbox\n|cmd"}

func socket(t *testing.T) (int, int) {
	t.Helper()
	a, b, err := Socket()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(a); unix.Close(b) })
	return a, b
}

func TestRequest(t *testing.T) {
	a, b := socket(t)
	name := t.TempDir() + "/message"
	if err := os.WriteFile(name, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	request, ok := AppendRequest(nil, 0xfffefdfc, example)
	if !ok {
		t.Fatal("too long")
	}
	if err := Send(a, request, int(f.Fd())); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, MaxRequest)
	got, fd, err := Receive(b, buf)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	number, args, err := ParseRequest(got)
	if err != nil || number != 0xfffefdfc || !slices.Equal(args, example) {
		t.Errorf("%x %q %v", number, args, err)
	}
	text := make([]byte, 10)
	if n, err := unix.Read(fd, text); err != nil || string(text[:n]) != "text" {
		t.Errorf("%q %v", text[:n], err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Error("children would inherit the message")
	}
	if err := Reply(a, request); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Receive(b, buf); err != ErrForm {
		t.Errorf("without a message: %v", err)
	}
	unix.Shutdown(a, unix.SHUT_WR)
	if _, _, err := Receive(b, buf); err != io.EOF {
		t.Errorf("the end: %v", err)
	}
}

// Nobody waits for an agent that does not read.
func TestSendDoesNotWait(t *testing.T) {
	a, _ := socket(t)
	request, _ := AppendRequest(nil, 1, example)
	for i := 0; ; i++ {
		if err := Send(a, request, 0); err == unix.EAGAIN || err == unix.ETOOMANYREFS {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if i > 1e6 {
			t.Fatal("there is always room")
		}
	}
}

func TestBounds(t *testing.T) {
	long := slices.Clone(example)
	long[6] = strings.Repeat("s", MaxRequest)
	if b, ok := AppendRequest(nil, 1, long); ok || len(b) != 0 {
		t.Error("a request may be as long as it likes")
	}
	reply := AppendReply(nil, 7, 111, bytes.Repeat([]byte("x"), MaxText+1))
	number, status, text, err := ParseReply(reply)
	if number != 7 || status != 111 || len(text) != MaxText || err != nil {
		t.Errorf("%d %d %d bytes %v", number, status, len(text), err)
	}
	for _, b := range []string{"", "1234", strings.Repeat("x", MaxReply+1)} {
		if _, _, _, err := ParseReply([]byte(b)); err == nil {
			t.Errorf("a reply of %d bytes", len(b))
		}
	}
	for _, b := range []string{"", "123", "1234", "1234a\x00b\x00", "1234" + strings.Repeat("a\x00", 9), "1234" + strings.Repeat("a\x00", 7) + "a"} {
		if _, _, err := ParseRequest([]byte(b)); err == nil {
			t.Errorf("a request: %q", b)
		}
	}
}

func FuzzParse(f *testing.F) {
	request, _ := AppendRequest(nil, 1, example)
	f.Add(request)
	f.Add(AppendReply(nil, 1, 0, []byte("did 1+0+0\n")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if number, args, err := ParseRequest(b); err == nil && len(b) <= MaxRequest {
			if again, ok := AppendRequest(nil, number, args); !ok || !bytes.Equal(again, b) {
				t.Errorf("%q became %q", b, again)
			}
		}
		if number, status, text, err := ParseReply(b); err == nil {
			if again := AppendReply(nil, number, status, text); !bytes.Equal(again, b) {
				t.Errorf("%q became %q", b, again)
			}
		}
	})
}
