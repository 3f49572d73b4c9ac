package user

import (
	"bufio"
	"errors"
	"io"

	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// A feeder's own buffer: what fits is not missed by a program that leaves the
// rest unread and still succeeds (substdio's SUBSTDIO_OUTSIZE).
const feedBuffer = 8192

// feed runs a program with head and then descriptor 0 as its input, and ends as
// that ends. Trouble with the copying is an error only if complete says so.
func feed(env *proc.Env, argv []string, head string, complete bool) error {
	r, w, err := sys.Pipe()
	if err != nil {
		return strerr.Unable("create", "pipe", err)
	}
	defer w.Close()
	p, err := child.Start(&child.Command{
		Argv: argv, Vars: env.Vars, Dir: env.Dir,
		Files:  append([]int{int(r.Fd())}, descriptors(env, 1, 2)...),
		Script: true,
	})
	r.Close()
	switch {
	case child.Exhausted(err):
		return strerr.Unable("fork", "", err)
	case err != nil:
		return strerr.Unable("run", argv[0], err)
	}
	out := bufio.NewWriterSize(w, feedBuffer)
	out.WriteString(head)
	// Not through ReadFrom, which would write past the buffer.
	_, err = io.Copy(struct{ io.Writer }{out}, struct{ io.Reader }{env.Files[0]})
	if err != nil && complete {
		return strerr.Unable("copy", "input", err)
	}
	out.Flush() // a program that has enough is no failure
	w.Close()
	status, err := p.Wait()
	switch {
	case err != nil:
		return strerr.Unable("wait", "", err)
	case status.Crashed():
		return errors.New("child crashed")
	case status.Code() != 0:
		return proc.Exit(status.Code())
	}
	return nil
}
