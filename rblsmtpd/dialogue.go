package rblsmtpd

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"syscall"
	"time"

	"paperpath/internal/proc"
)

// sayNo is a whole SMTP session (rblsmtpd.c): everything that leads up to a
// recipient is fine, everything else gets the reply. The log has its line
// already, and how the client ends is his affair: QUIT, hanging up and running
// out of time all end the program well. Talking to a client that is gone ends
// the original by SIGPIPE.
func sayNo(in, out proc.File, spoken, reply string, timeout time.Duration) error {
	err := converse(in, out, spoken, reply, timeout)
	if errors.Is(err, syscall.EPIPE) {
		return proc.BrokenPipe
	}
	return nil
}

func converse(in, out proc.File, spoken, reply string, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	if timeout == 0 {
		_, err := io.WriteString(out, reply+"\r\n")
		return err
	}
	in.SetReadDeadline(deadline)
	out.SetWriteDeadline(deadline)
	if _, err := io.WriteString(out, "220 rblsmtpd.local\r\n"); err != nil {
		return err
	}
	c := commands{}
	var answers []byte
	piece := []byte(spoken)
	var b [bufferSize]byte
	for {
		// All that came together is answered together.
		answers = answers[:0]
		for _, ch := range piece {
			verb, ok := c.add(ch)
			if !ok {
				continue
			}
			switch verb {
			case "quit":
				_, err := out.Write(append(answers, "221 rblsmtpd.local\r\n"...))
				return err
			case "helo", "ehlo", "mail", "rset", "noop":
				answers = append(answers, "250 rblsmtpd.local\r\n"...)
			default:
				answers = append(append(answers, reply...), "\r\n"...)
			}
		}
		if len(answers) > 0 {
			if _, err := out.Write(answers); err != nil {
				return err
			}
		}
		n, err := in.Read(b[:])
		if err != nil {
			return err
		}
		piece = b[:n]
	}
}

// bufferSize bounds the bytes that are answered together: in the worst case all
// of them are line feeds.
const bufferSize = 128

// maxLine is how much of a line is kept: enough to tell a verb, which is four
// letters, from anything longer, whatever is between it and the end of the line.
const maxLine = 8

// commands cuts lines out of what the client says (commands.c).
type commands struct {
	line [maxLine]byte
	n    int // bytes of it in use
}

// add takes a byte. At the end of a line it returns the verb in lower case.
func (c *commands) add(ch byte) (verb string, ok bool) {
	if ch != '\n' {
		if c.n < maxLine {
			c.line[c.n] = ch
			c.n++
		}
		return "", false
	}
	line := bytes.TrimSuffix(c.line[:c.n], []byte("\r"))
	c.n = 0
	word, _, _ := bytes.Cut(line, []byte(" "))
	return strings.ToLower(string(word)), true
}
