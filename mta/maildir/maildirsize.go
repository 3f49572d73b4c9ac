package maildir

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
)

// A maildirsize file longer than this is written anew.
const maxMaildirsize = 5120

// maxNumber bounds what a file or a file name may claim: sums stay far from
// overflow.
const maxNumber = 1e15

// limits is what may be in a Maildir; 0 is no limit.
type limits struct{ bytes, messages int64 }

// parseLimits reads the definition of a quota: numbers with a letter behind
// each, S (or none) for bytes and C for messages, and commas between them. If
// something else stands there it is none: ok is false.
func parseLimits(definition string) (l limits, ok bool) {
	for element := range strings.SplitSeq(definition, ",") {
		digits := strings.TrimRight(element, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
		n, ok := number(digits)
		if !ok || n < 0 || len(element) > len(digits)+1 {
			return limits{}, false
		}
		switch element[len(digits):] {
		case "S", "":
			l.bytes = stricter(l.bytes, n)
		case "C":
			l.messages = stricter(l.messages, n)
		}
	}
	return l, true
}

func stricter(a, b int64) int64 {
	if a == 0 || b == 0 {
		return a + b
	}
	return min(a, b)
}

// number reads a decimal number that may be negative.
func number(s string) (n int64, ok bool) {
	digits, _ := strings.CutPrefix(s, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && -maxNumber <= n && n <= maxNumber
}

// usage is what is in a Maildir, or a change of that.
type usage struct{ bytes, messages int64 }

func (u *usage) add(bytes, messages int64) {
	u.bytes += bytes
	u.messages += messages
}

func (u usage) appendLine(dst []byte) []byte {
	dst = strconv.AppendInt(dst, u.bytes, 10)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, u.messages, 10)
	return append(dst, '\n')
}

// maildirsize is such a file as it was read.
type maildirsize struct {
	definition string
	limits     limits
	used       usage
	lines      int  // that used is the sum of
	damaged    bool // used is not to be trusted
	written    time.Time
	renamed    time.Time // to this name, or changed since
}

// readMaildirsize reads a maildirsize file. Whatever is not one, from a symbolic
// link to somebody's notes, is treated as none: ok is false.
func readMaildirsize(fs fsys.FS, name string) (m maildirsize, ok bool) {
	file, err := openRegular(fs, name, fsys.RDONLY)
	if err != nil {
		return m, false
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return m, false
	}
	m.written, m.renamed = info.Mtime, info.Ctime
	text, err := io.ReadAll(io.LimitReader(file, maxMaildirsize))
	if err != nil {
		return m, false
	}
	first, rest, ended := bytes.Cut(text, []byte{'\n'})
	m.definition = string(first)
	if m.limits, ok = parseLimits(m.definition); !ok {
		return m, false
	}
	m.damaged = !ended || len(text) == maxMaildirsize || !m.sum(string(rest))
	return m, true
}

// sum adds the lines up and reports whether they make sense. Somebody who wrote
// the definition has not counted what is there.
func (m *maildirsize) sum(text string) bool {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 2 || line[len(line)-1] != '\n' {
			return false
		}
		bytes, ok1 := number(fields[0])
		messages, ok2 := number(fields[1])
		if !ok1 || !ok2 {
			return false
		}
		m.used.add(bytes, messages)
		m.lines++
	}
	return m.lines > 0 && m.used.bytes >= 0 && m.used.messages >= 0
}

// appendTo adds a change to a maildirsize file that exists.
func (u usage) appendTo(fs fsys.FS, name string) error {
	file, err := openRegular(fs, name, fsys.WRONLY|fsys.APPEND)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.Write(u.appendLine(nil)) // at once: lines of others stay apart
	return err
}

func openRegular(fs fsys.FS, name string, flags int) (fsys.File, error) {
	file, err := fs.Open(name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.IsRegular() {
		err = unix.EINVAL
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}
