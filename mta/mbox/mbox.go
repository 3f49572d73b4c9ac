// Package mbox owns the mbox format (mbox(5)), in the dialect mboxrd: many
// messages in one file, under one lock.
//
//	From SENDER Sat Jan 03 01:05:34 1996
//	Return-Path: <SENDER>
//	Delivered-To: RECIPIENT
//	…the message; a line /^>*From / gets one more > in front…
//	(a blank line)
//
// A message is appended under flock(2) and is there when it has been synced.
// What was written of one that fails is cut off again. What a crash left of
// one, if it does not end a line, is ended before the next From line: torn
// messages may stay, but are never joined to another.
package mbox

import (
	"bufio"
	"errors"
	"io"
	"iter"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
)

// lockTimeout is how long Append waits for the lock.
const lockTimeout = 30 * time.Second

const blockSize = 64 << 10

// ErrLocked means that somebody else held the lock all the time.
var ErrLocked = errors.New("file has been locked for 30 seconds straight")

// Error says at which step an append failed.
type Error struct {
	Step Step
	Err  error
}

// Step is a part of appending.
type Step int

// The steps.
const (
	Open  Step = iota // open or create a regular file
	Lock              // lock it
	Read              // read the message
	Write             // append, including what it takes to make that durable
)

func (e *Error) Error() string {
	return [...]string{"open", "lock", "read", "write"}[e.Step] + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Message is one to append: Head (the From line and the fields that a delivery
// adds) as it is, then Body, quoted, then the blank line.
type Message struct {
	Head []byte
	Body io.Reader
}

// FromLine returns the line that begins a message: From SENDER DATE. Spaces
// and control bytes in the sender, which may come from anybody, do not end it.
func FromLine(sender string, at time.Time) string {
	if sender == "" {
		sender = "MAILER-DAEMON"
	}
	b := []byte("From " + sender)
	for i := len("From "); i < len(b); i++ {
		if b[i] <= ' ' || b[i] == 0x7f {
			b[i] = '-'
		}
	}
	return string(at.UTC().AppendFormat(b, " Mon Jan 02 15:04:05 2006\n"))
}

// Append appends a message to the mbox file name. When it returns nil the
// message is durable. After an error, which is ErrLocked or an *Error, the file
// is what it was.
func Append(fs fsys.FS, name string, head []byte, body io.Reader) error {
	return AppendAll(fs, name, func(yield func(Message, error) bool) { yield(Message{head, body}, nil) })
}

// AppendAll is Append for many messages, under one lock and with one sync: all
// of them or none. An error that messages yields counts as one of reading.
func AppendAll(fs fsys.FS, name string, messages iter.Seq2[Message, error]) error {
	file, err := openLocked(fs, name)
	if err != nil {
		return err
	}
	defer file.Close()
	return appendTo(fs, name, file, messages)
}

// openLocked opens the file and waits for its lock. A mail reader may have put
// another file in its place while we waited: then that one it is.
func openLocked(fs fsys.FS, name string) (fsys.File, error) {
	deadline := time.Now().Add(lockTimeout)
	for {
		file, err := open(fs, name)
		if err != nil {
			return nil, &Error{Open, err}
		}
		if err := lock(file, time.Until(deadline)); err != nil {
			return nil, err
		}
		mine, err := file.Stat()
		if err != nil {
			file.Close()
			return nil, &Error{Open, err}
		}
		now, err := fs.Lstat(name)
		if err == nil && now.Ino == mine.Ino && now.Dev == mine.Dev {
			return file, nil
		}
		file.Close()
		if err != nil && err != unix.ENOENT {
			return nil, &Error{Open, err}
		}
		if time.Now().After(deadline) {
			return nil, ErrLocked
		}
	}
}

// open opens or creates name, which must be a regular file: whoever may write
// to the directory could otherwise send mail anywhere, by a symbolic link, or
// hold the delivery up, by a fifo. A file that may only be written is taken,
// but its end cannot be looked at.
func open(fs fsys.FS, name string) (fsys.File, error) {
	const flags = fsys.APPEND | fsys.CREATE | unix.O_NOFOLLOW | unix.O_NONBLOCK
	file, err := fs.Open(name, flags|unix.O_RDWR, 0o600)
	if err == unix.EACCES {
		file, err = fs.Open(name, flags|unix.O_WRONLY, 0o600)
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

var errNotRegular = errors.New("not a regular file")

// lock locks file within the time, or closes it. The lock of somebody who
// holds it is waited for in the kernel's queue, where deliveries take turns,
// and in a goroutine, because that wait cannot be given up: if it is, the
// goroutine closes the file when its turn comes.
func lock(file fsys.File, within time.Duration) error {
	locker, ok := file.(fsys.Locker)
	if !ok {
		file.Close()
		return &Error{Lock, unix.ENOLCK}
	}
	err := locker.Lock(false)
	if err == unix.EWOULDBLOCK {
		got := make(chan error)
		gaveUp := make(chan struct{})
		go func() {
			err := locker.Lock(true)
			select {
			case got <- err:
			case <-gaveUp:
				file.Close()
			}
		}()
		timer := time.NewTimer(within)
		defer timer.Stop()
		select {
		case err = <-got:
		case <-timer.C:
			close(gaveUp)
			return ErrLocked
		}
	}
	if err != nil {
		// Not locked, not written: C qmail appends all the same (NFS).
		file.Close()
		return &Error{Lock, err}
	}
	return nil
}

// appendTo appends to a locked file, or leaves it as it was.
func appendTo(fs fsys.FS, name string, file fsys.File, messages iter.Seq2[Message, error]) error {
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return &Error{Write, err}
	}
	err = write(file, size, messages)
	if err == nil && size == 0 { // it may be new
		// A directory that cannot be read cannot be synced. Linux's journals
		// commit a new name with the file; POSIX does not promise it.
		if e := fs.SyncDir(path.Dir(name)); e != nil && e != unix.EACCES {
			err = &Error{Write, e}
		}
	}
	if err != nil {
		file.Truncate(size) // under the lock: nobody has appended since
	}
	return err
}

// write writes messages at the end of a file of the given size.
func write(file fsys.File, size int64, messages iter.Seq2[Message, error]) error {
	w := bufio.NewWriterSize(file, blockSize)
	torn, err := isTorn(file, size)
	if err != nil {
		return &Error{Write, err}
	}
	if torn {
		w.WriteByte('\n')
	}
	block := make([]byte, blockSize)
	for m, err := range messages {
		if err == nil {
			w.Write(m.Head)
			err = writeBody(w, m.Body, block)
		} else {
			err = &Error{Read, err}
		}
		if err != nil {
			return err
		}
	}
	err = w.Flush()
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		return &Error{Write, err}
	}
	return nil
}

// writeBody quotes a body and ends the message.
func writeBody(w *bufio.Writer, body io.Reader, block []byte) error {
	q := quoter{w: w}
	for {
		n, err := body.Read(block)
		q.write(block[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return &Error{Read, err}
		}
		if _, err := w.Write(nil); err != nil { // what an earlier write met
			return &Error{Write, err}
		}
	}
	q.end()
	return nil
}

// isTorn reports whether a file ends within a line.
func isTorn(file fsys.File, size int64) (bool, error) {
	if size == 0 {
		return false, nil
	}
	var last [1]byte
	switch _, err := file.ReadAt(last[:], size-1); err {
	case nil:
		return last[0] != '\n', nil
	case unix.EBADF: // open for writing only
		return false, nil
	default:
		return false, err
	}
}
