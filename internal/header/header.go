// Package header reads the top of a mail message as qmail-inject sees it
// (headerbody.c, hfield.c):
//
//	Name: contents\n
//	 continued\n            a line that begins with a space or a tab
//	From sender date\n      becomes MBOX-Line: From sender date
//	\n                      ends the header
//	body
//
// The first line that is none of these ends the header too; it belongs to the
// body, and an empty line is put before it. A last line without line feed gets
// one. Carriage returns and NULs are bytes like others.
package header

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// ErrTooLong means that the header is longer than the reader's limit.
var ErrTooLong = errors.New("message header too long")

// Reader splits a message.
type Reader struct {
	r     *bufio.Reader
	left  int    // bytes that the header may still have
	next  []byte // the line after the current field; empty at the end of the input
	begun bool
	ended bool // next begins the body
	eof   bool // next is the last line: a terminal is not asked again
}

// NewReader returns a Reader of the message in. No more than limit bytes of
// header are taken into memory.
func NewReader(in io.Reader, limit int) *Reader {
	return &Reader{r: bufio.NewReaderSize(in, 64<<10), left: limit}
}

var mboxFrom = []byte("From ")

// Next returns the next field with its line ends; io.EOF after the last one.
// The field is the caller's.
func (h *Reader) Next() ([]byte, error) {
	if h.ended {
		return nil, io.EOF
	}
	if !h.begun {
		h.begun = true
		if err := h.line(); err != nil {
			return nil, err
		}
	}
	var field []byte
	switch {
	case bytes.HasPrefix(h.next, mboxFrom):
		field = append([]byte("MBOX-Line: "), h.next...)
	case Valid(h.next):
		field = h.next
	default: // the empty line, the body's first, or the end
		h.ended = true
		return nil, io.EOF
	}
	for {
		if err := h.line(); err != nil {
			return nil, err
		}
		if len(h.next) == 0 || h.next[0] != ' ' && h.next[0] != '\t' {
			return field, nil
		}
		field = append(field, h.next...)
	}
}

// line reads one line of the header into next.
func (h *Reader) line() error {
	h.next = nil
	for !h.eof {
		part, err := h.r.ReadSlice('\n')
		if len(part) > h.left {
			return ErrTooLong
		}
		h.left -= len(part)
		h.next = append(h.next, part...)
		switch err {
		case nil:
			return nil
		case bufio.ErrBufferFull:
		case io.EOF:
			h.eof = true
			if len(h.next) > 0 {
				h.next = append(h.next, '\n')
			}
		default:
			return err
		}
	}
	return nil
}

// WriteBody writes what follows the header, after Next has returned io.EOF:
// the empty line and the body, or nothing if the message ended with its
// header.
func (h *Reader) WriteBody(w io.Writer) error {
	if len(h.next) == 0 {
		return nil
	}
	t := &tail{w: w}
	if len(h.next) > 1 {
		if _, err := t.Write([]byte{'\n'}); err != nil {
			return err
		}
	}
	if _, err := t.Write(h.next); err != nil || h.eof {
		return err
	}
	_, err := h.r.WriteTo(t)
	if err == nil && t.last != '\n' {
		_, err = t.Write([]byte{'\n'})
	}
	return err
}

// tail remembers the last byte written.
type tail struct {
	w    io.Writer
	last byte
}

func (t *tail) Write(b []byte) (int, error) {
	if len(b) > 0 {
		t.last = b[len(b)-1]
	}
	return t.w.Write(b)
}
