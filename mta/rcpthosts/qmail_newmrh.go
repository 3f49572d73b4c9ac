package rcpthosts

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
	"paperpath/internal/strerr"
	"paperpath/mta/control"
	"paperpath/mta/layout"
)

// QmailNewmrh is the program qmail-newmrh(8).
var QmailNewmrh = proc.Program{Name: "qmail-newmrh", Run: func(_ context.Context, env *proc.Env) error {
	return compileAt(env, "control/morercpthosts")
}}

// compileAt compiles a list of the qmail home directory.
func compileAt(env *proc.Env, source string) error {
	home := layout.Home(env.Vars)
	fs := fsys.OS{Root: home}
	if _, err := fs.Stat("control/."); err != nil {
		return strerr.Unable("chdir to", home, err)
	}
	return compile(fs, source)
}

const maxLine = 64 << 10 // no domain and no address is longer

// compile makes the database of the file source. Until it is whole and on the
// disk the old one stays.
func compile(fs fsys.FS, source string) error {
	scratch, table := source+".tmp", source+".cdb"
	text, err := fs.Open(source, fsys.RDONLY, 0)
	if err != nil {
		return strerr.Unable("read", source, err)
	}
	defer text.Close()
	// By no link: with QMAILHOME root may be in somebody else's home.
	tmp, err := fs.Open(scratch, fsys.WRONLY|fsys.CREATE|fsys.TRUNC|fsys.NOFOLLOW, 0o644)
	if err != nil {
		return strerr.Unable("write to", scratch, err)
	}
	defer tmp.Close()
	err = cdb.Write(tmp, func(w *cdb.Writer) error { return add(w, source, bufio.NewReader(text)) })
	var unread *strerr.Error
	if errors.As(err, &unread) {
		return err
	}
	if err == nil {
		err = tmp.Chmod(0o644) // whatever our umask is: qmail-smtpd is not ours
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err != nil {
		return strerr.Unable("write to", scratch, err)
	}
	if err := fs.Rename(scratch, table); err != nil {
		return errors.New("unable to move " + scratch + " to " + table)
	}
	if err := fs.SyncDir("control"); err != nil {
		return strerr.Unable("sync", "control", err)
	}
	return nil
}

// add adds the lines. Errors of the reading are in the program's words.
func add(w *cdb.Writer, source string, r *bufio.Reader) error {
	for {
		text, err := line.Read(r, '\n', maxLine)
		if err != nil && err != io.EOF {
			return strerr.Unable("read", source, err)
		}
		key := bytes.TrimRight(text, " \t\n")
		if len(key) > 0 && key[0] != '#' {
			if err := w.Add([]byte(control.Lower(string(key))), nil); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}
