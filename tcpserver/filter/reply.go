package filter

import (
	"bytes"
	"slices"
	"strconv"
)

// answer is what a line of the program's says about a command.
type answer int

const (
	unclear   answer = iota // no reply, or not its last line
	challenge               // 334, or + (RFC 4954 section 4, RFC 5034 section 4)
	goOn                    // 354, and other 3yz
	loggedIn                // 235
	done                    // other 2yz
	ok                      // +OK
	failed                  // 4yz, 5yz, -ERR
)

func parseReply(p []byte) answer {
	switch {
	case bytes.HasPrefix(p, []byte("+OK")):
		return ok
	case bytes.HasPrefix(p, []byte("-ERR")):
		return failed
	case len(p) > 1 && p[0] == '+' && (p[1] == ' ' || p[1] == '\r' || p[1] == '\n'):
		return challenge
	case len(p) < 3 || len(p) > 3 && p[3] == '-' || !isDigit(p[1]) || !isDigit(p[2]):
		return unclear
	}
	switch {
	case string(p[:3]) == "334":
		return challenge
	case string(p[:3]) == "235":
		return loggedIn
	case p[0] == '2':
		return done
	case p[0] == '3':
		return goOn
	case p[0] == '4' || p[0] == '5':
		return failed
	}
	return unclear
}

// offersChunking recognizes the line of the reply to EHLO that says so (RFC 3030).
func offersChunking(p []byte) bool {
	return len(p) > 4 && string(p[:3]) == "250" && bytes.EqualFold(bytes.TrimSpace(p[4:]), []byte("CHUNKING"))
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// programLine handles a line of the program's, or a part of one.
func (s *session) programLine(p []byte) {
	d := &s.fromRight
	switch {
	case s.listing == message && (d.rest || !isDot(p)):
		s.bodyBytes(d, p)
	case d.rest:
		s.record(d.direction, p)
	case s.listing != none:
		if isDot(p) {
			s.listing = none
			s.account(d, body)
		}
		s.record(d.direction, p)
	default:
		s.record(d.direction, p)
		s.chunking = s.chunking || offersChunking(p)
		if a := parseReply(p); a != unclear && len(s.queue) > 0 {
			s.reply(s.queue[0], a)
		}
	}
}

// reply handles the reply to the first command of the queue.
func (s *session) reply(command kind, a answer) {
	switch command {
	case authenticate, mechanisms:
		if a == challenge {
			s.challenges++
			return
		}
		if a != loggedIn && a != ok && a != failed {
			return // to something else, by a program that cannot count
		}
		s.auth = false
		s.wary = a == failed
		if command == mechanisms && a == ok {
			s.listing = list
		}
		s.pop(s.answers - s.challenges) // those were commands
	case data:
		switch {
		case a == goOn:
			if s.state == asked {
				if s.state = accepted; !s.bodies {
					s.account(&s.fromLeft, body) // what was hidden until now
				}
			}
			s.pop(0)
		case a == failed:
			if s.state == asked {
				s.state = commands
				if s.early > 0 {
					s.state = refused
				}
			}
			s.pop(s.early)
		}
	case startTLS:
		if a == done || a == ok {
			s.hide("TLS")
		}
		s.pop(0)
	case list, message:
		if a == ok {
			s.listing = command
		}
		s.pop(0)
	default:
		s.pop(0)
	}
}

func (s *session) push(k kind) {
	if len(s.queue) == queueMax {
		s.hide("hidden")
		return
	}
	s.queue = append(s.queue, k)
}

// pop takes the first command off the queue; in its place come n lines that
// turned out to be commands.
func (s *session) pop(n int) {
	n = max(n, 0)
	if len(s.queue)-1+n > queueMax {
		s.hide("hidden")
		return
	}
	s.queue = slices.Replace(s.queue, 0, 1, slices.Repeat([]kind{other}, n)...)
}

// hide hides everything from now on.
func (s *session) hide(what string) {
	if s.opaque == "" {
		s.opaque = what
	}
}

// show records a line, or the first part of one.
func (s *session) show(d *side, p []byte) {
	d.visible = true
	s.record(d.direction, p)
}

// secret records what may be seen of a line.
func (s *session) secret(d *side, shown, p []byte) {
	if !s.secrets {
		s.show(d, p)
		return
	}
	d.visible = false
	line := bytes.Clone(shown)
	if len(line) > 0 {
		line = append(line, ' ')
	}
	line = append(line, "[hidden]"...)
	if bytes.HasSuffix(p, []byte("\r\n")) {
		line = append(line, '\r')
	}
	// A long line's end does not come here: this is all that is said of it.
	s.record(d.direction, append(line, '\n'))
}

// bodyBytes counts, or records, a part of a message.
func (s *session) bodyBytes(d *side, p []byte) {
	if s.bodies || s.secrets && d == &s.fromLeft && s.doubtful() {
		d.hidden += uint64(len(p))
	} else {
		s.record(d.direction, p)
	}
}

// doubtful reports whether what the client sends as a body may be commands.
func (s *session) doubtful() bool {
	return s.state == asked || s.state == refused || s.state == commands && !s.chunking
}

// account records how much was hidden.
func (s *session) account(d *side, what string) {
	if d.hidden > 0 {
		s.record(d.direction, []byte("["+what+": "+strconv.FormatUint(d.hidden, 10)+" bytes]\n"))
		d.hidden = 0
	}
}

func isDot(p []byte) bool { return string(p) == ".\n" || string(p) == ".\r\n" }

// knownMechanisms are those whose names are not taken for a password.
var knownMechanisms = []string{
	"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256",
	"SCRAM-SHA-256-PLUS", "XOAUTH2", "OAUTHBEARER", "EXTERNAL", "ANONYMOUS", "GSSAPI", "NTLM",
}

// knownCommands are those of SMTP and POP3. Other lines, after an AUTH that failed,
// may be what it would have asked for.
var knownCommands = []string{
	"HELO", "EHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT", "VRFY", "EXPN", "HELP", "ETRN", "STARTTLS",
	"USER", "STAT", "LIST", "RETR", "DELE", "TOP", "UIDL", "CAPA", "STLS", "LAST",
}

// mechanism returns what of an AUTH command may be seen.
func mechanism(verb, arg []byte) []byte {
	const auth = len("AUTH")
	name, _, _ := bytes.Cut(arg, []byte{' '})
	if len(verb) > auth || !slices.Contains(knownMechanisms, string(bytes.ToUpper(name))) {
		return verb[:auth]
	}
	return slices.Concat(verb, []byte{' '}, name)
}
