package store

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"paperpath/internal/date822"
	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/mta/layout"
)

// QmailQread lists the preprocessed messages and their recipients:
//
//	21 Nov 2026 09:07:03 GMT  #4718926  1432  <sender@example.org>  bouncing
//	  done	local	alice@example.org
//		remote	bob@example.net
//
// Queue tools read this, the complaints included, which is why those are on
// descriptor 1 and carry no name (qmail-qread.c).
var QmailQread = proc.Program{
	Name: "qmail-qread",
	Run: func(_ context.Context, env *proc.Env) error {
		out := bufio.NewWriterSize(env.Files[1], 32<<10)
		defer out.Flush()
		r := &reader{fs: fsys.OS{Root: layout.Home(env.Vars) + "/queue"}, out: out}
		return r.messages()
	},
}

// reader prints what is in a queue.
type reader struct {
	fs  fsys.FS
	out *bufio.Writer
}

func (r *reader) messages() error {
	// "." fails where chdir(2) would.
	if _, err := r.fs.Stat("."); err != nil {
		return r.fatal("unable to chdir", err)
	}
	for _, dir := range Subdirs("info") {
		ids, err := List(r.fs, dir)
		if err != nil {
			return r.fatal("unable to opendir "+dir, err)
		}
		slices.Sort(ids)
		for _, id := range ids {
			if err := r.message(id); err != nil {
				r.out.WriteString("warning: trouble with #" + id.String() + ": " + strerr.Text(err) + "\n")
			}
		}
	}
	return nil
}

func (r *reader) fatal(what string, err error) error {
	r.out.WriteString("fatal: " + what + ": " + strerr.Text(err) + "\n")
	return proc.Exit(proc.StatusTemporary)
}

// message prints one message. It may be delivered and removed meanwhile: then
// the error is that a file does not exist.
func (r *reader) message(id ID) error {
	mess, err := r.fs.Stat(id.Mess())
	if err != nil {
		return err
	}
	_, bounce := r.fs.Stat(id.Bounce())
	sender, birth, err := ReadInfo(r.fs, id)
	if err != nil {
		return err
	}
	r.out.Write(appendStats(nil, id, birth, mess.Size, sender, bounce == nil))
	return errors.Join(
		r.recipients(id.Local(), "\tlocal\t"),
		r.recipients(id.Remote(), "\tremote\t"))
}

// appendStats formats a message's line. The space behind "> " is the
// original's.
func appendStats(dst []byte, id ID, birth time.Time, size int64, sender string, bouncing bool) []byte {
	dst = date822.Append(dst, birth)
	dst = dst[:len(dst)-len(" -0000")]
	dst = append(dst, " GMT  #"+id.String()+"  "...)
	dst = strconv.AppendInt(dst, size, 10)
	dst = append(dst, "  <"...)
	dst = appendVisible(dst, sender)
	dst = append(dst, "> "...)
	if bouncing {
		dst = append(dst, " bouncing"...)
	}
	return append(dst, '\n')
}

// appendVisible shows what is not printable ASCII as underscores: addresses
// come from anybody.
func appendVisible(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c <= '~' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '_')
		}
	}
	return dst
}

func (r *reader) recipients(name, channel string) error {
	f, err := r.fs.Open(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENOENT) {
		return nil // none on this channel, or none left
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var line []byte
	for records := NewRecords(f); ; {
		rec, err := records.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		line = line[:0]
		switch rec.Letter {
		case LetterDone:
			line = append(line, "  done"...)
		case LetterRecipient:
		default:
			continue
		}
		line = appendVisible(append(line, channel...), rec.Text)
		r.out.Write(append(line, '\n'))
	}
}
