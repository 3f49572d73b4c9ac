package smtpd

import (
	"bytes"
	"errors"
)

// unstuffer turns the text that follows DATA into lines that end in LF: CR LF
// becomes LF, a dot at the start of a line is removed, and CR LF . CR LF ends
// the text (RFC 5321 section 4.5.2). Its states, and what of the input is held
// back in each (blast in qmail-smtpd.c):
//
//	atStart   behind CR LF                nothing
//	atDot     behind CR LF .              the dot
//	atDotCR   behind CR LF . CR           the dot and the CR
//	inside    in a line                   nothing
//	insideCR  in a line, behind a CR      the CR
//
// LF ends a line behind CR and nowhere else: any other LF is an error, because
// systems that take LF . LF for an end could be made to see a second message
// inside this one. CR without LF is an ordinary byte.
type unstuffer struct{ state textState }

type textState byte

const (
	atStart textState = iota
	atDot
	atDotCR
	inside
	insideCR
)

var errStrayNewline = errors.New("LF without CR")

// unstuff appends to dst what src means. n bytes of src were used; fewer than
// all only when end is true: they were the last of the text.
func (u *unstuffer) unstuff(dst, src []byte) (out []byte, n int, end bool, err error) {
	for n < len(src) {
		c := src[n]
		switch u.state {
		case atStart:
			u.state = inside
			if c == '.' {
				u.state = atDot
				n++
			}
		case atDot:
			switch c {
			case '\r':
				u.state = atDotCR
				n++
			case '\n':
				return dst, n, false, errStrayNewline
			default:
				u.state = inside
			}
		case atDotCR:
			if c == '\n' {
				u.state = atStart
				return dst, n + 1, true, nil
			}
			dst = append(dst, '.')
			u.state = insideCR
		case insideCR:
			switch c {
			case '\n':
				dst = append(dst, '\n')
				u.state = atStart
				n++
			case '\r':
				dst = append(dst, '\r')
				n++
			default:
				dst = append(dst, '\r')
				u.state = inside
			}
		case inside:
			rest := src[n:]
			i := bytes.IndexByte(rest, '\n')
			switch {
			case i > 0 && rest[i-1] == '\r':
				dst = append(dst, rest[:i-1]...)
				dst = append(dst, '\n')
				u.state = atStart
				n += i + 1
			case i >= 0:
				return dst, n, false, errStrayNewline
			case rest[len(rest)-1] == '\r':
				dst = append(dst, rest[:len(rest)-1]...)
				u.state = insideCR
				n = len(src)
			default:
				dst = append(dst, rest...)
				n = len(src)
			}
		}
	}
	return dst, n, false, nil
}
