package user

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/header"
	"paperpath/internal/proc"
)

// Qbiff is the program qbiff(1): it tells a user who is logged in, and has said
// "biff y", that there is a message. No trouble is worth an error: the message
// is delivered by another line.
var Qbiff = proc.Program{Name: "qbiff", Run: func(_ context.Context, env *proc.Env) error {
	text, err := announcement(env)
	if err == nil {
		biff(fsys.OS{Root: "/dev"}, "/var/run/utmp", env.Vars.Value("USER"), text)
	}
	return nil
}}

// What is written to a terminal: the addresses, and the subject and the body's
// beginning in one line of at most maxBiff bytes.
const maxBiff = 78

// announcement makes that text. What strangers wrote in it is printable ASCII,
// or a terminal could be made to obey them.
func announcement(env *proc.Env) (string, error) {
	from := []byte("*** TO <" + env.Vars.Value("LOCAL") + "> FROM <" + env.Vars.Value("SENDER") + ">")
	for _, name := range []string{"USER", "SENDER", "LOCAL"} {
		if _, ok := env.Vars.Get(name); !ok {
			return "", errors.New(name + " not set")
		}
	}
	line := atMost{[]byte("    ")}
	fields := header.NewReader(env.Files[0], maxHeader)
	for {
		field, err := fields.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
		if header.Kind(field) == header.Subject {
			_, contents, _ := bytes.Cut(field, []byte(":"))
			line.Write(bytes.TrimLeft(contents, " \t\r\n"))
		}
	}
	if err := fields.WriteBody(&line); err != nil && err != io.ErrShortWrite {
		return "", err
	}
	printable(from, '_')
	printable(line.text, '/')
	return "\r\n\a" + string(from) + "\r\n" + string(line.text) + "\r\n", nil
}

// atMost keeps the first maxBiff bytes written, and then has enough.
type atMost struct{ text []byte }

func (a *atMost) Write(b []byte) (int, error) {
	n := min(len(b), maxBiff-len(a.text))
	a.text = append(a.text, b[:n]...)
	if n < len(b) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

func printable(b []byte, by byte) {
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = by
		}
	}
}

// A record of utmp(5) on Linux.
const (
	utmpSize     = 384
	utmpLoggedIn = 7 // its first 16 bits: USER_PROCESS
	utmpLine     = 8
	utmpLineSize = 32
	utmpUser     = 44
	utmpUserSize = 32
)

// terminals returns where, by utmp, a user is logged in: names below /dev.
func terminals(utmp []byte, user string) (lines []string) {
	if user == "" || len(user) > utmpUserSize {
		return nil
	}
	for ; len(utmp) >= utmpSize; utmp = utmp[utmpSize:] {
		if binary.NativeEndian.Uint16(utmp) != utmpLoggedIn || text(utmp[utmpUser:], utmpUserSize) != user {
			continue
		}
		// The file may be anybody's: names stay below /dev.
		line := text(utmp[utmpLine:], utmpLineSize)
		if line != "" && line[0] != '/' && !strings.Contains(line, ".") {
			lines = append(lines, line)
		}
	}
	return lines
}

// text is a string of at most n bytes, ended by a NUL if it is shorter.
func text(b []byte, n int) string {
	s, _, _ := bytes.Cut(b[:n], []byte{0})
	return string(s)
}

// biff writes text to those terminals of a user that want it: their execute
// bit is set (biff(1)), and they are the user's own.
func biff(dev fsys.FS, utmp, user, text string) {
	records, err := fsys.ReadFile(dev, utmp, 64<<20)
	if err != nil {
		return
	}
	for _, line := range terminals(records, user) {
		// Not blocking: a terminal may be stopped.
		tty, err := dev.Open(line, unix.O_WRONLY|unix.O_APPEND|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		if err != nil {
			continue
		}
		info, err := tty.Stat()
		if err == nil && info.Mode&unix.S_IFMT == unix.S_IFCHR && info.Mode&0o100 != 0 && int(info.UID) == os.Getuid() {
			io.WriteString(tty, text)
		}
		tty.Close()
	}
}
