package remote

import (
	"bufio"
	"net/netip"
	"time"

	"paperpath/internal/proc"
)

// link is a connection to a mail server.
//
// Time is bounded twice. Each reply must be complete, and each part of the
// message be taken, within the timeout; and the whole must be over within
// three times the timeout and a second for every kilobyte of message, however
// cleverly the other side drips.
type link struct {
	conn    proc.File
	r       *bufio.Reader
	w       *bufio.Writer
	partner string // as reports show it
	timeout time.Duration
	end     time.Time

	critical bool // the server may have all of the message, and said nothing of it
}

func newLink(conn proc.File, partner netip.Addr, timeout time.Duration) *link {
	l := &link{conn: conn, partner: partner.String(), timeout: timeout, end: time.Now().Add(3 * timeout)}
	l.r = bufio.NewReaderSize(conn, 4<<10)
	l.w = bufio.NewWriterSize(timedWriter{l}, 32<<10)
	return l
}

// timedWriter gives every write to the connection its time.
type timedWriter struct{ l *link }

func (t timedWriter) Write(b []byte) (int, error) {
	l := t.l
	l.end = l.end.Add(time.Duration(len(b)) * time.Second / 1024)
	l.conn.SetWriteDeadline(l.soon())
	return l.conn.Write(b)
}

func (l *link) soon() time.Time {
	if t := time.Now().Add(l.timeout); t.Before(l.end) {
		return t
	}
	return l.end
}

func (l *link) died() outcome {
	duplicate := ""
	if l.critical {
		duplicate = "Possible duplicate! "
	}
	return outcome("ZConnected to " + l.partner + " but connection died. " + duplicate + "(#4.4.2)\n")
}
