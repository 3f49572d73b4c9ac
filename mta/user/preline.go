package user

import (
	"bufio"
	"context"
	"errors"
	"io"

	"paperpath/internal/child"
	"paperpath/internal/opt"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Preline is the program preline(1): it gives procmail and its like the message
// as they would find it in an mbox, with "From ", Return-Path and Delivered-To.
var Preline = proc.Program{Name: "preline", Usage: "cmd [ arg ... ]", Run: preline}

// preline's own buffer: what fits is not missed by a command that leaves the
// rest unread and still succeeds; more is an error (substdio's SUBSTDIO_OUTSIZE).
const prelineBuffer = 8192

func preline(_ context.Context, env *proc.Env) error {
	sys.IgnoreSIGPIPE()
	lines := []struct {
		letter byte
		name   string
		on     bool
		text   string
	}{{'f', "UFLINE", true, ""}, {'r', "RPLINE", true, ""}, {'d', "DTLINE", true, ""}}
	for i := range lines {
		text, ok := env.Vars.Get(lines[i].name)
		if !ok {
			return proc.ErrUsage
		}
		lines[i].text = text
	}
	options := opt.Parse(env.Args[1:], "frdFRD")
	for options.Next() {
		if options.Letter == '?' {
			env.Say(options.Problem())
			return proc.ErrUsage
		}
		for i := range lines {
			if lines[i].letter == options.Letter|0x20 { // a capital letter: do
				lines[i].on = options.Letter < 'a'
			}
		}
	}
	argv := options.Rest()
	if len(argv) == 0 {
		return proc.ErrUsage
	}
	r, w, err := sys.Pipe()
	if err != nil {
		return strerr.Unable("create", "pipe", err)
	}
	p, err := child.Start(&child.Command{
		Argv: argv, Vars: env.Vars, Dir: env.Dir,
		Files:  append([]int{int(r.Fd())}, descriptors(env, 1, 2)...),
		Script: true,
	})
	r.Close()
	switch {
	case err == nil:
	case child.Exhausted(err):
		return strerr.Unable("fork", "", err)
	case strerr.Temporary(err):
		return strerr.Unable("run", argv[0], err)
	default:
		return proc.Permanent(strerr.Unable("run", argv[0], err))
	}
	out := bufio.NewWriterSize(w, prelineBuffer)
	for _, line := range lines {
		if line.on {
			out.WriteString(line.text)
		}
	}
	// Not through ReadFrom, which would write past the buffer.
	_, err = io.Copy(struct{ io.Writer }{out}, struct{ io.Reader }{env.Files[0]})
	if err != nil {
		return strerr.Unable("copy", "input", err)
	}
	out.Flush() // a command that has enough is no failure
	w.Close()
	status, err := p.Wait()
	switch {
	case err != nil:
		return strerr.Unable("wait", "", err)
	case status.Crashed():
		return errors.New("child crashed")
	}
	if status.Code() != 0 {
		return proc.Exit(status.Code())
	}
	return nil
}
