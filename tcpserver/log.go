package tcpserver

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"paperpath/tcpserver/ucspi"
)

// logStatus logs how many connections there are. The caller of this and of the
// other functions here holds mu.
func (s *server) logStatus() {
	if s.verbosity >= 2 {
		s.env.Say("status: " + s.statusLine())
	}
}

func (s *server) statusLine() string {
	return strconv.FormatUint(s.count, 10) + "/" + strconv.FormatUint(s.limit, 10)
}

func (s *server) logFrom(c *connection) {
	if s.verbosity >= 2 {
		s.env.Say("pid " + strconv.Itoa(c.number) + " from " + c.Remote.IP())
	}
}

// announce logs that the connection is served, under the number of its first
// program.
func (c *connection) announce(number int) {
	if c.number != 0 {
		return
	}
	c.number = number
	c.server.counted.served++
	c.server.logFrom(c)
	c.server.logVerdict(c)
}

func (s *server) logVerdict(c *connection) {
	word := "ok"
	if c.verdict != allowed {
		word = "deny"
	}
	switch c.verdict {
	case denied:
		s.counted.denied++
	case refused:
		s.counted.refused[c.over]++
	}
	if s.verbosity >= 2 {
		s.env.Say(word + " " + strconv.Itoa(c.number) +
			" " + logged(c.Local.Host) + ":" + loggedIP(&c.Local) + ":" + c.Local.Port() +
			" " + logged(c.Remote.Host) + ":" + loggedIP(&c.Remote) + ":" + logged(c.Info) + ":" + c.Remote.Port())
	}
	if s.summary {
		c.serving.summary = c.summaryLine(word)
	}
}

// summaryLine is the line for -L, but for its end:
//
//	connection 4711 ok ip=10.1.2.3 port=32001 local=10.0.0.1:25 host=h.example info=joe rule=10. status=0 seconds=1.234
func (c *connection) summaryLine(word string) string {
	line := "connection " + strconv.Itoa(c.number) + " " + word +
		" ip=" + c.Remote.IP() + " port=" + c.Remote.Port() + " local=" + loggedIP(&c.Local) + ":" + c.Local.Port()
	if c.Remote.HasHost {
		line += " host=" + logged(c.Remote.Host)
	}
	if c.HasInfo {
		line += " info=" + logged(c.Info)
	}
	switch {
	case c.rule == nil:
		line += " rule=none"
	case c.rule.Address == "":
		line += " rule=default"
	default:
		line += " rule=" + loggedAddress(c.rule.Address)
	}
	if c.over != "" {
		line += " limit=" + c.over
	}
	return line
}

// drop says why a connection is closed.
func (s *server) drop(c *connection, err error) {
	s.counted.dropped++
	if s.summary && c.serving.summary == "" {
		c.serving.summary = c.summaryLine("drop")
	}
	s.env.Warn(errors.New("dropping connection, " + err.Error()))
}

// logEnd logs the end of a connection.
func (s *server) logEnd(c *serving, status int) {
	if s.verbosity >= 2 {
		s.env.Say("end " + strconv.Itoa(c.number) + " status " + strconv.Itoa(status))
	}
	s.logSummary(c, status)
}

// logSummary is the line of -L.
func (s *server) logSummary(c *serving, status int) {
	if s.summary {
		took := time.Since(c.began).Seconds()
		s.env.Say(c.summary + " status=" + strconv.Itoa(status) + " seconds=" + strconv.FormatFloat(took, 'f', 3, 64))
	}
}

// loggedMax bounds what a stranger's name server or ident server puts into a
// log line.
const loggedMax = 100

// logged makes text from outside safe for the log: one word, without the colon
// that separates fields, without what a terminal or printf(3) would act on.
func logged(s string) string { return strings.ReplaceAll(loggedAddress(s), ":", "?") }

// loggedAddress is logged for what may have colons: it stands alone.
func loggedAddress(s string) string {
	b := []byte(s[:min(len(s), loggedMax)])
	for i, ch := range b {
		if ch < 33 || ch > 126 || ch == '%' {
			b[i] = '?'
		}
	}
	if len(s) >= loggedMax {
		return string(b) + "..."
	}
	return string(b)
}

// loggedIP puts an IPv6 address into brackets: its colons are not those
// between the fields.
func loggedIP(e *ucspi.End) string {
	ip := e.IP()
	if strings.IndexByte(ip, ':') >= 0 {
		return "[" + ip + "]"
	}
	return ip
}
