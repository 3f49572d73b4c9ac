package tcprules

import (
	"bufio"
	"context"
	"errors"
	"io"
	"path"
	"strconv"
	"strings"

	"paperpath/internal/cdb"
	"paperpath/internal/fsys"
	"paperpath/internal/line"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// Tcprules is tcprules(1).
var Tcprules = proc.Program{Name: "tcprules", Usage: "rules.cdb rules.tmp", Run: tcprules}

// maxLine bounds one rule: room for thousands of variables.
const maxLine = 1 << 20

func tcprules(_ context.Context, env *proc.Env) error {
	if len(env.Args) < 3 {
		return proc.ErrUsage
	}
	return replace(fsys.OS{Root: env.Dir}, env.Files[0], env.Args[1], env.Args[2], env.Warn)
}

// replace compiles the rules that in holds into the database name. Until the new
// one, written under the name tmp, is whole and on the disk, the old one stays.
func replace(fs fsys.FS, in io.Reader, name, tmp string, warn func(error)) error {
	// By no link: root may be in somebody else's directory.
	f, err := fs.Open(tmp, fsys.WRONLY|fsys.CREATE|fsys.TRUNC|fsys.NOFOLLOW, 0o644)
	if err != nil {
		return strerr.Unable("create", tmp, err)
	}
	err = cdb.Write(f, func(w *cdb.Writer) error { return compileAll(in, w, warn) })
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	var bad *inputError
	if errors.As(err, &bad) {
		return bad.Err
	}
	if err != nil {
		return strerr.Unable("write to", tmp, err)
	}
	if err := fs.Rename(tmp, name); err != nil {
		return strerr.Unable("move", tmp+" to "+name, err)
	}
	// Not in C: the new name, too, shall survive a power cut.
	if err := fs.SyncDir(path.Dir(name)); err != nil {
		return strerr.Unable("sync", path.Dir(name), err)
	}
	return nil
}

// inputError tells trouble with the text from trouble with the database.
type inputError struct{ Err error }

func (e *inputError) Error() string { return e.Err.Error() }

func compileAll(in io.Reader, w *cdb.Writer, warn func(error)) error {
	number := 0
	c := &compiler{
		add: func(address, data string) error { return w.Add([]byte(address), []byte(data)) },
		warn: func(address, about string) {
			warn(errors.New(position(number) + show(address) + " " + about))
		},
	}
	r := bufio.NewReader(in)
	for {
		l, err := line.Read(r, '\n', maxLine)
		number++
		if err == line.ErrTooLong {
			return &inputError{proc.Permanent(errors.New(position(number) + err.Error()))}
		}
		if err != nil && err != io.EOF {
			return &inputError{strerr.Unable("read", "input", err)}
		}
		if len(l) > 0 && l[0] != '#' {
			text := strings.TrimRight(string(l), "\n \t")
			bad, err := c.compile(text)
			if err != nil {
				return err
			}
			if bad != nil {
				// C's own line, which says neither where nor why, comes last.
				warn(errors.New(position(number) + bad.Error()))
				return &inputError{proc.Permanent(errors.New("unable to parse this line: " + show(text)))}
			}
		}
		if err == io.EOF {
			return c.finish()
		}
	}
}

func position(number int) string { return "line " + strconv.Itoa(number) + ": " }

// show cleans a line for a terminal; tabs between words may stay.
func show(line string) string {
	words := strings.Split(line, "\t")
	for i, w := range words {
		words[i] = strerr.Clean(w)
	}
	return strings.Join(words, "\t")
}
