// Package netstring owns netstrings, "5:hello,": a decimal length, a colon,
// the bytes, a comma (https://cr.yp.to/proto/netstrings.txt). One may hold
// others.
package netstring

import (
	"bufio"
	"errors"
	"io"
	"math"
	"strconv"
)

var (
	// ErrBad means that what was read is not a netstring.
	ErrBad = errors.New("bad netstring")
	// ErrTooLong means that a netstring claims more bytes than are allowed.
	ErrTooLong = errors.New("netstring too long")
)

// Append appends s as a netstring.
func Append[T string | []byte](dst []byte, s T) []byte {
	dst = strconv.AppendInt(dst, int64(len(s)), 10)
	dst = append(dst, ':')
	dst = append(dst, s...)
	return append(dst, ',')
}

// Reader takes netstrings apart while they come. Its errors are ErrBad,
// ErrTooLong, and those of the underlying reader, io.ErrUnexpectedEOF where the
// input ends within a netstring.
type Reader struct {
	r    *bufio.Reader
	left int64 // bytes until the end of the netstring that was entered
}

// NewReader returns a Reader that stands between netstrings.
func NewReader(r *bufio.Reader) *Reader { return &Reader{r, math.MaxInt64} }

// maxDigits bounds a length, which C accepts with zeros in front.
const maxDigits = 20

// Len reads the length and the colon of a netstring of at most limit bytes. No
// digit at all counts as 0, as in C (getlen in qmail-qmtpd.c).
func (r *Reader) Len(limit int64) (n int64, err error) {
	for digits := 0; ; digits++ {
		c, err := r.Byte()
		if err == io.EOF && digits > 0 {
			err = io.ErrUnexpectedEOF
		}
		switch {
		case err != nil:
			return 0, err
		case c == ':':
			return n, nil
		case c < '0' || c > '9':
			return 0, ErrBad
		case digits == maxDigits:
			return 0, ErrTooLong
		}
		if n = n*10 + int64(c-'0'); n > limit {
			return 0, ErrTooLong
		}
	}
}

// Enter makes the next n bytes all that there is, until Leave.
func (r *Reader) Enter(n int64) { r.left = n }

// Left returns how many bytes of what was entered are unread.
func (r *Reader) Left() int64 { return r.left }

// Leave reads the comma behind what was entered, which must be used up.
func (r *Reader) Leave() error {
	if r.left != 0 {
		return ErrBad
	}
	r.left = math.MaxInt64
	return r.Comma()
}

// Byte reads one byte; behind the end of what was entered that is ErrBad.
func (r *Reader) Byte() (byte, error) {
	if r.left == 0 {
		return 0, ErrBad
	}
	r.left--
	return r.r.ReadByte()
}

// Comma reads the comma that ends a netstring.
func (r *Reader) Comma() error {
	c, err := r.Byte()
	switch {
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case c != ',':
		return ErrBad
	}
	return nil
}

// Copy hands the next n bytes, a netstring's contents, to w in pieces, and reads
// the comma. w's errors do not stop it: the sender goes on sending.
func (r *Reader) Copy(w io.Writer, n int64) error {
	if n >= r.left {
		return ErrBad
	}
	r.left -= n
	for n > 0 {
		part, err := r.r.Peek(int(min(n, int64(r.r.Size()), max(1, int64(r.r.Buffered())))))
		if len(part) == 0 {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		w.Write(part)
		r.r.Discard(len(part))
		n -= int64(len(part))
	}
	return r.Comma()
}

// Bytes reads a netstring of at most limit bytes. A longer one is read over and
// comes back as ok false.
func (r *Reader) Bytes(limit int) (s []byte, ok bool, err error) {
	n, err := r.Len(math.MaxInt64 / 10)
	if err != nil {
		return nil, false, err
	}
	if n > int64(limit) {
		return nil, false, r.Copy(io.Discard, n)
	}
	s = make([]byte, 0, n)
	err = r.Copy((*appender)(&s), n)
	return s, true, err
}

type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}
