// Package splogger sends lines to syslog, as the oldest installations log.
//
//	stdin   alert: oh no, cannot write        a line
//	syslog  <17>Jan  2 03:04:05 qmail: 915246245.012345 alert: oh no, …
//	         └ facility × 8 + priority         └ when splogger read it
//
// syslogd cuts or merges what it likes: a line goes out in pieces of 799 bytes
// with the same stamp, "+" in front of those after the first, and what is not
// printable ASCII as a question mark.
package splogger

import (
	"bufio"
	"bytes"
	"context"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/decimal"
	"paperpath/internal/proc"
)

// Splogger is the program splogger(8).
var Splogger = proc.Program{
	Name:  "splogger",
	Usage: "[ tag [ facility ] ]",
	Run:   func(_ context.Context, env *proc.Env) error { return run(env, "/dev/log") },
}

const (
	pieceSize = 799

	facilityUser = 1 // syslog(3)
	facilityMail = 2
	maxFacility  = 127

	alert   = 1 // priorities
	warning = 4
	info    = 6
)

func run(env *proc.Env, path string) error {
	l := &logger{path: path, socket: -1, tag: env.Name, facility: facilityMail}
	if len(env.Args) > 1 {
		l.tag = env.Args[1]
	}
	if len(env.Args) > 2 {
		l.facility, _ = decimal.Int(env.Args[2]) // 0, kernel, if it is no number
		if l.facility > maxFacility {
			l.facility = facilityUser // as openlog(3) leaves it
		}
	}
	defer l.close()
	in := bufio.NewReaderSize(env.Files[0], pieceSize)
	for {
		piece, err := in.ReadSlice('\n')
		text, end := bytes.CutSuffix(piece, []byte("\n"))
		if len(text) > 0 {
			l.put(text)
		}
		if end {
			l.stamp = ""
		}
		if err != nil && err != bufio.ErrBufferFull {
			return nil
		}
	}
}

// logger is where the lines go, and the line that is on its way.
type logger struct {
	path     string
	socket   int // -1 for none
	stream   bool
	tag      string
	facility int

	stamp    string // of the line; "" before its first piece
	priority int
}

// put sends one piece of a line.
func (l *logger) put(piece []byte) {
	now, joint := time.Now(), "+"
	if l.stamp == "" {
		joint = " "
		l.stamp = strconv.FormatInt(now.Unix(), 10) + "." + strconv.Itoa(1e6 + now.Nanosecond()/1000)[1:]
		l.priority = priority(piece)
	}
	text := "<" + strconv.Itoa(l.facility<<3|l.priority) + ">" + now.Format(time.Stamp) + " " + l.tag + ": " + l.stamp + joint + string(visible(piece))
	// syslogd may have been started anew. If it is not there the line is lost,
	// as it is with syslog(3).
	if l.send(text) != nil {
		l.close()
		l.send(text)
	}
}

func priority(line []byte) int {
	switch text := string(line[:min(len(line), len("warning:"))]); {
	case strings.HasPrefix(text, "warning:"):
		return warning
	case strings.HasPrefix(text, "alert:"):
		return alert
	}
	return info
}

func visible(b []byte) []byte {
	for i, c := range b {
		if c < 32 || c > 126 {
			b[i] = '?'
		}
	}
	return b
}

func (l *logger) send(text string) error {
	if l.socket < 0 {
		if err := l.connect(); err != nil {
			return err
		}
	}
	if l.stream {
		text += "\x00" // the end of a message, where nothing else shows it
	}
	for len(text) > 0 {
		n, err := unix.SendmsgN(l.socket, []byte(text), nil, nil, unix.MSG_NOSIGNAL)
		if err != nil && err != unix.EINTR {
			return err
		}
		text = text[max(n, 0):]
	}
	return nil
}

// connect connects to a syslogd that takes datagrams or, as some are set up, a
// stream, as syslog(3) does.
func (l *logger) connect() error {
	for _, kind := range []int{unix.SOCK_DGRAM, unix.SOCK_STREAM} {
		fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: l.path})
		if err == nil {
			l.socket, l.stream = fd, kind == unix.SOCK_STREAM
			return nil
		}
		unix.Close(fd)
		if err != unix.EPROTOTYPE {
			return err
		}
	}
	return unix.EPROTOTYPE
}

func (l *logger) close() {
	if l.socket >= 0 {
		unix.Close(l.socket)
		l.socket = -1
	}
}
