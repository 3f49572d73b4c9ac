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
package queue

import (
	"bufio"
	"errors"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/mta/queue/answer"
)

// MaxAddress is the longest sender or recipient, with its final NUL, that
// qmail-queue takes.
const MaxAddress = answer.MaxAddress

// bufferSize saves system calls and stays below what a pipe holds (64 kB).
const bufferSize = 16 << 10

// maxText bounds what is read from descriptor 6, as qmail.c does.
const maxText = 255

// Client hands one message to the queue: Write its bytes, then Envelope, then
// Recipient for each, then Close for the answer. Errors on the way are
// remembered: the answer is never "queued" after one, and qmail-queue never
// sees a complete envelope.
//
// A Client is used by one goroutine. The caller's process must leave the
// child's wait status to Close.
type Client struct {
	process  *child.Process // nil if no program ran
	notRun   int            // the status that says why
	message  *sys.FD        // nil when ended
	envelope *sys.FD        // nil when ended
	text     *sys.FD
	w        *bufio.Writer // to message, then to envelope
	failed   bool
}

// Start runs $QMAILQUEUE, or bin/qmail-queue in the qmail home directory, with
// vars as its environment and home as its directory. Only the lack of a pipe
// or a process is an error. A program that cannot be run is for Close to
// report, as it is in qmail.c, where the child finds out.
func Start(home string, vars proc.Vars) (*Client, error) { return StartWith(home, vars, 2) }

// StartWith is Start for a program whose complaints go to the descriptor
// complaints; Start's go where this process's go.
func StartWith(home string, vars proc.Vars, complaints int) (*Client, error) {
	program, ok := vars.Get("QMAILQUEUE")
	if !ok {
		program = "bin/qmail-queue"
	}
	message, messageW, err := sys.Pipe()
	if err != nil {
		return nil, err
	}
	defer message.Close()
	envelope, envelopeW, err := sys.Pipe()
	if err != nil {
		messageW.Close()
		return nil, err
	}
	defer envelope.Close()
	textR, text, err := sys.Pipe()
	if err != nil {
		messageW.Close()
		envelopeW.Close()
		return nil, err
	}
	defer text.Close()

	c := &Client{message: messageW, envelope: envelopeW, text: textR}
	c.w = bufio.NewWriterSize(messageW, bufferSize)
	c.process, err = child.Start(&child.Command{
		Argv:  []string{program},
		Path:  program,
		Vars:  vars,
		Dir:   home,
		Files: []int{int(message.Fd()), int(envelope.Fd()), complaints, -1, -1, -1, int(text.Fd())},
	})
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOMEM), errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		messageW.Close()
		envelopeW.Close()
		textR.Close()
		return nil, err // fork(2) or its pipe
	case unix.Access(home+"/.", unix.X_OK) != nil:
		c.notRun = answer.Home
	default:
		c.notRun = answer.NotRun
	}
	return c, nil
}

// PID returns the process id of qmail-queue, the "qp" number of the log.
func (c *Client) PID() int {
	if c.process == nil {
		return 0
	}
	return c.process.PID
}

// Fail gives the message up: whatever follows, nothing will be queued.
func (c *Client) Fail() { c.failed = true }

var errFailed = errors.New("message was given up")

// Write adds bytes to the message.
func (c *Client) Write(p []byte) (int, error) {
	if c.failed || c.message == nil {
		c.failed = true
		return 0, errFailed
	}
	n, err := c.w.Write(p)
	if err != nil {
		c.failed = true
	}
	return n, err
}

// Envelope ends the message and names its sender; "" is the sender of
// bounces.
func (c *Client) Envelope(sender string) {
	if c.message == nil {
		c.failed = true
		return
	}
	c.endMessage()
	c.w.Reset(c.envelope)
	c.record('F', sender)
}

// Recipient adds a recipient.
func (c *Client) Recipient(addr string) {
	if c.message != nil {
		c.failed = true // no sender yet
		return
	}
	c.record('T', addr)
}

func (c *Client) record(letter byte, addr string) {
	if strings.IndexByte(addr, 0) >= 0 {
		c.failed = true // it would forge the next record
	}
	if c.failed {
		return
	}
	c.w.WriteByte(letter)
	c.w.WriteString(addr)
	if c.w.WriteByte(0) != nil { // bufio keeps the first error
		c.failed = true
	}
}

func (c *Client) endMessage() {
	if !c.failed && c.w.Flush() != nil {
		c.failed = true
	}
	c.message.Close()
	c.message = nil
}

// Close ends the envelope, waits for qmail-queue and returns its answer: ""
// if the message is queued, else a text as answer.Text describes it.
func (c *Client) Close() string {
	if c.message != nil {
		c.failed = true // there is no envelope
		c.endMessage()
	}
	if !c.failed {
		c.w.WriteByte(0)
		if c.w.Flush() != nil {
			c.failed = true
		}
	}
	c.envelope.Close()
	if c.process == nil {
		c.text.Close()
		return answer.Text(c.notRun)
	}
	// Before waiting: the program may block on a full pipe. Closing then cuts
	// off one that goes on talking.
	text, _ := io.ReadAll(io.LimitReader(c.text, maxText))
	c.text.Close()
	status, err := c.process.Wait()
	if err != nil {
		return "Zqq waitpid surprise (#4.3.0)"
	}
	return c.verdict(status, string(text))
}

func (c *Client) verdict(status child.Status, text string) string {
	if status.Crashed() {
		return "Zqq crashed (#4.3.0)"
	}
	code := status.Code()
	if code == 0 && c.failed {
		return answer.Text(answer.Read) // it cannot have seen all of it
	}
	if code == answer.Custom {
		if line := oneLine(text); len(line) > 2 {
			return line
		}
	}
	return answer.Text(code)
}

// oneLine keeps a text from outside from becoming a second reply in an SMTP
// dialogue.
func oneLine(text string) string {
	text, _, _ = strings.Cut(text, "\x00")
	return strerr.Clean(strings.TrimRight(text, "\r\n"))
}
