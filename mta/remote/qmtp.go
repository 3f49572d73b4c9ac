package remote

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"golang.org/x/sys/unix"

	"paperpath/internal/netstring"
	"paperpath/internal/proc"
)

// maxSpool bounds a message that has to be read before its size is known.
const maxSpool = 16 << 20

// sized finds out how long a message is, from its place in the file to the end.
// qmail-rspawn hands over a file; anything else is read into memory.
func sized(f proc.File) (io.Reader, int64, error) {
	if fd, ok := proc.Descriptor(f); ok {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
			at, err := unix.Seek(fd, 0, io.SeekCurrent)
			if err != nil {
				return nil, 0, err
			}
			return f, max(0, st.Size-at), nil
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSpool+1))
	if err == nil && len(text) > maxSpool {
		err = errors.New("a message of unknown size, and large")
	}
	return bytes.NewReader(text), int64(len(text)), err
}

// sendQMTP sends one message by QMTP (https://cr.yp.to/proto/qmtp.txt; qmtp in
// the qmtpc patch for qmail-remote.c):
//
//	netstring(LF message) netstring(sender) netstring(netstring(recipient) …)
//	                        netstring(K or Z or D, text) for each recipient
//
// Everything goes as it is, for the lines of a message in the queue end in LF,
// and addresses need no quotes here.
//
// The server may take nothing before the last byte, the comma behind the
// recipients. From then on to its last answer, nobody knows what it took.
func sendQMTP(l *link, sender string, recipients []string, file proc.File) (report Report) {
	report.Message = string(l.transfer(reversePath(sender), recipients, file, &report))
	return report
}

func (l *link) transfer(sender string, recipients []string, file proc.File, report *Report) outcome {
	message, size, err := sized(file)
	if err != nil {
		return badMessage
	}
	if err := l.sendMessage(message, size); err != nil {
		var unreadable readError
		if errors.As(err, &unreadable) {
			return badMessage // and the server has a part of it, which counts for nothing
		}
		return l.died()
	}
	var list []byte
	for _, r := range recipients {
		list = netstring.Append(list, r)
	}
	l.w.Write(netstring.Append(nil, sender))
	l.critical = true
	l.w.Write(netstring.Append(nil, list))
	if err := l.w.Flush(); err != nil {
		return l.died()
	}

	taken := 0
	in := netstring.NewReader(l.r)
	for range recipients {
		letter, text, err := l.answer(in)
		switch {
		case err == errNotQMTP:
			return notQMTP
		case err != nil:
			return l.died()
		case letter == 'K':
			taken++
		}
		verdict := map[byte]string{'K': "r", 'Z': "s", 'D': "h"}[letter]
		report.Recipients = append(report.Recipients, verdict+"qmtp: "+text+"\n")
	}
	switch taken {
	case 0:
		return outcome("DGiving up on " + l.partner + "\n")
	case len(recipients):
		return outcome("KAll received okay by " + l.partner + "\n")
	}
	return outcome("K" + l.partner + " accepted message.\n")
}

// sendMessage sends the first netstring, whose size is promised beforehand: a
// file that turns out shorter leaves it unfinished.
func (l *link) sendMessage(message io.Reader, size int64) error {
	l.w.WriteString(strconv.FormatInt(size+1, 10) + ":\n")
	buf := make([]byte, 32<<10)
	for size > 0 {
		n, err := message.Read(buf[:min(size, int64(len(buf)))])
		if _, err := l.w.Write(buf[:n]); err != nil {
			return err
		}
		if size -= int64(n); err != nil && size > 0 {
			return readError{err}
		}
	}
	return l.w.WriteByte(',')
}

// errNotQMTP means that an answer is none.
var errNotQMTP = errors.New("not QMTP")

// answer reads what the server says of one recipient. The text is cut and made
// printable as that patch does.
func (l *link) answer(in *netstring.Reader) (letter byte, text string, err error) {
	l.conn.SetReadDeadline(l.soon())
	n, err := in.Len(maxReply)
	if err == nil && n == 0 {
		err = netstring.ErrBad
	}
	if err == nil {
		letter, err = in.Byte()
	}
	if err == nil && letter != 'K' && letter != 'Z' && letter != 'D' {
		err = netstring.ErrBad
	}
	var said beginning
	if err == nil {
		err = in.Copy(&said, n-1)
	}
	if err == netstring.ErrBad || err == netstring.ErrTooLong {
		err = errNotQMTP
	}
	return letter, string(said), err
}

// beginning keeps as much of a text as fits into a report, without CR and with
// ? for what is not ASCII text.
type beginning []byte

const maxSaid = maxText - len("Kqmtp: \n")

func (b *beginning) Write(p []byte) (int, error) {
	for _, c := range p {
		if c == '\r' || len(*b) == maxSaid {
			continue
		}
		if c < ' ' || c > '~' {
			c = '?'
		}
		*b = append(*b, c)
	}
	return len(p), nil
}
