package local

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/mta/layout"
	"paperpath/mta/maildir"
	"paperpath/mta/mbox"
	"paperpath/mta/queue"
)

// rewind returns the message from its beginning. All instructions read it, and
// commands move the offset of the descriptor that they share with us.
func (d *delivery) rewind() (io.Reader, error) {
	message := d.env.Files[0]
	if s, ok := message.(io.Seeker); ok {
		if _, err := s.Seek(0, io.SeekStart); err == nil {
			return message, nil
		}
	}
	return nil, proc.Verbatim(111, "Unable to rewind message. (#4.3.0)")
}

// checkLoop looks for our own Delivered-To line in the header: the message has
// been here before.
func (d *delivery) checkLoop() error {
	message, err := d.rewind()
	if err != nil {
		return err
	}
	want := []byte(d.fields.delivered)
	r := bufio.NewReaderSize(message, max(16<<10, len(want)))
	inLine := false // the buffer holds the rest of a line too long to be ours
	for {
		text, err := r.ReadSlice('\n')
		switch {
		case err == io.EOF:
			return nil
		case err != nil && err != bufio.ErrBufferFull:
			return proc.Verbatim(111, "Unable to read message: "+strerr.Text(err)+". (#4.3.0)")
		case !inLine && len(text) == 1:
			return nil // the header ends
		case !inLine && bytes.Equal(text, want):
			return proc.Verbatim(100, "This message is looping: it already has my Delivered-To line. (#5.4.6)")
		}
		inLine = err == bufio.ErrBufferFull
	}
}

// maildir follows a line "./Maildir/".
func (d *delivery) maildir(dir string) error {
	message, err := d.rewind()
	if err != nil {
		return err
	}
	err = maildir.Deliver(d.fs, dir, []byte(d.fields.returnPath+d.fields.delivered), message)
	var reading *maildir.ReadError
	switch {
	case err == nil:
		return nil
	case err == maildir.ErrAbsent:
		return proc.Verbatim(111, "Unable to chdir to maildir. (#4.2.1)")
	case err == maildir.ErrOverQuota: // the words of qmail-maildir++.patch
		return proc.Verbatim(100, "User over quota. (#5.1.1)")
	case err == maildir.ErrTimeout:
		return proc.Verbatim(111, "Timeout on maildir delivery. (#4.3.0)")
	case errors.As(err, &reading):
		return proc.Verbatim(111, "Unable to read message. (#4.3.0)")
	}
	// The C program says no more than the first line.
	return proc.Verbatim(111, "Temporary error on maildir delivery. (#4.3.0)\n"+err.Error())
}

// mbox follows a line "./Mailbox".
func (d *delivery) mbox(name string) error {
	message, err := d.rewind()
	if err != nil {
		return err
	}
	err = mbox.Append(d.fs, name, []byte(d.fields.from+d.fields.returnPath+d.fields.delivered), message)
	if err == nil {
		return nil
	}
	var failed *mbox.Error
	if !errors.As(err, &failed) {
		return proc.Verbatim(111, "File has been locked for 30 seconds straight. (#4.3.0)")
	}
	file, cause := strerr.Clean(name), strerr.Text(failed.Err)
	switch failed.Step {
	case mbox.Open:
		return proc.Verbatim(111, "Unable to open "+file+": "+cause+". (#4.2.1)")
	case mbox.Lock:
		return proc.Verbatim(111, "Unable to lock "+file+": "+cause+". (#4.3.0)")
	case mbox.Read:
		return proc.Verbatim(111, "Unable to read message: "+cause+". (#4.3.0)")
	}
	return proc.Verbatim(111, "Unable to write "+file+": "+cause+". (#4.3.0)")
}

// forward queues the message for all addresses of the forward lines, behind a
// Delivered-To line and without a Return-Path: it is on its way again.
func (d *delivery) forward(sender string) error {
	message, err := d.rewind()
	if err != nil {
		return err
	}
	if err := d.openReport(); err != nil {
		return unableToFork(err)
	}
	q, err := queue.StartWith(layout.Home(d.vars), d.vars, d.descriptors()[2])
	if err != nil {
		return unableToFork(err)
	}
	io.WriteString(q, d.fields.delivered)
	if _, err := io.Copy(q, message); err != nil {
		q.Fail()
	}
	q.Envelope(sender)
	for _, address := range d.forwards {
		q.Recipient(address)
	}
	pid := q.PID()
	answer := q.Close()
	if answer == "" {
		d.queueProcess = pid
		return nil
	}
	status := 111
	if answer[0] == 'D' {
		status = 100
	}
	return proc.Verbatim(status, "Unable to forward message: "+answer[1:]+".")
}
