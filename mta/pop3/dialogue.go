// Package pop3 is the Post Office Protocol, version 3 (RFC 1939), in the two
// programs that qmail has it in:
//
//	tcpserver … qmail-popup HOST checkpassword qmail-pop3d Maildir
//
//	qmail-popup    +OK <71.1795270000@HOST>       AUTHORIZATION state
//	               USER, PASS, APOP
//	                 └ fd 3: user \0 password \0 <71.…@HOST> \0
//	checkpassword  ids, home directory, environment
//	qmail-pop3d    +OK                             TRANSACTION state
//	               STAT LIST RETR DELE …
//	               QUIT → messages removed         UPDATE state
//
// Nothing before checkpassword's verdict touches a mailbox; nothing after it
// runs as anybody but the mailbox's owner.
package pop3

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"time"

	"paperpath/internal/line"
	"paperpath/internal/proc"
	"paperpath/internal/turn"
)

const (
	timeout = 20 * time.Minute // RFC 1939 section 3 allows no less than ten

	// maxLine bounds a command: many times what RFC 2449 section 4 asks for,
	// as passwords may be tokens.
	maxLine = 16 << 10
)

// dialogue is one side of the conversation.
type dialogue struct {
	in  *bufio.Reader
	out *bufio.Writer
}

// start joins a dialogue to the client.
func (d *dialogue) start(in io.Reader, out io.Writer, inSize, outSize int) {
	d.out = bufio.NewWriterSize(out, outSize)
	d.in = bufio.NewReaderSize(turn.Reader{In: in, Out: d.out}, inSize)
}

// timed gives every read and write its own deadline.
type timed struct{ proc.File }

func (t timed) Read(b []byte) (int, error) {
	t.SetReadDeadline(time.Now().Add(timeout))
	return t.File.Read(b)
}

func (t timed) Write(b []byte) (int, error) {
	t.SetWriteDeadline(time.Now().Add(timeout))
	return t.File.Write(b)
}

// byByte reads no further than it must: what follows a password belongs to the
// program that is started by it.
type byByte struct{ timed }

func (r byByte) Read(b []byte) (int, error) { return r.timed.Read(b[:min(len(b), 1)]) }

// say queues a line.
func (d *dialogue) say(text ...string) {
	for _, t := range text {
		d.out.WriteString(t)
	}
	d.out.WriteString("\r\n")
}

func (d *dialogue) ok()            { d.say("+OK ") }
func (d *dialogue) err(why string) { d.say("-ERR ", why) }
func (d *dialogue) list(l ...string) { // a multi-line answer's lines
	for _, text := range l {
		d.say(text)
	}
	d.say(".")
}

// errEnd ends a conversation that has been said good-bye to.
var errEnd = errors.New("end")

// serve obeys commands until one of them, or the client, ends the conversation. The
// slice that a command gets is its own.
func (d *dialogue) serve(do func(verb string, arg []byte) error) {
	for {
		text, err := line.Read(d.in, '\n', maxLine)
		if err == line.ErrTooLong {
			d.err("line too long")
		}
		if err == nil {
			verb, arg := split(text)
			err = do(verb, arg)
		}
		if err != nil {
			d.out.Flush()
			return
		}
	}
}

// split takes a command line apart (commands.c). A NUL ends it.
func split(text []byte) (verb string, arg []byte) {
	text = bytes.TrimSuffix(text[:len(text)-1], []byte("\r"))
	text, _, _ = bytes.Cut(text, []byte{0})
	word, arg, _ := bytes.Cut(text, []byte(" "))
	return string(bytes.ToLower(word)), bytes.TrimLeft(arg, " ")
}
