// Package netstring owns netstrings, "5:hello,": a decimal length, a colon,
// the bytes, a comma (https://cr.yp.to/proto/netstrings.txt).
package netstring

import (
	"bufio"
	"errors"
	"io"
	"strconv"
)

// ErrBad means that what was read is not a netstring.
var ErrBad = errors.New("bad netstring")

// ErrTooLong means that a netstring claims more bytes than the reader allows.
var ErrTooLong = errors.New("netstring too long")

// Append appends s as a netstring.
func Append[T string | []byte](dst []byte, s T) []byte {
	dst = strconv.AppendInt(dst, int64(len(s)), 10)
	dst = append(dst, ':')
	dst = append(dst, s...)
	return append(dst, ',')
}

// ReadLen reads the length and the colon. Lengths over limit are ErrTooLong;
// signs, an empty length and leading zeros are ErrBad.
func ReadLen(r *bufio.Reader, limit int64) (int64, error) {
	var n int64
	for digits := 0; ; digits++ {
		c, err := r.ReadByte()
		if err != nil {
			if err == io.EOF && digits > 0 {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		switch {
		case c == ':' && digits > 0:
			return n, nil
		case c < '0' || c > '9' || digits == 1 && n == 0:
			return 0, ErrBad
		}
		if n = n*10 + int64(c-'0'); n > limit {
			return 0, ErrTooLong
		}
	}
}

// Read reads one netstring of at most limit bytes.
func Read(r *bufio.Reader, limit int64) ([]byte, error) {
	n, err := ReadLen(r, limit)
	if err != nil {
		return nil, err
	}
	b := make([]byte, n+1)
	if _, err := io.ReadFull(r, b); err == io.EOF {
		return nil, io.ErrUnexpectedEOF
	} else if err != nil {
		return nil, err
	}
	if b[n] != ',' {
		return nil, ErrBad
	}
	return b[:n], nil
}
