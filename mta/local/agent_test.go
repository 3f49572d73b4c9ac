package local

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/mta/agent"
)

// What we write and what commands write come in the order in which they were
// written, bounded, and nobody waits for a reader or for a background process.
func TestReport(t *testing.T) {
	r := &report{}
	io.WriteString(r, "one ")
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	fd, ok := proc.Descriptor(r)
	if !ok {
		t.Fatal("no descriptor")
	}
	background, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(background)
	unix.Write(background, []byte("two "))
	io.WriteString(r, "three ")
	unix.Write(background, []byte("four"))
	if text := string(r.end()); text != "one two three four" {
		t.Errorf("%q", text)
	}
	// Its reader is gone: an error, and not a wait.
	for end := time.Now().Add(time.Minute); ; {
		if _, err := unix.Write(background, make([]byte, 4096)); err == unix.EPIPE {
			break
		}
		if time.Now().After(end) {
			t.Fatal("somebody still reads")
		}
	}

	r = &report{}
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	unix.Write(int(r.Fd()), []byte(strings.Repeat("x", 200_000))) // more than a pipe holds
	io.WriteString(r, "end")
	if text := string(r.end()); text != strings.Repeat("x", agent.MaxText) {
		t.Errorf("%d bytes: %.20q", len(text), text)
	}
}

// conversation starts an agent and returns the other end of its socket.
func conversation(t *testing.T) (socket int, ended chan error) {
	t.Helper()
	ours, theirs, err := agent.Socket()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(ours); unix.Close(theirs) })
	env := &proc.Env{Name: "qmail-local", Args: []string{"qmail-local", agent.Argument}}
	env.Files[0] = socketFile{proc.Closed{}, theirs}
	ended = make(chan error, 1)
	go func() { ended <- serve(t.Context(), env) }()
	if got := packet(t, ours); got != agent.Greeting {
		t.Fatalf("it greets %q", got)
	}
	return ours, ended
}

type socketFile struct {
	proc.Closed
	fd int
}

func (f socketFile) Fd() uintptr { return uintptr(f.fd) }

func packet(t *testing.T, socket int) string {
	t.Helper()
	buf := make([]byte, agent.MaxReply+1)
	for {
		n, err := unix.Read(socket, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestServe(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(home+"/message", []byte("Subject: x\n\ntext\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, ended := conversation(t)
	for i, c := range []struct {
		args   []string
		status byte
		text   string
	}{
		{[]string{"joe", home, "joe", "", "", "here", "me@x", "./Mailbox"}, 0, "did 1+0+0\n"},
		{[]string{"joe", home, "joe-x", "-", "x", "here", "me@x", "./Mailbox"}, 100, "Sorry, no mailbox here by that name. (#5.1.1)\n"},
		{[]string{"joe", "relative", "joe", "", "", "here", "", "./Mailbox"}, 100, "qmail-local: usage: qmail-local " + usageLine + "\n"},
		{[]string{"joe", home + "/absent", "joe", "", "", "here", "", "./Mailbox"}, 111, "Unable to switch to " + home + "/absent: file does not exist. (#4.3.0)\n"},
	} {
		f, err := os.Open(home + "/message")
		if err != nil {
			t.Fatal(err)
		}
		request, _ := agent.AppendRequest(nil, uint32(i), c.args)
		if err := agent.Send(socket, request, int(f.Fd())); err != nil {
			t.Fatal(err)
		}
		f.Close()
		number, status, text, err := agent.ParseReply([]byte(packet(t, socket)))
		if err != nil || number != uint32(i) || status != c.status || string(text) != c.text {
			t.Errorf("%q: %d, status %d, %q, %v", c.args, number, status, text, err)
		}
	}
	unix.Shutdown(socket, unix.SHUT_WR)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestServeBadRequest(t *testing.T) {
	socket, ended := conversation(t)
	if err := agent.Send(socket, []byte("12"), 0); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != agent.ErrForm {
		t.Error(err)
	}
}

// Without a socket there is nobody to serve. (What the process gets done to it
// before that, the other tests of this package get, too.)
func TestAgentWithoutSocket(t *testing.T) {
	if r := proctest.Run(&QmailLocal, proctest.Case{Args: []string{agent.Argument}}); r.Status != proc.StatusTemporary {
		t.Errorf("status %d: %q", r.Status, r.Err)
	}
}
