// Package qmtp is the Quick Mail Transfer Protocol
// (https://cr.yp.to/proto/qmtp.txt): messages, one after the other, without a
// word between them.
//
//	client   netstring(coding message)     coding: LF, or CR for lines that end in CR LF
//	         netstring(sender)
//	         netstring(netstring(recipient) …)
//	server   netstring(K or Z or D, text) for each recipient
//
// A client may send the next message before it has read the answers.
package qmtp

import (
	"bufio"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"paperpath/internal/decimal"
	"paperpath/internal/fsys"
	"paperpath/internal/netstring"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/turn"
	"paperpath/mta/control"
	"paperpath/mta/layout"
	"paperpath/mta/queue"
	"paperpath/mta/rcpthosts"
	"paperpath/mta/received"
)

// QmailQmtpd is the program qmail-qmtpd(8).
var QmailQmtpd = proc.Program{Name: "qmail-qmtpd", Run: qmtpd}

const (
	// sessionTime is how long a client may stay, however busy it is.
	sessionTime = time.Hour

	maxMessage    = 1 << 40 // bytes; control/databytes is the administrator's
	maxRecipients = 100 << 20
	maxAddress    = 999
)

// session is one client's visit.
type session struct {
	in    *netstring.Reader
	out   *bufio.Writer
	start func() (*queue.Client, error)

	peer        received.Peer
	hosts       *rcpthosts.Hosts
	relayClient string
	mayRelay    bool
	dataBytes   int // 0 for no limit
}

func qmtpd(_ context.Context, env *proc.Env) error {
	home := layout.Home(env.Vars)
	env.Files[0].SetReadDeadline(time.Now().Add(sessionTime))
	env.Files[1].SetWriteDeadline(time.Now().Add(sessionTime))
	s := &session{
		out:   bufio.NewWriterSize(env.Files[1], 4096),
		start: func() (*queue.Client, error) { return queue.Start(home, env.Vars) },
		peer:  received.FromVars(env.Vars),
	}
	s.in = netstring.NewReader(bufio.NewReaderSize(turn.Reader{In: env.Files[0], Out: s.out}, 16<<10))
	if err := s.configure(env.Vars, fsys.OS{Root: home}); err != nil {
		return err
	}
	defer s.hosts.Close()
	for {
		if err := s.message(); err != nil {
			s.out.Flush()
			return status(err)
		}
	}
}

// trouble is an error of ours. All others are the client's.
type trouble struct{ error }

// status is how the program ends: 0 when the client went away, 100 when it does
// not speak the protocol, 111 when it asks for too much or stays for too long, and
// when we are short of something.
func status(err error) error {
	var ours trouble
	switch {
	case err == netstring.ErrBad:
		return proc.Exit(proc.StatusPermanent)
	case err == netstring.ErrTooLong, errors.Is(err, os.ErrDeadlineExceeded):
		return proc.Exit(proc.StatusTemporary)
	case errors.As(err, &ours):
		return ours.error
	}
	return nil
}

func (s *session) configure(vars proc.Vars, fs fsys.FS) (err error) {
	// Without the home there would be no rcpthosts, and all would be welcome.
	if _, err := fs.Stat("."); err != nil {
		return strerr.Unable("chdir to", layout.Home(vars), err)
	}
	dir := control.Open(fs)
	if s.peer.Zone, err = dir.DateZone(vars); err != nil {
		return err
	}
	if _, _, err = dir.Line("me"); err != nil { // control_init
		return err
	}
	if s.hosts, err = rcpthosts.Open(fs); err != nil {
		return err
	}
	s.relayClient, s.mayRelay = vars.Get("RELAYCLIENT")
	if s.dataBytes, err = dir.Int("databytes", 0); err != nil {
		return err
	}
	if v, ok := vars.Get("DATABYTES"); ok {
		s.dataBytes, _ = decimal.Int(v)
	}
	return nil
}

// message takes one message and answers for each of its recipients.
func (s *session) message() error {
	length, err := s.in.Len(maxMessage)
	if err != nil {
		return err
	}
	if length == 0 {
		return netstring.ErrBad // not even the coding
	}
	coding, err := s.in.Byte()
	if err != nil {
		return err
	}
	if coding != '\n' && coding != '\r' {
		return netstring.ErrBad
	}
	q, err := s.start()
	if err != nil {
		return trouble{strerr.Unable("fork", "", err)}
	}
	answers, fault, err := s.envelope(q, length-1, coding == '\r')
	if err != nil {
		// The client went away or talks nonsense: nothing may be queued.
		q.Fail()
		q.Close()
		return err
	}
	result := q.Close()
	switch {
	case fault != "":
		result = fault
	case result == "":
		result = "Kok " + strconv.FormatInt(time.Now().Unix(), 10) + " qp " + strconv.Itoa(q.PID())
	}
	for _, a := range answers {
		text := result
		if a != taken {
			text = refusals[a]
		}
		s.out.Write(netstring.Append(nil, text))
	}
	return nil
}

// What becomes of a recipient, a byte each: a message may have millions.
const (
	taken = iota
	notOurs
	notAnAddress
)

var refusals = [...]string{
	notOurs:      "Dsorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
	notAnAddress: "Dsorry, I can't handle that recipient (#5.1.3)",
}

// envelope moves the message and its addresses to the queue. fault is what is
// wrong with the message as a whole, for every recipient that is not refused.
func (s *session) envelope(q *queue.Client, length int64, dos bool) (answers []byte, fault string, err error) {
	text := &text{queue: q, dos: dos, limit: int64(s.dataBytes)}
	q.Write(s.peer.Append(nil, "QMTP", time.Now()))
	if err := s.in.Copy(text, length); err != nil {
		return nil, "", err
	}
	text.end()

	sender, ok, err := s.in.Bytes(maxAddress)
	if err != nil {
		return nil, "", err
	}
	if !ok || strings.IndexByte(string(sender), 0) >= 0 {
		sender, fault = nil, "Dunacceptable sender (#5.1.7)"
	}
	switch {
	case text.tooBig():
		fault = "Dsorry, that message size exceeds my databytes limit (#5.3.4)"
	case text.hops.TooMany():
		fault = "Dtoo many hops, this message is looping (#5.4.6)"
	}
	q.Envelope(string(sender))

	all, err := s.in.Len(maxRecipients)
	if err != nil {
		return nil, "", err
	}
	s.in.Enter(all)
	some := false
	for s.in.Left() > 0 {
		a, err := s.recipient(q)
		if err != nil {
			return nil, "", err
		}
		some = some || a == taken
		answers = append(answers, a)
	}
	if err := s.in.Leave(); err != nil {
		return nil, "", err
	}
	if fault != "" || !some {
		q.Fail()
	}
	return answers, fault, nil
}

// recipient reads one and hands it on if it is acceptable.
func (s *session) recipient(q *queue.Client) (answer byte, err error) {
	text, ok, err := s.in.Bytes(maxAddress - len(s.relayClient))
	switch {
	case err != nil:
		return 0, err
	case !ok:
		return notAnAddress, nil
	}
	address := string(text)
	if !s.mayRelay {
		allowed, err := s.hosts.Allowed(address)
		switch {
		case err != nil:
			return 0, trouble{strerr.Unable("read", "control/morercpthosts.cdb", err)}
		case !allowed:
			return notOurs, nil
		}
	}
	if strings.IndexByte(address, 0) >= 0 {
		return notAnAddress, nil
	}
	q.Recipient(address + s.relayClient)
	return taken, nil
}
