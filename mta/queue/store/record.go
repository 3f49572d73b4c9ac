package store

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"paperpath/internal/decimal"
	"paperpath/internal/fsys"
	"paperpath/internal/line"
	"paperpath/mta/layout"
)

// Letters that records begin with.
const (
	LetterUID       = 'u'
	LetterPID       = 'p'
	LetterSender    = 'F'
	LetterRecipient = 'T'
	LetterDone      = 'D'
)

// maxRecord bounds one record. qmail-queue takes addresses of 1003 bytes, and
// qmail-send puts the right side of a virtualdomains line before them.
const maxRecord = 64 << 10

// ErrCorrupt means that a queue file was read and is not what its name says.
// Reading it again will not help.
var ErrCorrupt = errors.New("not a queue file")

// Record is one record and where in the file it begins.
type Record struct {
	Letter byte
	Text   string
	Pos    int64
}

// Records reads the records of a queue file.
type Records struct {
	r   *bufio.Reader
	pos int64
}

// NewRecords reads from the beginning of r.
func NewRecords(r io.Reader) *Records { return &Records{r: bufio.NewReaderSize(r, 1024)} }

// Next returns the next record; io.EOF after the last one, ErrCorrupt for a
// record that is empty, too long or without its NUL.
func (s *Records) Next() (Record, error) {
	b, err := line.Read(s.r, 0, maxRecord)
	switch {
	case errors.Is(err, line.ErrTooLong), err == io.EOF && len(b) > 0, err == nil && len(b) < 2:
		return Record{}, ErrCorrupt
	case err != nil:
		return Record{}, err
	}
	rec := Record{Letter: b[0], Text: string(b[1 : len(b)-1]), Pos: s.pos}
	s.pos += int64(len(b))
	return rec, nil
}

// Envelope is what todo/N says before its recipients.
type Envelope struct {
	UID, PID uint64 // of whoever queued the message, and of qmail-queue
	Sender   string
}

// ReadEnvelope reads a todo file: sender is called once, with what stands
// before the recipients, then recipient for each of them. Their errors are
// returned as they are. The file is corrupt if it has not exactly one sender,
// in front of all recipients, or has a record that nobody knows.
func ReadEnvelope(r io.Reader, sender func(Envelope) error, recipient func(string) error) error {
	var env Envelope
	seen := false
	for records := NewRecords(r); ; {
		rec, err := records.Next()
		if err == io.EOF && seen {
			return nil
		}
		if err == io.EOF {
			return ErrCorrupt
		}
		if err != nil {
			return err
		}
		switch {
		case rec.Letter == LetterUID:
			env.UID, _ = decimal.Prefix(rec.Text)
		case rec.Letter == LetterPID:
			env.PID, _ = decimal.Prefix(rec.Text)
		case rec.Letter == LetterSender && !seen:
			seen = true
			env.Sender = rec.Text
			err = sender(env)
		case rec.Letter == LetterRecipient && seen:
			err = recipient(rec.Text)
		default:
			return ErrCorrupt
		}
		if err != nil {
			return err
		}
	}
}

// ReadInfo returns a message's sender and its birth.
func ReadInfo(fs fsys.FS, id ID) (sender string, birth time.Time, err error) {
	f, err := fs.Open(id.Info(), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", time.Time{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", time.Time{}, err
	}
	rec, err := NewRecords(f).Next()
	if err == io.EOF || err == nil && rec.Letter != LetterSender {
		err = ErrCorrupt
	}
	return rec.Text, st.Mtime, err
}

// MarkDone marks the recipient at pos in a local or remote file as done. That
// is one byte in place, which no crash can tear, and it is not synced: losing
// it means a second delivery, not a lost one.
func MarkDone(fs fsys.FS, name string, pos int64) error {
	f, err := fs.Open(name, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte{LetterDone}, pos)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// Subdirs returns the names of the subdirectories of mess, info, local or
// remote.
func Subdirs(dir string) []string {
	names := make([]string, layout.Split)
	for i := range names {
		names[i] = dir + "/" + strconv.Itoa(i)
	}
	return names
}

// List returns the messages that have a file in dir ("todo", "info/7"), in no
// order. Other names are not ours and are passed over.
func List(fs fsys.FS, dir string) ([]ID, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	ids := make([]ID, 0, len(names))
	for _, name := range names {
		if id, ok := ParseID(name); ok {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
