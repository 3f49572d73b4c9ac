package strerr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestText(t *testing.T) {
	own := Unable("open", "control/me", syscall.ENOENT)
	for _, c := range []struct {
		err  error
		want string
	}{
		{own, "unable to open control/me: file does not exist"},
		{Unable("read", "input", own), "unable to read input: unable to open control/me: file does not exist"},
		{Unable("fork", "", syscall.EAGAIN), "unable to fork: temporary failure"},
		{Unable("understand", "it", nil), "unable to understand it"},
		{Named("run", "it", syscall.ENOENT), "unable to run it: file does not exist"},
		{Named("run", "", syscall.ENOENT), "unable to run : file does not exist"},
		{Unable("open", "a\nb\x1b\x7f\xc3\xa9", errors.New("because")), "unable to open a?b??\xc3\xa9: because"},
		{fmt.Errorf("in the queue: %w", own), "in the queue: unable to open control/me: file does not exist"},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, "access denied"},
		{syscall.Errno(9999), "errno 9999"},
		{os.ErrDeadlineExceeded, "timed out"},
		{context.DeadlineExceeded, "timed out"},
		{io.ErrUnexpectedEOF, "unexpected end of file"},
		{errors.New("as it is"), "as it is"},
	} {
		if got := Text(c.err); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if !errors.Is(own, syscall.ENOENT) {
		t.Error("the cause is lost")
	}
}

func TestTemporaryOrForGood(t *testing.T) {
	for _, err := range []error{
		syscall.ENOMEM, syscall.ENOSPC, syscall.EIO, syscall.EMFILE, syscall.EDQUOT, syscall.ETIMEDOUT,
		Unable("write", "x", syscall.ENOSPC), errors.New("who knows"), io.EOF,
	} {
		if !Temporary(err) {
			t.Errorf("%v is for good", err)
		}
	}
	for _, err := range []error{
		syscall.ENOENT, syscall.EACCES, syscall.EPERM, syscall.EISDIR, syscall.ENOTDIR, syscall.ELOOP,
		syscall.ENAMETOOLONG, Unable("open", "x", syscall.ENOENT),
	} {
		if Temporary(err) {
			t.Errorf("%v is for now", err)
		}
	}
}

func TestClean(t *testing.T) {
	var all strings.Builder
	for c := range 256 {
		all.WriteByte(byte(c))
	}
	got := Clean(all.String())
	for c := range 256 {
		want := byte(c)
		if c < 32 || c == 127 {
			want = '?'
		}
		if got[c] != want {
			t.Errorf("byte %d becomes %q", c, got[c])
		}
	}
	if s := "caf\u00e9 \xff"; Clean(s) != s {
		t.Errorf("%q", Clean(s))
	}
}
