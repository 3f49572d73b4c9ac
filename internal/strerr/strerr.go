// Package strerr says what went wrong in the words that qmail, daemontools and
// ucspi-tcp use: "unable to open control/me: file does not exist". Log readers
// match these words (error_str.c, strerr(3)).
package strerr

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
)

// Error is "unable to VERB OBJECT: cause".
type Error struct {
	Verb   string
	Object string // "" for none; shown through Clean
	Err    error
}

// Unable returns an *Error.
func Unable(verb, object string, err error) error {
	return &Error{verb, object, err}
}

// Named is Unable for an object that somebody named and that may be the empty
// name: it has its place in the line all the same, as in C.
func Named(verb, object string, err error) error {
	if object == "" {
		verb += " "
	}
	return Unable(verb, object, err)
}

func (e *Error) Error() string {
	s := "unable to " + e.Verb
	if e.Object != "" {
		s += " " + Clean(e.Object)
	}
	if e.Err != nil {
		s += ": " + Text(e.Err)
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Text returns djb's words for an errno anywhere in err's chain, and err's own
// text for errors that are not the system's.
func Text(err error) string {
	var own *Error
	if errors.As(err, &own) {
		return err.Error() // already in our words, with what it wraps
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		if s, ok := words[errno]; ok {
			return s
		}
		return errno.Error()
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "timed out"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "unexpected end of file"
	}
	return err.Error()
}

// Temporary reports whether the same call may succeed later (error_temp.c).
// What is not an errno counts as temporary: refusing for ever needs a reason.
func Temporary(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return true
	}
	switch errno {
	case syscall.EINTR, syscall.ENOMEM, syscall.ETXTBSY, syscall.EIO, syscall.ETIMEDOUT,
		syscall.EWOULDBLOCK, syscall.EDEADLK, syscall.EBUSY, syscall.ENFILE, syscall.EMFILE,
		syscall.EFBIG, syscall.ENOSPC, syscall.ENETDOWN, syscall.ENETUNREACH, syscall.ENETRESET,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.ENOBUFS, syscall.ETOOMANYREFS,
		syscall.ECONNREFUSED, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.EUSERS,
		syscall.EDQUOT, syscall.ESTALE, syscall.ENOLCK:
		return true
	}
	return false
}

// Clean replaces bytes that could drive a terminal or forge a log line by
// question marks: control bytes and DEL. Bytes above 127 stay; they may be
// UTF-8.
func Clean(s string) string {
	if strings.IndexFunc(s, control) < 0 {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		if c < 32 || c == 127 {
			b[i] = '?'
		}
	}
	return string(b)
}

func control(r rune) bool { return r < 32 || r == 127 }
