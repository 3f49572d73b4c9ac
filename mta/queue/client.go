// Package queue is the door to the mail queue: what a program says to
// qmail-queue, and what qmail-queue answers by the way it ends.
//
// A client starts one qmail-queue for one message and writes to two pipes
// (qmail-queue(8), qmail.c):
//
//	descriptor 0   the message, to the end of the pipe
//	descriptor 1   the envelope:  F sender \0  ( T recipient \0 )*  \0
//	descriptor 6   the other way: one line of text that goes with status 82
//
// The last NUL of the envelope is the client's word that message and
// recipients are complete. A client that dies or gives up closes the pipe
// without it, and nothing is queued. The answer is an exit status (package
// answer).
//
// $QMAILQUEUE names a program to run in qmail-queue's place: a filter, or a
// client of another queue.
//
// That is start.go. A server of many clients uses a Pool, pool.go, which keeps
// qmail-queue processes from message to message and speaks another protocol
// with them (package resident). What a Client is to its user stays the same.
package queue

import (
	"errors"
	"strings"

	"paperpath/internal/strerr"
	"paperpath/mta/queue/answer"
)

// MaxAddress is the longest sender or recipient, with its final NUL, that
// qmail-queue takes.
const MaxAddress = answer.MaxAddress

// Client hands one message to the queue: Write its bytes, then Envelope, then
// Recipient for each, then Close for the answer. Errors on the way are
// remembered: the answer is never "queued" after one, and qmail-queue never
// sees a complete envelope.
//
// A Client is used by one goroutine. The caller's process must leave the
// wait status of the children it did not start to this package.
type Client struct {
	program  program
	envelope bool // the message is over
	failed   bool
}

// program is a qmail-queue, or what runs in its place, and the way to it.
type program interface {
	// Write adds to the message and, after EndMessage, to the envelope.
	Write(p []byte) (int, error)
	EndMessage() error
	// Close sends the rest of the envelope, or only ends it if failed says
	// that it is not whole, and returns the answer.
	Close(failed bool) string
	PID() int
}

// PID returns the process id of qmail-queue, the "qp" number of the log.
func (c *Client) PID() int { return c.program.PID() }

// Fail gives the message up: whatever follows, nothing will be queued.
func (c *Client) Fail() { c.failed = true }

var errFailed = errors.New("message was given up")

// Write adds bytes to the message.
func (c *Client) Write(p []byte) (int, error) {
	if c.failed || c.envelope {
		c.failed = true
		return 0, errFailed
	}
	n, err := c.program.Write(p)
	if err != nil {
		c.failed = true
	}
	return n, err
}

// Envelope ends the message and names its sender; "" is the sender of
// bounces.
func (c *Client) Envelope(sender string) {
	if c.envelope {
		c.failed = true
		return
	}
	c.endMessage()
	c.record('F', sender)
}

// Recipient adds a recipient.
func (c *Client) Recipient(addr string) {
	if !c.envelope {
		c.failed = true // no sender yet
		return
	}
	c.record('T', addr)
}

func (c *Client) record(letter byte, addr string) {
	if strings.IndexByte(addr, 0) >= 0 {
		c.failed = true // it would forge the next record
	}
	c.add(string(letter) + addr + "\x00")
}

func (c *Client) add(text string) {
	if c.failed {
		return
	}
	if _, err := c.program.Write([]byte(text)); err != nil {
		c.failed = true
	}
}

func (c *Client) endMessage() {
	c.envelope = true
	if !c.failed && c.program.EndMessage() != nil {
		c.failed = true
	}
}

// Close ends the envelope, waits for qmail-queue and returns its answer: ""
// if the message is queued, else a text as answer.Text describes it.
func (c *Client) Close() string {
	if !c.envelope {
		c.failed = true
	}
	c.add("\x00")
	return c.program.Close(c.failed)
}

// verdict is the answer of a qmail-queue that ended with a status, or would
// have, and a text on descriptor 6.
func verdict(status int, text string, failed bool) string {
	if status == answer.Queued && failed {
		return answer.Text(answer.Read) // it cannot have seen all of it
	}
	if status == answer.Custom {
		if line := oneLine(text); len(line) > 2 {
			return line
		}
	}
	return answer.Text(status)
}

// crashed is the answer of one that did not get as far as a status.
const crashed = "Zqq crashed (#4.3.0)"

// oneLine keeps a text from outside from becoming a second reply in an SMTP
// dialogue.
func oneLine(text string) string {
	text, _, _ = strings.Cut(text, "\x00")
	return strerr.Clean(strings.TrimRight(text, "\r\n"))
}
