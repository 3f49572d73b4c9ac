package remote

import (
	"bufio"
	"errors"
)

const (
	maxText  = 5000    // of a reply that is kept for the report, HUGESMTPTEXT
	maxReply = 1 << 20 // that is read at all
)

var errReplyTooLong = errors.New("reply too long")

// readReply reads one reply (RFC 5321 section 4.2):
//
//	250-text CR LF 250-text CR LF 250 text CR LF
//
// as smtpcode in qmail-remote.c does: the code is the first line's, lines end
// in LF, CR is passed over wherever it is, and text, which begins with the
// code, is all the rest up to maxText. A code that is not made of digits is 0.
func readReply(r *bufio.Reader) (code int, text []byte, err error) {
	read := 0
	next := func() byte {
		if err != nil {
			return '\n' // ends every loop below
		}
		if read++; read > maxReply {
			err = errReplyTooLong
			return '\n'
		}
		var c byte
		if c, err = r.ReadByte(); err != nil {
			return '\n'
		}
		if c != '\r' && len(text) < maxText {
			text = append(text, c)
		}
		return c
	}
	digits := true
	for range 3 {
		c := next()
		digits = digits && '0' <= c && c <= '9'
		code = code*10 + int(c) - '0'
	}
	if !digits {
		code = 0
	}
	c := next()
	for c == '-' && err == nil {
		for c != '\n' {
			c = next()
		}
		next()
		next()
		next()
		c = next()
	}
	for c != '\n' {
		c = next()
	}
	return code, text, err
}

// Classes of a code. C takes everything below 400 for success and 600 to 999
// for a permanent failure; a code outside RFC 5321 is nobody's decision, and
// neither of the first two.
func accepted(code int) bool     { return code >= 200 && code <= 299 }
func refused(code int) bool      { return code >= 500 && code <= 599 }
func intermediate(code int) bool { return code >= 300 && code <= 399 }
