package smtpd

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"paperpath/internal/proc"
)

const (
	// inputSize is large enough that a message comes in few system calls, and
	// small enough for a process that serves thousands of idle clients.
	inputSize = 16 << 10
	// maxLine bounds a command line with its end: eight times what RFC 5321
	// section 4.5.3.1.4 demands.
	maxLine = 4 << 10
	// maxWaste bounds what is thrown away of a longer one.
	maxWaste = 1 << 20
)

var (
	errTimeout  = errors.New("timeout")
	errLong     = errors.New("command line too long")
	errVeryLong = errors.New("command line without end")
)

// input is the client's side of the conversation. What it has read ahead
// belongs to whoever comes next: commands and message text are one stream
// (RFC 2920 section 3.1).
type input struct {
	file    proc.File
	timeout time.Duration
	before  func() error // called before every read: the client waits for replies
	buf     [inputSize]byte
	r, w    int // buf[r:w] is unread
}

// fill reads once, by the deadline, behind what is unread.
func (in *input) fill(deadline time.Time) error {
	if err := in.before(); err != nil {
		return err
	}
	if in.r > 0 {
		copy(in.buf[:], in.buf[in.r:in.w])
		in.r, in.w = 0, in.w-in.r
	}
	in.file.SetReadDeadline(deadline)
	n, err := in.file.Read(in.buf[in.w:])
	in.w += n
	switch {
	case n > 0:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errTimeout
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}

// line returns the next command line without its LF or CRLF. The slice is
// good until the next call. The whole line must arrive within the timeout: a
// client that sends a byte a minute does not stay for ever.
//
// Of a line of more than maxLine bytes nothing is returned, and nothing is
// left that could be taken for a command: errLong after its end was found,
// errVeryLong when that did not come.
func (in *input) line() ([]byte, error) {
	deadline := time.Now().Add(in.timeout)
	seen, waste := 0, 0
	for {
		if i := bytes.IndexByte(in.buf[in.r+seen:in.w], '\n'); i >= 0 {
			line := in.buf[in.r : in.r+seen+i]
			in.r += seen + i + 1
			if waste > 0 || len(line) >= maxLine {
				return nil, errLong
			}
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		if seen = in.w - in.r; seen >= maxLine {
			waste += seen
			in.r, in.w, seen = 0, 0, 0
			if waste > maxWaste {
				return nil, errVeryLong
			}
		}
		if err := in.fill(deadline); err != nil {
			return nil, err
		}
	}
}

// chunk returns what is unread, at least one byte, and takes it as read. Each
// new buffer of data has its own timeout (qmail-smtpd(8), timeoutsmtpd), but
// none comes after end.
func (in *input) chunk(end time.Time) ([]byte, error) {
	if in.r == in.w {
		deadline := time.Now().Add(in.timeout)
		if deadline.After(end) {
			deadline = end
		}
		if err := in.fill(deadline); err != nil {
			return nil, err
		}
	}
	p := in.buf[in.r:in.w]
	in.r = in.w
	return p, nil
}

// unread gives back the last n bytes of the last chunk.
func (in *input) unread(n int) { in.r -= n }
