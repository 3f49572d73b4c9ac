package remote

import (
	"errors"
	"io"
	"net/netip"
	"strings"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/quote"
)

// Session is a conversation with an SMTP server:
//
//	Hello   220, HELO, 250
//	Send    MAIL, RCPT …, DATA, the message, "."
//	Quit    QUIT; the answer is not waited for
type Session struct {
	*link
	text []byte // of the last reply, until a report has shown it
	deaf bool   // the server would not take a command for one
}

// NewSession begins a session on a connection to partner, with a server that
// has said nothing yet.
func NewSession(conn proc.File, partner netip.Addr, timeout time.Duration) *Session {
	return &Session{link: newLink(conn, partner, timeout)}
}

// command sends a line and returns the code of the reply.
func (s *Session) command(line string) (int, error) {
	s.w.WriteString(line)
	if err := s.w.Flush(); err != nil {
		return 0, err
	}
	return s.hear()
}

// hear waits for a reply and returns its code.
func (s *Session) hear() (int, error) {
	s.conn.SetReadDeadline(s.soon())
	code, text, err := readReply(s.r)
	s.text = text
	if err != nil {
		s.text = nil
	}
	return code, err
}

// Hello waits for the greeting and says helo. The error is the report.
func (s *Session) Hello(helo string) error {
	code, err := s.hear()
	if err != nil {
		return s.died()
	}
	if code != 220 {
		return s.outcome("ZConnected to ", " but greeting failed")
	}
	code, err = s.command("HELO " + helo + "\r\n")
	if err != nil {
		return s.died()
	}
	if code != 250 {
		return s.outcome("ZConnected to ", " but my name was rejected")
	}
	return nil
}

// Send sends one message to those recipients that the server accepts.
func (s *Session) Send(sender string, recipients []string, message io.Reader) Report {
	var report Report
	report.Message = string(s.send(sender, recipients, message, &report))
	return report
}

// send fills in the recipients' reports and returns the message's.
func (s *Session) send(sender string, recipients []string, message io.Reader, report *Report) outcome {
	if !sendable(sender) {
		return badSender
	}
	code, err := s.command("MAIL FROM:<" + mangle(reversePath(sender)) + ">\r\n")
	switch {
	case err != nil:
		return s.died()
	case refused(code):
		return s.outcome("DConnected to ", " but sender was rejected")
	case !accepted(code):
		return s.outcome("ZConnected to ", " but sender was rejected")
	}

	bother := false
	for _, recipient := range recipients {
		if !sendable(recipient) {
			report.Recipients = append(report.Recipients,
				"hSMTP cannot transfer a recipient address with line breaks. (#5.1.3)\n")
			continue
		}
		code, err := s.command("RCPT TO:<" + mangle(recipient) + ">\r\n")
		answer := "r"
		switch {
		case err != nil:
			return s.died()
		case accepted(code):
			bother = true
		case refused(code):
			answer = "h" + s.partner + " does not like recipient.\n" + s.said()
		default:
			answer = "s" + s.partner + " does not like recipient.\n" + s.said()
		}
		report.Recipients = append(report.Recipients, answer)
	}
	if !bother {
		return s.outcome("DGiving up on ", "")
	}

	code, err = s.command("DATA\r\n")
	switch {
	case err != nil:
		return s.died()
	case refused(code):
		return s.outcome("D", " failed on DATA command")
	case !intermediate(code):
		// A server that says 250 here would read the message as commands.
		return s.outcome("Z", " failed on DATA command")
	}
	return s.data(message)
}

// reversePath is sender as other hosts know it. With #@[] qmail-send marks its
// double bounces, so as not to bounce them again; that is its own affair, and
// to the world they are notifications like others (RFC 5321 section 4.5.5).
func reversePath(sender string) string {
	if sender == "#@[]" {
		return ""
	}
	return sender
}

// data sends the message and the dot, and hears what became of it.
func (s *Session) data(message io.Reader) outcome {
	s.deaf = true // until the dot, what we write is message
	err := encode(s.w, message)
	var unreadable readError
	switch {
	case errors.Is(err, errPartialLine):
		return badLine
	case errors.As(err, &unreadable):
		return badMessage
	case s.hasSpoken():
		// It answers what it has not seen all of, and perhaps has closed the
		// connection on the rest. A failure may be meant; a success cannot
		// be. Without the dot it must not keep the message.
		code, err := s.hear()
		switch {
		case err != nil:
			return s.died()
		case refused(code):
			return s.outcome("D", " failed after I sent the message")
		}
		return s.outcome("Z", " failed after I sent the message")
	case err != nil:
		return s.died()
	}

	// From here to the reply, a connection that dies leaves open whether the
	// server has taken the message.
	s.critical = true
	code, err := s.command(".\r\n")
	if err != nil {
		return s.died()
	}
	s.critical, s.deaf = false, false
	switch {
	case accepted(code):
		return s.outcome("K", " accepted message")
	case refused(code):
		return s.outcome("D", " failed after I sent the message")
	}
	return s.outcome("Z", " failed after I sent the message")
}

// hasSpoken reports whether something of a reply is already there.
func (s *Session) hasSpoken() bool {
	if s.r.Buffered() > 0 {
		return true
	}
	s.conn.SetReadDeadline(time.Now())
	_, err := s.r.Peek(1)
	return err == nil
}

// Quit says goodbye, if the server is in a state to hear it. What becomes of
// that changes nothing: the report is made.
func (s *Session) Quit() {
	if !s.deaf {
		s.w.WriteString("QUIT\r\n")
		s.w.Flush()
	}
}

func (s *Session) died() outcome {
	s.deaf = true
	return s.link.died()
}

func (s *Session) outcome(before, after string) outcome {
	return outcome(before + s.partner + after + ".\n" + s.said())
}

// said quotes the last reply, once. Control bytes could drive the terminal of
// whoever reads the bounce.
func (s *Session) said() string {
	if len(s.text) == 0 {
		return ""
	}
	for i, c := range s.text {
		if c < ' ' && c != '\n' && c != '\t' || c == 127 {
			s.text[i] = '?'
		}
	}
	said := "Remote host said: " + string(s.text)
	s.text = nil
	return said
}

// sendable reports whether an address fits into one command. A line feed in
// one would begin another command.
func sendable(addr string) bool { return !strings.ContainsAny(addr, "\r\n") }

// mangle quotes the box of an address; one without a domain is sent as it is
// (addrmangle in qmail-remote.c).
func mangle(addr string) string {
	if !strings.Contains(addr, "@") {
		return addr
	}
	return quote.Address(addr)
}
