package smtpd

import (
	"io"
	"strings"
	"sync"
	"testing"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/mta/queue"
)

// crowd is a transaction with n recipients that cost crowdCost each.
func crowd(n int) string {
	return "MAIL FROM:<>\r\n" + strings.Repeat("RCPT TO:<"+strings.Repeat("u", 800)+">\r\n", n)
}

const crowdCost = 800 + recipientCost

// taken counts the recipients taken in a dialogue's replies, each with 250 ok.
func taken(out string) int {
	return strings.Count(out, "250 ok\r\n") - 1 // MAIL
}

// However a transaction ends, its part of the budget is there for others at
// once, and not when the client goes.
func TestBudgetComesBack(t *testing.T) {
	fs := home(t, controls)
	const size = 300 << 10
	want := (ownEnvelope + size) / crowdCost
	for end, over := range map[string]bool{
		"RSET\n": true, "HELO x\n": true, "EHLO x\n": true, "MAIL FROM:<>\n": true, "DATA\nx\n.\n": true,
		"NOOP\n": false, "MAIL\n": false, "DATA\nx": false, "": false,
	} {
		shared := &budget{left: size}
		idle := -1
		v := visit{shared: shared, wire: wire{in: crowd(want+10) + crlf(end), idle: func() { idle = shared.left }}}
		v.run(t, fs)
		if got := strings.Count(v.out.String(), "452 "); got < 9 || got > 11 {
			t.Errorf("%q: %d recipients refused of %d, want %d", end, got, want+10, 10)
		}
		if over && idle != size || !over && idle > crowdCost {
			t.Errorf("%q: %d of %d left while the client waits", end, idle, size)
		}
		if shared.left != size {
			t.Errorf("%q: %d of %d left when the session is over", end, shared.left, size)
		}
	}
	for _, end := range []string{"QUIT\r\n", "DATA\r\nx\n", "GET / HTTP/1.1\r\n"} {
		shared := &budget{left: size}
		v := visit{shared: shared, wire: wire{in: crowd(want) + end}}
		v.run(t, fs)
		if shared.left != size {
			t.Errorf("%q: %d of %d left when the session is over", end, shared.left, size)
		}
	}
}

// Who is refused is not charged, and an exhausted budget is none of the
// business of those who need little.
func TestSmallEnvelopesNeedNoBudget(t *testing.T) {
	shared := &budget{}
	v := visit{shared: shared, wire: wire{in: crowd(100) + "RCPT TO:<u>\r\nRSET\r\nMAIL FROM:<>\r\n" + strings.Repeat("RCPT TO:<u@local.example>\r\n", 1000)}}
	v.run(t, home(t, controls))
	out, small, _ := strings.Cut(v.out.String(), "250 flushed\r\n")
	if got, want := taken(out), ownEnvelope/crowdCost; got < want || got > want+1 {
		t.Errorf("%d recipients taken, want %d", got, want)
	}
	if got := taken(small); got != 1000 {
		t.Errorf("%d small recipients taken", got)
	}
	if shared.left != 0 {
		t.Errorf("%d left of nothing", shared.left)
	}
}

// lingering is a client that says what it has to say and stays.
type lingering struct {
	wire
	said chan<- struct{}
	stay <-chan struct{}
}

func (l *lingering) Read(p []byte) (int, error) {
	if l.in == "" {
		l.said <- struct{}{}
		<-l.stay
		return 0, io.EOF
	}
	return l.wire.Read(p)
}

// All the clients of a server together cannot fill its memory.
func TestSessionsShareABudget(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, controls)
	program := Inside(&queue.Pool{})
	said, stay := make(chan struct{}), make(chan struct{})
	clients := make([]*lingering, sharedEnvelopes/maxEnvelope+2)
	var wg sync.WaitGroup
	for i := range clients {
		clients[i] = &lingering{wire: wire{in: crowd(maxEnvelope / 800)}, said: said, stay: stay}
		wg.Go(func() {
			proctest.Run(program, proctest.Case{
				Vars:  proc.Vars{"QMAILHOME=" + dir},
				Files: map[int]proc.File{0: clients[i], 1: clients[i]},
			})
		})
		<-said // one after the other
	}
	close(stay)
	wg.Wait()

	all := 0
	for i, c := range clients {
		n := taken(c.out.String())
		all += n
		if i == 0 && n < maxEnvelope/crowdCost-1 {
			t.Errorf("the first client got %d recipients", n)
		}
		if last := i == len(clients)-1; last && (n < ownEnvelope/crowdCost || n > ownEnvelope/crowdCost+1) {
			t.Errorf("the last client got %d recipients, want %d", n, ownEnvelope/crowdCost)
		}
	}
	if most := (sharedEnvelopes + len(clients)*ownEnvelope) / crowdCost; all > most {
		t.Errorf("%d recipients in all, more than %d", all, most)
	}
}
