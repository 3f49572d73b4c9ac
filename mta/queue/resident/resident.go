// Package resident owns what is said between a client of the queue and a
// qmail-queue that stays and takes one message after another. Starting a
// process costs more than the rest of its work.
//
//	qmail-queue --resident      descriptors 0 and 1 are /dev/null,
//	                            3 is a Unix stream socket to the client
//
//	qmail-queue   the greeting, at once
//	client        the message, in pieces    length, bytes, … 0
//	              the envelope, in pieces   length, bytes, … 0
//	qmail-queue   one byte: the exit status that it would have had
//
// A length has four bytes, the highest first, and is at most MaxPiece. Message
// and envelope are those of package queue, the envelope's last NUL included. A
// client that gives up shuts the socket before that NUL. After status 0 the
// next message may come; after any other qmail-queue ends.
//
// A qmail-queue that knows nothing of all this, the C one for example, ignores
// its arguments, reads an empty message and no envelope, and ends without
// having queued or said anything.
package resident

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"time"
)

const (
	// Greeting tells a client that it talks to the right program.
	Greeting = "qmail-queue resident 1\n"

	// Descriptor is the number of the socket.
	Descriptor = 3

	// MaxPiece bounds the length of a piece.
	MaxPiece = 64 << 10

	// Idle is how long qmail-queue waits for the next message. The client
	// should be the first to lose patience, so that it never begins a message
	// that nobody takes.
	Idle = time.Minute

	argument = "--resident"
	header   = 4 // bytes of a length
	// bufferSize makes one system call of an average message.
	bufferSize = 16 << 10
)

// Argv returns the command line of a qmail-queue that is to stay.
func Argv(program string) []string { return []string{program, argument} }

// Asked reports whether args are such a command line.
func Asked(args []string) bool { return slices.Equal(args[1:], []string{argument}) }

// Writer is the client's side: what is written until End is the message, and
// until the next End the envelope. It keeps back what it can until Flush.
type Writer struct {
	w     io.Writer
	buf   []byte
	piece int // where the length of the unfinished piece stands in buf; -1: there is none
	sent  bool
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: w, buf: make([]byte, 0, bufferSize), piece: -1}
}

func (w *Writer) room() int { return cap(w.buf) - len(w.buf) }

// Write adds bytes.
func (w *Writer) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		if w.room() <= header {
			if err := w.Flush(); err != nil {
				return written, err
			}
		}
		if w.piece < 0 {
			w.piece = len(w.buf)
			w.buf = append(w.buf, make([]byte, header)...)
		}
		n := min(len(p), w.room())
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
		written += n
	}
	return written, nil
}

// End ends the message, or the envelope.
func (w *Writer) End() error {
	w.finish()
	if w.room() < header {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	w.buf = append(w.buf, make([]byte, header)...)
	return nil
}

// Flush sends what was kept back.
func (w *Writer) Flush() error {
	w.finish()
	w.sent = true
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// Sent reports whether anything has left since Reset.
func (w *Writer) Sent() bool { return w.sent }

// Reset makes w ready for the next message and forgets what it kept back.
func (w *Writer) Reset() { w.buf, w.piece, w.sent = w.buf[:0], -1, false }

// finish writes the length of the unfinished piece.
func (w *Writer) finish() {
	if w.piece >= 0 {
		binary.BigEndian.PutUint32(w.buf[w.piece:], uint32(len(w.buf)-w.piece-header))
		w.piece = -1
	}
}

// ErrPiece means that a piece is longer than MaxPiece.
var ErrPiece = errors.New("piece too long")

// Reader reads one message, or one envelope, to its end. The connection's end
// before that is io.ErrUnexpectedEOF.
type Reader struct {
	r     *bufio.Reader
	left  int // of the current piece
	ended bool
}

// NewReader returns a Reader for what comes next from r.
func NewReader(r *bufio.Reader) *Reader { return &Reader{r: r} }

func (r *Reader) Read(p []byte) (int, error) {
	if r.left == 0 && !r.ended {
		if err := r.next(); err != nil {
			return 0, unexpected(err)
		}
	}
	if r.ended {
		return 0, io.EOF
	}
	n, err := r.r.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, unexpected(err)
}

// next reads the length of the next piece.
func (r *Reader) next() error {
	var b [header]byte
	if _, err := io.ReadFull(r.r, b[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(b[:])
	if n > MaxPiece {
		return ErrPiece
	}
	r.left, r.ended = int(n), n == 0
	return nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
