package filter

import (
	"bytes"
	"slices"
	"strings"

	"paperpath/internal/decimal"
)

// session follows an SMTP or POP3 session so far that it knows which lines are
// credentials and which are the body of a message, and hands on what may be
// recorded:
//
//	AUTH PLAIN dGVz…        → AUTH PLAIN [hidden]
//	(answer to a 334)       → [hidden]
//	PASS secret             → PASS [hidden]
//	APOP joe c4c93…         → APOP joe [hidden]
//	DATA, then the body     → DATA, [body: 1234 bytes], .
//	BDAT 1234, the bytes    → BDAT 1234, [body: 1234 bytes]
//	+OK, a message          → +OK, [body: 1234 bytes], .    (RETR and TOP)
//	220 ready, TLS          → 220 ready, [TLS: 1234 bytes]
//
// Clients need not wait for replies (RFC 2920), so a reply is matched to its
// command by counting. Where the count may be wrong, or a peer breaks the
// protocol, it errs towards hiding: of AUTH and of a body only the right reply
// and the right line are the end. A client that goes on as if AUTH had not been
// refused sends lines that are no commands, and one that does not wait for the
// reply to DATA, or sends BDAT to a program that does not know it, may send
// anything: with secrets to hide all of that is.
type session struct {
	bodies, secrets bool // what is hidden
	record          func(direction string, p []byte)

	fromLeft, fromRight side
	queue               []kind // commands whose reply has not come
	opaque              string // both directions are hidden for good, as what

	auth       bool // until the reply to AUTH
	answers    int  // lines that the client has sent since AUTH
	challenges int  // lines that the program has asked for since AUTH

	state bodyState
	early int    // lines of a body before DATA was accepted
	raw   uint64 // bytes that follow BDAT

	wary     bool // a line that is no command may be a credential
	chunking bool // the program understands BDAT

	listing kind // of the lines that the program sends until a dot; none if 0
}

// side is one direction.
type side struct {
	direction string
	partial   []byte // of a line that has not ended
	rest      bool   // a part of this line has been handled
	hidden    uint64 // bytes of a body not yet accounted for
	visible   bool   // that part was shown
}

// kind is what a command's reply may change.
type kind int

const (
	none kind = iota
	other
	authenticate
	mechanisms // AUTH alone, which in POP3 asks for a list
	data
	startTLS
	list    // lines until a dot
	message // the same, and they are somebody's mail
)

// bodyState is what the client's lines are.
type bodyState int

const (
	commands bodyState = iota
	asked              // DATA was sent: commands if it is refused
	accepted           // a body
	refused            // begun too early for a DATA that was refused: commands again after a dot
)

// body names what is hidden in a record.
const body = "body"

const (
	lineMax  = 2048 // of a line that is recorded at once; longer ones in pieces
	queueMax = 1000 // commands without a reply; after more, everything is hidden
)

func newSession(bodies, secrets bool, record func(string, []byte)) *session {
	return &session{
		bodies: bodies, secrets: secrets, record: record,
		fromLeft:  side{direction: fromClient},
		fromRight: side{direction: fromProgram},
		queue:     []kind{other}, // the greeting
	}
}

// client takes what the client sent.
func (s *session) client(p []byte) {
	for len(p) > 0 {
		if s.raw > 0 {
			n := min(uint64(len(p)), s.raw)
			s.raw -= n
			s.bodyBytes(&s.fromLeft, p[:n])
			if p = p[n:]; s.raw == 0 {
				s.account(&s.fromLeft, body)
			}
			continue
		}
		p = s.next(&s.fromLeft, p, s.clientLine)
	}
}

// program takes what the program sent.
func (s *session) program(p []byte) {
	for len(p) > 0 {
		p = s.next(&s.fromRight, p, s.programLine)
	}
}

func (s *session) clientEnd()  { s.end(&s.fromLeft, s.clientLine) }
func (s *session) programEnd() { s.end(&s.fromRight, s.programLine) }

func (s *session) end(d *side, line func([]byte)) {
	if len(d.partial) > 0 {
		line(d.partial)
		d.partial = d.partial[:0]
	}
	if s.opaque != "" {
		s.account(d, s.opaque)
	} else {
		s.account(d, body)
	}
}

// next hands one line, or a part of a long one, to line, and returns what
// follows it. A part that may become a whole line waits.
func (s *session) next(d *side, p []byte, line func([]byte)) []byte {
	if s.opaque != "" {
		d.hidden += uint64(len(p))
		return nil
	}
	n := bytes.IndexByte(p, '\n') + 1
	whole := n > 0
	if !whole {
		n = len(p)
	}
	n = min(n, lineMax-len(d.partial))
	whole = whole && p[n-1] == '\n'
	if len(d.partial) == 0 && whole {
		line(p[:n])
		d.rest = false
		return p[n:]
	}
	d.partial = append(d.partial, p[:n]...)
	if whole || len(d.partial) == lineMax {
		line(d.partial)
		d.partial, d.rest = d.partial[:0], !whole
	}
	return p[n:]
}

// clientLine handles a line of the client's, or a part of one.
func (s *session) clientLine(p []byte) {
	d := &s.fromLeft
	if d.rest {
		switch {
		case s.state != commands:
			s.bodyBytes(d, p)
		case d.visible:
			s.record(d.direction, p)
		}
		return
	}
	switch {
	case s.auth:
		s.answers++
		s.secret(d, nil, p)
	case s.state != commands:
		s.bodyLine(p)
	default:
		s.command(p)
	}
}

func (s *session) bodyLine(p []byte) {
	d := &s.fromLeft
	switch s.state {
	case asked:
		s.early++
	case refused:
		s.push(other)
	}
	if !isDot(p) {
		s.bodyBytes(d, p)
		return
	}
	if s.state == asked {
		// Its reply is still the one to DATA.
		s.early--
	}
	if s.state != refused {
		s.push(other)
	}
	s.state = commands
	s.account(d, body)
	s.show(d, p)
}

// command handles a line that is a command.
func (s *session) command(p []byte) {
	d := &s.fromLeft
	line := bytes.Trim(p, " \t\r\n\x00")
	verb, arg, _ := bytes.Cut(line, []byte{' '})
	if i := bytes.IndexByte(verb, '\t'); i >= 0 {
		verb, arg = line[:i], line[i+1:]
	}
	arg = bytes.TrimLeft(arg, " \t")
	kind, shown := other, line
	switch upper := string(bytes.ToUpper(verb)); {
	// What stands behind these letters is hidden even where they are no command.
	case strings.HasPrefix(upper, "AUTH"):
		kind, shown = authenticate, mechanism(verb, arg)
		if len(arg) == 0 {
			kind = mechanisms
		}
		s.auth, s.answers, s.challenges = true, 0, 0
	case strings.HasPrefix(upper, "PASS"):
		shown = verb[:len("PASS")]
	case strings.HasPrefix(upper, "APOP"):
		shown = verb[:len("APOP")]
		if name, _, ok := bytes.Cut(arg, []byte{' '}); ok && len(verb) == len("APOP") {
			shown = slices.Concat(verb, []byte{' '}, name)
		}
	case upper == "DATA":
		kind = data
		s.state, s.early = asked, 0
	case upper == "BDAT":
		s.raw, _ = decimal.Prefix(string(arg))
		if !s.chunking {
			// Where these bytes are commands, the line in which they end has
			// lost its beginning.
			s.wary = true
		}
	case upper == "STARTTLS", upper == "STLS":
		kind = startTLS
	case upper == "RETR", upper == "TOP":
		kind = message
	case upper == "CAPA", len(arg) == 0 && (upper == "LIST" || upper == "UIDL"):
		kind = list
	case s.wary && s.secrets && !slices.Contains(knownCommands, upper):
		shown = nil
	}
	s.push(kind)
	if len(shown) == len(line) {
		s.show(d, p)
	} else {
		s.secret(d, shown, p)
	}
}
