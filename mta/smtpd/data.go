package smtpd

import (
	"strconv"
	"time"

	"paperpath/mta/received"
)

// maxTransfer is how long a message may take to come. qmail-queue does not wait
// longer either.
const maxTransfer = 24 * time.Hour

// message is what the queue's client offers (package queue).
type message interface {
	Write(p []byte) (int, error) // errors are remembered until Close
	Fail()                       // give up: nothing will be queued
	Envelope(sender string)
	Recipient(addr string)
	Close() string // "" if queued, else D or Z and a text
	PID() int
}

// data is the DATA command: one message from the client to the queue.
func (s *session) data(string) error {
	if !s.seenMail {
		s.reply("503 MAIL first (#5.5.1)")
		return nil
	}
	if len(s.recipients.list) == 0 {
		s.reply("503 RCPT first (#5.5.1)")
		return nil
	}
	if s.rejectMultiBounce && s.sender == "" && len(s.recipients.list) > 1 {
		// One message went out from one sender, so one recipient has a bounce.
		s.reply("550 sorry, bounce messages should have a single envelope recipient (#5.7.1)")
		return nil
	}
	defer s.forget()
	m, err := s.open()
	if err != nil {
		s.reply("451 qqt failure (#4.3.0)")
		return nil
	}
	s.reply("354 go ahead")

	m.Write(s.peer.Append(nil, "SMTP", time.Now()))
	c, err := s.copyText(m)
	if err != nil {
		// The client may still be there and wait; qmail-queue may take its
		// time to find out that nothing comes. First things first.
		err = s.end(err)
		m.Fail()
		m.Close()
		return err
	}
	m.Envelope(s.sender)
	for _, r := range s.recipients.list {
		m.Recipient(r)
	}
	s.replyTo(c, m.PID(), m.Close())
	return nil
}

// replyTo tells the client what became of its message.
func (s *session) replyTo(c textCount, pid int, answer string) {
	switch {
	case answer == "":
		s.reply("250 ok " + strconv.FormatInt(time.Now().Unix(), 10) + " qp " + strconv.Itoa(pid))
	case c.looping():
		s.reply("554 too many hops, this message is looping (#5.4.6)")
	case s.tooBig(c.bytes):
		s.reply("552 sorry, that message size exceeds my databytes limit (#5.3.4)")
	case answer[0] == 'D':
		s.reply("554 " + answer[1:])
	default:
		s.reply("451 " + answer[1:])
	}
}

// tooBig reports whether a message of n bytes exceeds the limit.
func (s *session) tooBig(n int64) bool { return s.limit > 0 && n > int64(s.limit) }

// textCount is what was learned on the way of a text.
type textCount struct {
	bytes int64 // as they go to the queue
	hops  received.Hops
}

func (c *textCount) looping() bool { return c.hops.TooMany() }

// copyText moves the text to its end from the client to m, as it comes. Of a
// message that will be refused the rest is read and dropped: the client hears
// of it where it can understand it.
func (s *session) copyText(m message) (textCount, error) {
	var c textCount
	var u unstuffer
	end := time.Now().Add(maxTransfer)
	for {
		p, err := s.in.chunk(end)
		if err != nil {
			return c, err
		}
		out, n, whole, err := u.unstuff(s.text[:0], p)
		if err != nil {
			return c, err
		}
		s.text = out // keep the room
		s.in.unread(len(p) - n)
		c.bytes += int64(len(out))
		c.hops.Scan(out)
		if s.tooBig(c.bytes) || c.looping() {
			m.Fail()
		} else {
			m.Write(out)
		}
		if whole {
			return c, nil
		}
	}
}
