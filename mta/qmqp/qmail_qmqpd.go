// Package qmqp is the Quick Mail Queueing Protocol
// (https://cr.yp.to/proto/qmqp.html), by which a host without a queue of its own
// uses another's: one message, one answer.
//
//	client   netstring( netstring(message) netstring(sender) netstring(recipient) … )
//	server   netstring(K or Z or D, text)
//
// qmail-qmqpd takes mail from anybody who reaches it, so tcpserver's rules must
// say who does. qmail-qmqpc stands in for qmail-queue on the host without one.
package qmqp

import (
	"bufio"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"paperpath/internal/netstring"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/mta/control"
	"paperpath/mta/layout"
	"paperpath/mta/queue"
	"paperpath/mta/received"
)

// QmailQmqpd is the program qmail-qmqpd(8).
var QmailQmqpd = proc.Program{Name: "qmail-qmqpd", Run: qmqpd}

const (
	sessionTime = time.Hour

	maxAll     = 1 << 40 // bytes; qmail-queue's disk is the limit
	maxAddress = 999
)

// trouble is an error of ours. All others are the client's.
type trouble struct{ error }

// qmqpd ends with 0 when the client was answered or went away, with 100 when it
// does not speak the protocol, with 111 when it asks for too much or stays for too
// long, and when we are short of something.
func qmqpd(_ context.Context, env *proc.Env) error {
	env.Files[0].SetReadDeadline(time.Now().Add(sessionTime))
	env.Files[1].SetWriteDeadline(time.Now().Add(sessionTime))
	in := netstring.NewReader(bufio.NewReaderSize(env.Files[0], 16<<10))
	answer, err := take(in, env.Vars)
	if err == nil {
		_, err = env.Files[1].Write(netstring.Append(nil, answer))
	}
	var ours trouble
	switch {
	case err == netstring.ErrBad:
		return proc.Exit(proc.StatusPermanent)
	case err == netstring.ErrTooLong, errors.Is(err, os.ErrDeadlineExceeded):
		return proc.Exit(proc.StatusTemporary)
	case errors.As(err, &ours):
		return ours.error
	}
	return nil // the client went away
}

// take moves the message to the queue.
func take(in *netstring.Reader, vars proc.Vars) (answer string, err error) {
	all, err := in.Len(maxAll)
	if err != nil {
		return "", err
	}
	in.Enter(all)
	length, err := in.Len(maxAll)
	if err != nil {
		return "", err
	}
	home := layout.Home(vars)
	peer := received.FromVars(vars)
	if peer.Zone, err = control.Home(home).DateZone(vars); err != nil {
		return "", trouble{err}
	}
	q, err := queue.Start(home, vars)
	if err != nil {
		return "", trouble{strerr.Unable("fork", "", err)}
	}
	q.Write(peer.Append(nil, "QMQP", time.Now()))
	good, err := deliver(q, in, length)
	if err != nil {
		q.Fail()
		q.Close()
		return "", err
	}
	qp := strconv.Itoa(q.PID())
	switch answer = q.Close(); {
	case !good:
		return "Dsorry, I can't accept addresses like that (#5.1.3)", nil
	case answer == "":
		return "Kok " + strconv.FormatInt(time.Now().Unix(), 10) + " qp " + qp, nil
	}
	return answer, nil
}

// deliver hands message and addresses on. One bad address spoils them all: the
// client gets one answer.
func deliver(q *queue.Client, in *netstring.Reader, length int64) (good bool, err error) {
	if err := in.Copy(q, length); err != nil {
		return false, err
	}
	good = true
	address := func() (string, error) {
		text, ok, err := in.Bytes(maxAddress)
		if !ok || strings.IndexByte(string(text), 0) >= 0 {
			good = false
			return "", err
		}
		return string(text), err
	}
	sender, err := address()
	if err != nil {
		return false, err
	}
	q.Envelope(sender)
	for in.Left() > 0 {
		recipient, err := address()
		if err != nil {
			return false, err
		}
		if good {
			q.Recipient(recipient)
		}
	}
	if !good {
		q.Fail()
	}
	return good, in.Leave()
}
