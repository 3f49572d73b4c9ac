package rblsmtpd

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// silence is how a client kept it.
type silence int

const (
	kept silence = iota
	early
	gone
)

const earlyText = "you spoke before the greeting"

// listen waits until a time and finds out whether the client speaks before
// that: SMTP clients wait for the greeting (RFC 5321 section 4.3.1), and those
// that cannot wait seldom have mail that anybody wants. What it said is
// returned; the next program must not miss any of what comes later.
func listen(in proc.File, until time.Time) (silence, string, error) {
	// What came in the meantime must be found even if the time is over.
	if soon := time.Now().Add(10 * time.Millisecond); until.Before(soon) {
		until = soon
	}
	in.SetReadDeadline(until)
	defer in.SetReadDeadline(time.Time{})
	var b [maxLine]byte
	n, err := in.Read(b[:])
	switch {
	case n > 0:
		return early, string(b[:n]), nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return kept, "", nil
	case err == io.EOF, errors.Is(err, syscall.ECONNRESET):
		return gone, "", nil
	}
	return gone, "", strerr.Unable("read", "client", err)
}
