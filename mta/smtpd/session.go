package smtpd

import (
	"bufio"
	"errors"
	"strconv"
	"strings"
	"time"

	"paperpath/internal/decimal"
	"paperpath/internal/proc"
	"paperpath/mta/control"
	"paperpath/mta/queue"
	"paperpath/mta/received"
)

// session is one client's visit.
type session struct {
	in  input
	out *bufio.Writer

	// settled before the first command
	*settings
	open        func() (message, error) // a way into the queue
	say         func(text string)       // a line for the log
	limit       int                     // the largest message, 0 for any
	relayClient string
	mayRelay    bool
	anyHelo     bool // control/badhelo does not count
	logPatterns bool // with what they matched

	// what the client said
	peer          received.Peer
	heloPattern   string // the line of badhelo that the name matches
	seenMail      bool
	sender        string
	senderListed  bool   // in badmailfrom: recipients will be refused
	senderPattern string // the line of badmailfrom that it matches: the same
	recipients    envelope

	text []byte // room for copyText
}

func newSession(in, out proc.File) *session {
	s := &session{out: bufio.NewWriterSize(nil, 1024)}
	s.in.file = in
	s.in.before = s.out.Flush
	s.out.Reset(&timedWriter{out, &s.in.timeout})
	s.in.timeout = 1200 * time.Second
	return s
}

// timedWriter gives each write its own timeout.
type timedWriter struct {
	proc.File
	timeout *time.Duration
}

func (w *timedWriter) Write(p []byte) (int, error) {
	w.SetWriteDeadline(time.Now().Add(*w.timeout))
	return w.File.Write(p)
}

// reply queues one reply line. A client that no longer reads is noticed when
// the replies are flushed.
func (s *session) reply(line string) {
	s.out.WriteString(line)
	s.out.WriteString("\r\n")
}

// verbs are the commands. Replies to those marked group may wait until the
// client has sent all it wants to send (RFC 2920 section 3.2).
var verbs = map[string]struct {
	do    func(s *session, arg string) error
	group bool
}{
	"rcpt": {(*session).rcpt, true},
	"mail": {(*session).mail, true},
	"data": {(*session).data, false},
	"quit": {(*session).quit, false},
	"helo": {(*session).helo, false},
	"ehlo": {(*session).ehlo, false},
	"rset": {(*session).rset, true},
	"help": {(*session).help, false},
	"noop": {(*session).noop, false},
	"vrfy": {(*session).vrfy, false},
}

// errQuit ends a session that ended as it should.
var errQuit = errors.New("quit")

// serve speaks with the client until one of the two has enough.
func (s *session) serve() error {
	defer s.forget()
	s.reply("220 " + s.greeting + " ESMTP")
	for {
		line, err := s.in.line()
		switch {
		case err == errLong:
			s.reply("500 line too long (#5.5.2)")
			continue
		case err != nil:
			return s.end(err)
		}
		if err := s.command(string(line)); err == errQuit {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// end takes leave of a client that cannot be served on.
func (s *session) end(err error) error {
	switch err {
	case errTimeout:
		s.reply("451 timeout (#4.4.2)")
	case errVeryLong:
		s.reply("500 line too long (#5.5.2)")
	case errStrayNewline:
		s.reply("451 See https://cr.yp.to/docs/smtplf.html.")
	}
	s.out.Flush()
	return errEnd
}

func (s *session) command(line string) error {
	line, _, _ = strings.Cut(line, "\x00") // where C's string ends
	verb, arg, _ := strings.Cut(line, " ")
	v, ok := verbs[control.Lower(verb)]
	if !ok {
		s.reply("502 unimplemented (#5.5.1)")
		if httpRequest(line) {
			return s.end(nil)
		}
		return s.flush()
	}
	if err := v.do(s, strings.TrimLeft(arg, " ")); err != nil || v.group {
		return err
	}
	return s.flush()
}

func (s *session) flush() error {
	if s.out.Flush() != nil {
		return errEnd
	}
	return nil
}

// httpRequest recognizes "POST / HTTP/1.1". A browser can be made to send one
// here, with SMTP commands in its body.
func httpRequest(line string) bool {
	last := line[strings.LastIndexByte(line, ' ')+1:]
	return strings.HasPrefix(last, "HTTP/")
}

func (s *session) helo(arg string) error {
	s.reply("250 " + s.greeting)
	s.hello(arg)
	return nil
}

func (s *session) ehlo(arg string) error {
	s.reply("250-" + s.greeting)
	s.reply("250-PIPELINING")
	// RFC 1870. C qmail says nothing of its limit. Where there is one it is
	// better known: the client saves itself and us the message. Where there
	// is none the reply is as in C, to the byte.
	if s.limit > 0 {
		s.reply("250-SIZE " + strconv.Itoa(s.limit))
	}
	s.reply("250 8BITMIME")
	s.hello(arg)
	return nil
}

func (s *session) hello(name string) {
	s.forget()
	s.peer.Helo = name
	s.peer.HasHelo = control.Lower(name) != control.Lower(s.peer.Host)
	s.heloPattern = ""
	if !s.anyHelo {
		s.heloPattern = s.badHelo.match(name)
	}
}

// forget leaves the state in which there is a sender.
func (s *session) forget() {
	s.seenMail = false
	s.recipients.release()
}

func (s *session) rset(string) error {
	s.forget()
	s.reply("250 flushed")
	return nil
}

func (s *session) noop(string) error {
	s.reply("250 ok")
	return nil
}

func (s *session) vrfy(string) error {
	s.reply("252 send some mail, i'll try my best")
	return nil
}

func (s *session) help(string) error {
	s.reply("214 qmail home page: https://cr.yp.to/qmail.html")
	return nil
}

func (s *session) quit(string) error {
	s.reply("221 " + s.greeting)
	s.out.Flush()
	return errQuit
}

const syntaxError = "555 syntax error (#5.5.4)"

func (s *session) mail(arg string) error {
	addr, rest, ok := parsePath(arg)
	if !ok {
		s.reply(syntaxError)
		return nil
	}
	if refusal := s.mailParameters(rest); refusal != "" {
		s.reply(refusal)
		return nil
	}
	if verp(addr) && !s.mayRelay {
		s.reply("553 sorry, that envelope sender is reserved (#5.1.7)")
		return nil
	}
	addr, err := s.local(addr)
	if err != nil {
		return err
	}
	if s.unknownSender(addr) {
		s.reply("553 sorry, your mail from a host [" + s.peer.IP + "] without valid reverse DNS was administratively denied (#5.7.1)")
		return nil
	}
	s.senderListed, s.senderPattern = s.badMailFrom.has(addr), ""
	if addr != "" { // qregex lets bounces pass
		s.senderPattern = s.badMailFrom.patterns.match(addr)
		if s.senderPattern == "" && !s.mayRelay {
			s.senderPattern = s.badMailFromNoRelay.match(addr)
		}
	}
	s.forget() // another MAIL begins anew
	s.seenMail = true
	s.sender = addr
	s.reply("250 ok")
	return nil
}

func (s *session) rcpt(arg string) error {
	if !s.seenMail {
		s.reply("503 MAIL first (#5.5.1)")
		return nil
	}
	// Parameters only say what to do with reports (RFC 3461): see mailParameters.
	addr, _, ok := parsePath(arg)
	if !ok || addr == "" {
		s.reply(syntaxError)
		return nil
	}
	addr, err := s.local(addr)
	if err != nil {
		return err
	}
	if refusal, err := s.bad(addr); err != nil {
		s.reply("421 unable to read controls (#4.3.0)")
		return s.end(nil)
	} else if refusal != "" {
		s.reply(refusal)
		return nil
	}
	if s.mayRelay {
		addr += s.relayClient
	} else if allowed, err := s.hosts.Allowed(addr); err != nil {
		s.reply("421 unable to read controls (#4.3.0)")
		return s.end(nil)
	} else if !allowed {
		s.reply("553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)")
		return nil
	}
	switch {
	case len(addr)+1 > queue.MaxAddress: // through localiphost or RELAYCLIENT
		s.reply(syntaxError)
	case !s.recipients.add(addr):
		s.reply("452 too many recipients (#4.5.3)")
	default:
		s.reply("250 ok")
	}
	return nil
}

// local is localize with control/localiphost.
func (s *session) local(addr string) (string, error) {
	if s.localIPHost == "" {
		return addr, nil
	}
	addr, err := localize(addr, s.localIPHost)
	if err != nil {
		s.reply("421 unable to figure out my IP addresses (#4.3.0)")
		return "", s.end(nil)
	}
	return addr, nil
}

// mailParameters reads what follows the address in MAIL (RFC 5321 section
// 4.1.1.11) and returns the reply that refuses it, "" for none. Refused is what
// would change the message or where it may go. C takes everything; clients that
// were never offered AUTH, DSN and the like send their parameters all the same,
// and the worst that comes of passing over those is a report too many.
func (s *session) mailParameters(rest string) (refusal string) {
	for word := range strings.FieldsSeq(rest) {
		name, value, _ := strings.Cut(word, "=")
		switch control.Lower(name) {
		case "size": // RFC 1870 section 4: up to 20 digits
			n, digits := decimal.Int(value)
			switch {
			case digits == 0 || digits > 20 || digits < len(value):
				return "501 syntax error in SIZE (#5.5.4)"
			case n == maxInt || s.tooBig(int64(n)):
				return "552 sorry, that message size exceeds my databytes limit (#5.3.4)"
			}
		case "body": // RFC 6152; BINARYMIME is RFC 3030's
			if v := control.Lower(value); v != "7bit" && v != "8bitmime" {
				return syntaxError
			}
		case "smtputf8", "requiretls": // RFC 6531, RFC 8689
			return syntaxError
		}
	}
	return ""
}

// maxInt is what decimal.Int makes of a number that does not fit.
const maxInt = int(^uint(0) >> 1)
