package local

import (
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/mta/layout"
)

// maxQmail bounds a .qmail file. Mailing lists of 100 000 addresses fit.
const maxQmail = 16 << 20

// qmailFile is the .qmail file that controls an address; nil stands for none.
type qmailFile struct {
	text        []byte
	forwardOnly bool // its x bit is set
}

// fileExt returns the extension as it stands in file names: in lower case, and
// with colons for dots, so that no extension means "..".
func fileExt(ext string) string {
	b := []byte(ext)
	for i, c := range b {
		switch {
		case 'A' <= c && c <= 'Z':
			b[i] = c + 'a' - 'A'
		case c == '.':
			b[i] = ':'
		}
	}
	return string(b)
}

// candidates lists what follows .qmail and the dash in the names to look for,
// and for each how much of ext stands before its "default", -1 without one:
//
//	a-b-c    a-b-c  a-b-default  a-default  default
//
// A name with a slash is not one: an extension names a file in the home
// directory, never one in a directory below it.
func candidates(ext string) (names []string, defaults []int) {
	ext = fileExt(ext)
	add := func(name string, at int) {
		if strings.IndexByte(name, '/') < 0 {
			names, defaults = append(names, name), append(defaults, at)
		}
	}
	at := -1
	if strings.HasSuffix(ext, "default") {
		at = len(ext) - len("default")
	}
	add(ext, at)
	for i := len(ext); i >= 0; i-- {
		if i == 0 || ext[i-1] == '-' {
			add(ext[:i]+"default", i)
		}
	}
	return names, defaults
}

// findQmail looks for the file that controls the address, and sets DEFAULT if
// it is a default file.
func (d *delivery) findQmail() (*qmailFile, error) {
	names, defaults := candidates(d.Ext)
	for i, name := range names {
		file, err := d.readQmail(".qmail" + d.Dash + name)
		if err != nil {
			return nil, err
		}
		if file != nil {
			if defaults[i] >= 0 {
				d.vars.Set("DEFAULT", d.Ext[defaults[i]:])
			}
			return file, nil
		}
	}
	return nil, nil
}

// readQmail reads a .qmail file at once, so that nobody changes it under our
// hands. What is not a regular file counts as missing, and so does a name that
// cannot be one (too long); what may exist but cannot be opened does not.
func (d *delivery) readQmail(name string) (*qmailFile, error) {
	f, err := d.fs.Open(name, fsys.RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		if strerr.Temporary(err) || err == unix.EPERM || err == unix.EACCES {
			return nil, unable("open", name, err)
		}
		return nil, nil
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, unable("open", name, err)
	case !info.IsRegular():
		return nil, nil
	case info.Mode&layout.Patrn != 0:
		return nil, proc.Verbatim(111, "Uh-oh: .qmail file is writable. (#4.7.0)")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxQmail+1))
	if err == nil && len(text) > maxQmail {
		err = unix.EFBIG
	}
	if err != nil {
		return nil, unable("read", name, err)
	}
	return &qmailFile{text, info.Mode&0o100 != 0}, nil
}

// newSender returns the envelope sender of forwarded messages. -owner and
// -owner-default files put a list's owner, or one address for each recipient
// (a VERP), in the place of the sender; bounces keep theirs.
func (d *delivery) newSender() (string, error) {
	if d.sender == "" || d.sender == "#@[]" {
		return d.sender, nil
	}
	owner, err := d.exists("-owner")
	if err != nil || !owner {
		return d.sender, err
	}
	verp, err := d.exists("-owner-default")
	if err != nil {
		return "", err
	}
	if verp {
		return d.Local + "-owner-@" + d.Host + "-@[]", nil
	}
	return d.Local + "-owner@" + d.Host, nil
}

func (d *delivery) exists(suffix string) (bool, error) {
	ext := fileExt(d.Ext)
	if strings.IndexByte(ext, '/') >= 0 {
		return false, nil
	}
	name := ".qmail" + d.Dash + ext + suffix
	_, err := d.fs.Stat(name)
	if err != nil && strerr.Temporary(err) {
		return false, unable("open", name, err)
	}
	return err == nil, nil
}

// unable is "Unable to VERB NAME: cause. (#4.3.0)".
func unable(verb, name string, err error) error {
	return proc.Verbatim(111, "Unable to "+verb+" "+strerr.Clean(name)+": "+strerr.Text(err)+". (#4.3.0)")
}

// kind is what a line of a .qmail file asks for.
type kind int

const (
	kindForward kind = iota
	kindMaildir
	kindMbox
	kindProgram
	kindList // "+list": from here on forward lines only
)

// String is the word that qmail-local -n prints.
func (k kind) String() string {
	return [...]string{"forward", "maildir", "mbox", "program", "list"}[k]
}

type line struct {
	kind kind
	arg  string
}

// instructions returns the lines to follow and whether they must be forward
// lines. A missing file is an empty one, and an empty one means the default.
func (f *qmailFile) instructions(byDefault string) ([]line, bool, error) {
	text, forwardOnly := byDefault, false
	if f != nil && len(f.text) > 0 {
		text, forwardOnly = string(f.text), f.forwardOnly
	}
	lines, err := parse(text)
	return lines, forwardOnly, err
}

// parse reads a .qmail file. Spaces and tabs at the end of a line do not
// count. A first line that is blank is taken for an accident, and so is a NUL,
// at which the C program would cut the line.
func parse(text string) ([]line, error) {
	if strings.IndexByte(text, 0) >= 0 {
		return nil, proc.Verbatim(111, "Uh-oh: .qmail file has a NUL in it. (#4.2.1)")
	}
	text, _ = strings.CutSuffix(text, "\n")
	var lines []line
	first := true
	for s := range strings.SplitSeq(text, "\n") {
		s = strings.TrimRight(s, " \t")
		switch {
		case s == "" && first:
			return nil, proc.Verbatim(111, "Uh-oh: first line of .qmail file is blank. (#4.2.1)")
		case s == "" || s[0] == '#':
		case s[0] == '|':
			lines = append(lines, line{kindProgram, s[1:]})
		case s[0] == '.' || s[0] == '/':
			if s[len(s)-1] == '/' {
				lines = append(lines, line{kindMaildir, s})
			} else {
				lines = append(lines, line{kindMbox, s})
			}
		case s == "+list":
			lines = append(lines, line{kindList, s})
		case s[0] == '+': // reserved
		case s[0] == '&':
			lines = append(lines, line{kindForward, s[1:]})
		default:
			lines = append(lines, line{kindForward, s})
		}
		first = false
	}
	return lines, nil
}
