// Package line reads lines of bounded length, so that no peer decides how much
// memory is used.
package line

import (
	"bufio"
	"errors"
	"io"
)

// ErrTooLong means that a line exceeded the reader's limit. The reader is then
// somewhere in that line, or just behind it.
var ErrTooLong = errors.New("line too long")

// Read reads up to and including the byte end (a line feed, a NUL). At the end
// of the input it returns what there is without end and io.EOF; that may be
// nothing. A line of more than limit bytes, end included, is ErrTooLong. The
// slice is the caller's.
func Read(r *bufio.Reader, end byte, limit int) ([]byte, error) {
	var whole []byte
	for {
		part, err := r.ReadSlice(end)
		if len(whole)+len(part) > limit {
			return nil, ErrTooLong
		}
		whole = append(whole, part...)
		if err == nil || err != bufio.ErrBufferFull {
			if err != nil && err != io.EOF {
				return nil, err
			}
			return whole, err
		}
	}
}
