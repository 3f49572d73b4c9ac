package user

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/mta/maildir"
	"paperpath/mta/mbox"
)

// Maildir2mbox is the program maildir2mbox(1): it moves the messages of
// $MAILDIR to the end of $MAIL, for mail readers that know no Maildirs.
//
// The original makes a new file of the old mbox and the messages, $MAILTMP, and
// puts it in the mbox's place. A delivery that waits for the lock of the old one
// would then write to a file that nobody sees any more; here the mbox stays and
// grows, or stays as it was.
var Maildir2mbox = proc.Program{Name: "maildir2mbox", Run: maildir2mbox}

func maildir2mbox(_ context.Context, env *proc.Env) error {
	name, ok := env.Vars.Get("MAIL")
	if !ok {
		return errors.New("MAIL not set")
	}
	dir, ok := env.Vars.Get("MAILDIR")
	if !ok {
		return errors.New("MAILDIR not set")
	}
	// $MAIL is relative to the Maildir, as it is for the original.
	fs, err := fsys.OS{Root: env.Dir}.Held(dir)
	if err != nil {
		return strerr.Named("chdir to", dir, err)
	}
	now := time.Now()
	maildir.Clean(fs, now)
	entries, err := maildir.Scan(fs, now)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return nil
	}
	m := mover{fs: fs}
	if err := mbox.AppendAll(fs, name, m.messages(entries)); err != nil {
		return m.failure(name, err)
	}
	var gone []maildir.Entry
	for _, e := range entries {
		if err := fs.Remove(e.Name); err != nil {
			env.Warn(errors.New("$MAILDIR/" + strerr.Clean(e.Name) + " will be delivered twice; unable to unlink: " + strerr.Text(err)))
			continue
		}
		gone = append(gone, e)
	}
	maildir.Removed(fs, ".", gone)
	return nil
}

// mover reads the messages of a Maildir.
type mover struct {
	fs      fsys.FS
	current string // the one that is being read
}

func (m *mover) messages(entries []maildir.Entry) iter.Seq2[mbox.Message, error] {
	return func(yield func(mbox.Message, error) bool) {
		for _, e := range entries {
			m.current = e.Name
			if !m.message(e, yield) {
				return
			}
		}
	}
}

func (m *mover) message(e maildir.Entry, yield func(mbox.Message, error) bool) bool {
	file, err := m.fs.Open(e.Name, fsys.RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return yield(mbox.Message{}, err)
	}
	defer file.Close()
	body := bufio.NewReaderSize(file, 64<<10)
	first, err := body.ReadSlice('\n')
	if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
		return yield(mbox.Message{}, err)
	}
	first = bytes.Clone(first)
	return yield(mbox.Message{
		Head: []byte(mbox.FromLine(sender(first), e.Delivered())),
		Body: io.MultiReader(bytes.NewReader(first), body),
	}, nil)
}

// sender returns the envelope sender that the first line of a message tells if
// it is the Return-Path that qmail-local puts there.
func sender(first []byte) string {
	path, ok := bytes.CutPrefix(first, []byte("Return-Path: <"))
	switch {
	case !ok || len(path) < len(">\n") || path[len(path)-1] != '\n':
		return "XXX"
	case path[0] == '>':
		return ""
	}
	return string(path[:len(path)-len(">\n")])
}

// failure says what an error of the mbox was about.
func (m *mover) failure(name string, err error) error {
	var failed *mbox.Error
	switch {
	case !errors.As(err, &failed):
		return strerr.Unable("lock", name, err)
	case failed.Step == mbox.Read:
		return strerr.Unable("read", "$MAILDIR/"+m.current, failed.Err)
	case failed.Step == mbox.Write:
		return strerr.Unable("write to", name, failed.Err)
	}
	return strerr.Unable("lock", name, failed.Err)
}
