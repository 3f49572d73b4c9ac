package remote

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// errPartialLine means that the message does not end with a line feed.
var errPartialLine = errors.New("partial final line")

// readError is a failure of the message, not of the connection.
type readError struct{ error }

// encode writes a message as DATA carries it (RFC 5321 section 4.5.2), without
// the dot that ends it:
//
//	LF, CR LF, a CR alone    CR LF
//	. that begins a line     ..
//
// Every CR and LF on the wire is half of a CR LF, and no line behind one,
// however it came about, is a dot: whatever the other side takes for an end of
// line, it finds one message. (blast in qmail-remote.c turns CR into CR LF
// too, but stuffs no dot behind it, and passes the second of two CRs on.)
func encode(w *bufio.Writer, message io.Reader) error {
	start := true // at the beginning of a line
	cr := false   // behind a CR that is not written yet
	endLine := func() error {
		start, cr = true, false
		_, err := w.WriteString("\r\n")
		return err
	}
	buf := make([]byte, 32<<10)
	for {
		n, readErr := message.Read(buf)
		for p := buf[:n]; len(p) > 0; {
			if cr {
				if p[0] == '\n' {
					p = p[1:]
				}
				if err := endLine(); err != nil {
					return err
				}
				continue
			}
			if start && p[0] == '.' {
				if err := w.WriteByte('.'); err != nil {
					return err
				}
			}
			text := p
			if i := bytes.IndexByte(text, '\n'); i >= 0 {
				text = text[:i]
			}
			if i := bytes.IndexByte(text, '\r'); i >= 0 {
				text = text[:i]
			}
			if _, err := w.Write(text); err != nil {
				return err
			}
			start = start && len(text) == 0
			if p = p[len(text):]; len(p) == 0 {
				break
			}
			if p[0] == '\r' {
				cr = true
			} else if err := endLine(); err != nil {
				return err
			}
			p = p[1:]
		}
		if readErr == io.EOF {
			break
		}
		if readErr != nil {
			return readError{readErr}
		}
	}
	if cr {
		return endLine()
	}
	if !start {
		return errPartialLine
	}
	return nil
}
