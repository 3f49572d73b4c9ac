// Package control reads the files of the control directory (control.c):
//
//	a line    the first line of the file, up to a NUL if it has one, trailing
//	          spaces and tabs cut
//	a number  such a line, decimal digits up to the first other character
//	a list    every line so cut, without empty lines and # comments
//
// An absent file is no error: each setting has its default, for some of them
// the line of control/me. A file that is there and cannot be read is one, and
// the program that wanted it must refuse to go on with the default.
package control

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"time"

	"paperpath/internal/decimal"
	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/zone"
)

// Dir is a control directory, inside the qmail home that fs is rooted in.
type Dir struct{ fs fsys.FS }

// Open returns the control directory of the qmail home fs.
func Open(fs fsys.FS) *Dir { return &Dir{fs} }

// Home returns the control directory of the qmail home at path home.
func Home(home string) *Dir { return Open(fsys.OS{Root: home}) }

// maxSize bounds a control file: a hundred times the largest rcpthosts anyone
// keeps outside morercpthosts.
const maxSize = 64 << 20

// ErrNoMe means that control/me is absent, which nothing can run without.
var ErrNoMe = errors.New("control/me does not exist")

func read(fs fsys.FS, name string) (text []byte, ok bool, err error) {
	text, err = fsys.ReadFile(fs, name, maxSize)
	if err == syscall.ENOENT {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, strerr.Unable("read", name, err)
	}
	return text, true, nil
}

func strip(line []byte) string { return string(bytes.TrimRight(line, " \t")) }

// Line returns the first line of a file; ok is false if there is no file.
func (d *Dir) Line(name string) (line string, ok bool, err error) {
	text, ok, err := read(d.fs, "control/"+name)
	first, _, _ := bytes.Cut(text, []byte("\n"))
	// Where a line becomes part of an address, a NUL in it would end the address
	// in the queue's files, and what follows would be something else.
	first, _, _ = bytes.Cut(first, []byte("\x00"))
	return strip(first), ok, err
}

// LineOr returns the first line of a file, or def if there is no file.
func (d *Dir) LineOr(name, def string) (string, error) {
	line, ok, err := d.Line(name)
	if err == nil && !ok {
		line = def
	}
	return line, err
}

// Me returns the line of control/me, ErrNoMe if there is none.
func (d *Dir) Me() (string, error) {
	line, ok, err := d.Line("me")
	if err == nil && !ok {
		err = ErrNoMe
	}
	return line, err
}

// LineOrMe returns the first line of a file, else that of control/me.
func (d *Dir) LineOrMe(name string) (string, error) {
	line, ok, err := d.Line(name)
	if err == nil && !ok {
		return d.Me()
	}
	return line, err
}

// Int returns the number in a file, def if there is no file or no digit in
// front. Numbers that do not fit are the largest that does.
func (d *Dir) Int(name string, def int) (int, error) {
	line, ok, err := d.Line(name)
	if err != nil || !ok {
		return def, err
	}
	n, digits := decimal.Int(line)
	if digits == 0 {
		return def, nil
	}
	return n, nil
}

// List returns the lines of a file; ok is false if there is no file.
func (d *Dir) List(name string) (lines []string, ok bool, err error) {
	return ReadList(d.fs, "control/"+name)
}

// ReadList reads such a file from outside the control directory.
func ReadList(fs fsys.FS, name string) (lines []string, ok bool, err error) {
	text, ok, err := read(fs, name)
	for l := range bytes.SplitSeq(text, []byte("\n")) {
		if s := strip(l); s != "" && s[0] != '#' && s[0] != 0 {
			// A NUL ends an entry, as in constmap.c.
			lines = append(lines, strings.Split(s, "\x00")...)
		}
	}
	return lines, ok, err
}

// ListOrMe returns the lines of a file, or the one line of control/me.
func (d *Dir) ListOrMe(name string) ([]string, error) {
	lines, ok, err := d.List(name)
	if err != nil || ok {
		return lines, err
	}
	me, err := d.Me()
	return []string{me}, err
}

// LocalDates reports whether dates in header fields are in local time: the
// date-localtime patch without compiling.
func (d *Dir) LocalDates() (bool, error) {
	n, err := d.Int("datelocaltime", 0)
	return n != 0, err
}

// DateZone returns the time zone of such dates, that of vars or the system; nil
// if they are as C qmail writes them, UTC without saying so.
func (d *Dir) DateZone(vars proc.Vars) (*time.Location, error) {
	local, err := d.LocalDates()
	if err != nil || !local {
		return nil, err
	}
	return zone.Of(vars), nil
}

// Map finds lines without regard to ASCII case (constmap.c). The last of
// several equal keys counts.
type Map map[string]string

// Set makes a Map of whole lines.
func Set(lines []string) Map {
	m := make(Map, len(lines))
	for _, l := range lines {
		m[Lower(l)] = ""
	}
	return m
}

// Colon makes a Map of "key:value" lines; lines without a colon are passed over.
func Colon(lines []string) Map {
	m := make(Map, len(lines))
	for _, l := range lines {
		if key, value, ok := strings.Cut(l, ":"); ok {
			m[Lower(key)] = value
		}
	}
	return m
}

// Get looks a key up.
func (m Map) Get(key string) (value string, ok bool) {
	value, ok = m[Lower(key)]
	return value, ok
}

// Has reports whether the key is there.
func (m Map) Has(key string) bool { _, ok := m.Get(key); return ok }

// Lower is case_lowerb: ASCII only, so that UTF-8 addresses stay what they are.
func Lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for i, c := range b {
				if 'A' <= c && c <= 'Z' {
					b[i] = c + 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
