// Package inject is the door for mail made on this machine: qmail-inject
// completes a message and hands it to the queue, sendmail understands what
// programs say to a program of that name.
//
//	header field  →  tokens  →  addresses rewritten  →  field      (qmail-header(5))
//	                            └→ the lists of recipients, the sender
//
//	queue:  [Date] [Message-ID] [From] [Cc] [Mail-Followup-To]  kept fields  body
//	        or their Resent- forms
//	        envelope: sender, recipients of the command line, of the header
//
// The header is kept in memory until it ended, because what it lacks stands
// before it; the body passes through.
package inject

import (
	"context"
	"errors"
	"io"
	"strings"
	"syscall"

	"paperpath/internal/header"
	"paperpath/internal/opt"
	"paperpath/internal/proc"
	"paperpath/internal/quote"
	"paperpath/mta/queue"
)

// QmailInject preprocesses and sends a message.
var QmailInject = proc.Program{
	Name:  "qmail-inject",
	Usage: "[ -nNaAhH ] [ -fsender ] [ recip ... ]",
	Run:   qmailInject,
}

// Where recipients come from.
type source byte

const (
	eitherOne     source = iota // -A: the command line, or else the header
	fromArguments               // -a
	fromHeader                  // -h
	fromBoth                    // -H
)

// maxHeader bounds what a header may take of memory; with its addresses
// rewritten it takes a multiple.
const maxHeader = 8 << 20

var errRead = errors.New("read error")

func qmailInject(ctx context.Context, env *proc.Env) error {
	m := newMessage(env.Vars)
	if err := m.readControls(env); err != nil {
		return err
	}

	queued, recipients := true, eitherOne
	options := opt.Parse(env.Args[1:], "aAhHnNf:")
	for options.Next() {
		switch options.Letter {
		case 'a':
			recipients = fromArguments
		case 'A':
			recipients = eitherOne
		case 'h':
			recipients = fromHeader
		case 'H':
			recipients = fromBoth
		case 'n':
			queued = false
		case 'N':
			queued = true
		case 'f':
			if err := m.setSender(options.Arg); err != nil {
				return err
			}
		default:
			env.Say(options.Problem())
			return proc.Exit(proc.StatusPermanent)
		}
	}
	args := options.Rest()
	if recipients == eitherOne {
		recipients = fromHeader
		if len(args) > 0 {
			recipients = fromArguments
		}
	}
	if recipients != fromHeader {
		for _, arg := range args {
			if err := m.addRecipient(arg); err != nil {
				return err
			}
		}
	}

	in := header.NewReader(env.Files[0], maxHeader)
	if err := m.readHeader(in); err != nil {
		return err
	}
	if !queued {
		return m.print(in, env.Files[1])
	}
	return m.queue(in, env, recipients != fromArguments)
}

// readHeader takes the whole header in.
func (m *message) readHeader(in *header.Reader) error {
	for {
		field, err := in.Next()
		switch {
		case err == io.EOF:
			return m.finish()
		case errors.Is(err, header.ErrTooLong):
			return proc.Permanent(err)
		case err != nil:
			return errRead
		}
		if err := m.field(field); err != nil {
			return err
		}
	}
}

// print is option -n: the message as it would be queued.
func (m *message) print(in *header.Reader, stdout io.Writer) error {
	out := &writer{w: stdout}
	out.WriteString("Return-Path: <" + quote.Address(untilNUL(m.sender)) + ">\n")
	out.Write(m.head)
	if err := in.WriteBody(out); err != nil {
		return errRead
	}
	// A reader that has seen enough is no failure. (C says nothing of output
	// that fails at the end, and calls what fails before a read error.)
	if out.err != nil && !errors.Is(out.err, syscall.EPIPE) {
		return errors.New("unable to write output")
	}
	return nil
}

// queue hands the message over.
func (m *message) queue(in *header.Reader, env *proc.Env, useHeader bool) error {
	q, err := queue.Start(m.home, env.Vars)
	if err != nil {
		return errors.New("unable to run qmail-queue")
	}
	out := &writer{w: q}
	out.Write(m.head)
	if err := in.WriteBody(out); err != nil {
		q.Fail()
		q.Close()
		return errRead
	}
	q.Envelope(untilNUL(m.sender))
	for _, addr := range m.arguments {
		q.Recipient(untilNUL(addr))
	}
	if useHeader {
		for _, addr := range m.headerRecipients() {
			q.Recipient(untilNUL(addr))
		}
	}
	answer := q.Close()
	switch {
	case answer == "":
		return nil
	case answer[0] == 'D':
		return proc.Permanent(errors.New(answer[1:]))
	}
	return proc.Temporary(errors.New(answer[1:]))
}

// writer keeps errors of the output apart from those of the input: after the
// first one the rest of the message is read and dropped, so that whoever
// writes it is not cut off in the middle.
type writer struct {
	w   io.Writer
	err error
}

func (w *writer) Write(b []byte) (int, error) {
	if w.err == nil {
		_, w.err = w.w.Write(b)
	}
	return len(b), nil
}

func (w *writer) WriteString(s string) { w.Write([]byte(s)) }

// untilNUL cuts an address where C's strings end. The envelope cannot carry a
// NUL, and a field may.
func untilNUL(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}
