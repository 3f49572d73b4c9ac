package users

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	"paperpath/internal/cdb"
	"paperpath/internal/fsys"
	"paperpath/internal/line"
	"paperpath/internal/proc"
	"paperpath/mta/control"
	"paperpath/mta/layout"
)

// QmailNewu is the program.
var QmailNewu = proc.Program{Name: "qmail-newu", Run: newu}

// The original's words, which name no cause.
var (
	errChdir  = errors.New("unable to chdir")
	errOpen   = errors.New("unable to open users/assign")
	errRead   = errors.New("unable to read users/assign")
	errFormat = errors.New("bad format in users/assign")
	errTemp   = errors.New("unable to open users/cdb.tmp")
	errWrite  = errors.New("unable to write users/cdb.tmp")
	errMove   = errors.New("unable to move users/cdb.tmp to users/cdb")
)

func newu(_ context.Context, env *proc.Env) error {
	home := fsys.OS{Root: layout.Home(env.Vars)}
	if info, err := home.Stat("."); err != nil || !info.IsDir() {
		return errChdir
	}
	return Compile(home)
}

// Compile makes users/cdb of users/assign below the qmail home fs. Until the
// new table is whole and on the disk the old one stays.
func Compile(fs fsys.FS) error {
	assign, err := fs.Open("users/assign", fsys.RDONLY, 0)
	if err != nil {
		return errOpen
	}
	defer assign.Close()
	// By no link: with QMAILHOME root may be in somebody else's home.
	tmp, err := fs.Open("users/cdb.tmp", fsys.WRONLY|fsys.CREATE|fsys.TRUNC|fsys.NOFOLLOW, 0644)
	if err != nil {
		return errTemp
	}
	defer tmp.Close()
	err = cdb.Write(tmp, func(w *cdb.Writer) error { return compile(w, assign) })
	if err == errRead || err == errFormat {
		return err
	}
	if err == nil {
		err = tmp.Chmod(0644) // whatever our umask is: qmail-lspawn is not the only reader
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err != nil {
		return errWrite
	}
	if err := fs.Rename("users/cdb.tmp", "users/cdb"); err != nil {
		return errMove
	}
	if err := fs.SyncDir("users"); err != nil {
		return errMove
	}
	return nil
}

// maxLine bounds a line of users/assign.
const maxLine = 1 << 20

func compile(w *cdb.Writer, assign io.Reader) error {
	r := bufio.NewReaderSize(assign, 64<<10)
	var ends []byte // the last character of every wildcard, once
	for {
		text, err := line.Read(r, '\n', maxLine)
		switch {
		case len(text) > 0 && text[0] == '.':
			return w.Add(nil, ends)
		case err == io.EOF, err == line.ErrTooLong:
			return errFormat
		case err != nil:
			return errRead
		}
		key, data, err := parse(text)
		if err != nil {
			return err
		}
		if name := key[1:]; text[0] == '+' && len(name) > 0 {
			// As it is written, not in lower case: the table is to be the
			// same as the C program's, byte for byte.
			if end := text[len(name)]; bytes.IndexByte(ends, end) < 0 {
				ends = append(ends, end)
			}
		}
		if err := w.Add(key, data); err != nil {
			return err
		}
	}
}

// parse makes a record of a line. A first character that is no plus makes a
// simple assignment, whatever it is.
func parse(text []byte) (key, data []byte, err error) {
	name, rest, ok := bytes.Cut(text, []byte(":"))
	if !ok || len(name) == 0 || bytes.IndexByte(text, 0) >= 0 {
		return nil, nil, errFormat
	}
	fields := bytes.SplitN(rest, []byte(":"), 7)
	if len(fields) < 7 {
		return nil, nil, errFormat
	}
	key = append([]byte("!"), control.Lower(string(name[1:]))...)
	if name[0] != '+' {
		key = append(key, 0)
	}
	return key, bytes.Join(fields[:6], []byte{0}), nil
}
