package sys

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func pipe(t *testing.T) (r, w *FD) {
	t.Helper()
	r, w, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func socketpair(t *testing.T) (a, b *FD) {
	t.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b = NewFD(p[0]), NewFD(p[1])
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// pairs are the kinds of descriptors with a reader and a writer.
var pairs = map[string]func(*testing.T) (r, w *FD){"pipe": pipe, "socket": socketpair}

func TestReadAndWrite(t *testing.T) {
	for name, pair := range pairs {
		for _, nonblocking := range []bool{false, true} {
			for _, deadline := range []time.Time{{}, time.Now().Add(time.Hour)} {
				r, w := pair(t)
				unix.SetNonblock(int(r.Fd()), nonblocking)
				unix.SetNonblock(int(w.Fd()), nonblocking)
				r.SetReadDeadline(deadline)
				w.SetWriteDeadline(deadline)
				sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
				written := make(chan bool)
				go func() {
					w.Write(sent)
					w.Close()
					close(written)
				}()
				got, err := io.ReadAll(r)
				<-written
				if !bytes.Equal(got, sent) || err != nil {
					t.Errorf("%s, nonblocking %v, deadline %v: %d bytes, %v", name, nonblocking, deadline, len(got), err)
				}
			}
		}
	}
}

func TestEndOfFile(t *testing.T) {
	for name, pair := range pairs {
		r, w := pair(t)
		w.Close()
		for range 2 {
			if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("%s: %d, %v", name, n, err)
			}
		}
		if n, err := r.Read(nil); n != 0 || err != nil {
			t.Errorf("%s: nothing wanted: %d, %v", name, n, err)
		}
	}
}

func TestNobodyReads(t *testing.T) {
	for name, pair := range pairs {
		for _, deadline := range []time.Time{{}, time.Now().Add(time.Hour)} {
			r, w := pair(t)
			r.Close()
			w.SetWriteDeadline(deadline)
			if n, err := w.Write([]byte("x")); n != 0 || err != unix.EPIPE {
				t.Errorf("%s: %d, %v", name, n, err)
			}
		}
	}
}

func TestReadDeadline(t *testing.T) {
	for name, pair := range pairs {
		for _, nonblocking := range []bool{false, true} {
			r, w := pair(t)
			unix.SetNonblock(int(r.Fd()), nonblocking)
			for _, d := range []time.Time{time.Now().Add(20 * time.Millisecond), time.Now().Add(-time.Hour), time.Unix(1, 0)} {
				r.SetReadDeadline(d)
				if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: %d, %v", name, n, err)
				}
			}
			// What is there is read even when the time is over.
			w.Write([]byte("x"))
			if n, err := r.Read(make([]byte, 1)); n != 1 || err != nil {
				t.Errorf("%s: %d, %v", name, n, err)
			}
			r.SetReadDeadline(time.Time{})
			w.Write([]byte("y"))
			if n, err := r.Read(make([]byte, 1)); n != 1 || err != nil {
				t.Errorf("%s without a deadline: %d, %v", name, n, err)
			}
		}
	}
}

// A peer that stops reading in the middle of a large write: poll(2) says that
// there is room, and a blocking write(2) would wait for room for all of it.
func TestWriteDeadline(t *testing.T) {
	for name, pair := range pairs {
		r, w := pair(t)
		w.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		type result struct {
			n   int
			err error
		}
		done := make(chan result, 1)
		go func() {
			n, err := w.Write(make([]byte, 16<<20))
			done <- result{n, err}
		}()
		select {
		case got := <-done:
			if got.n == 0 || !errors.Is(got.err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %d, %v", name, got.n, got.err)
			}
			w.Close()
			if b, _ := io.ReadAll(r); len(b) != got.n {
				t.Errorf("%s: %d bytes written, %d read", name, got.n, len(b))
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: no end", name)
		}
	}
}

func TestClose(t *testing.T) {
	r, _ := pipe(t)
	n := int(r.Fd())
	if err := r.Close(); err != nil || isOpen(n) {
		t.Errorf("%v, open: %v", err, isOpen(n))
	}
	if err := r.Close(); err != unix.EBADF {
		t.Errorf("again: %v", err)
	}
	if _, err := r.Read(make([]byte, 1)); err != unix.EBADF {
		t.Errorf("read: %v", err)
	}
	if _, err := r.Write(make([]byte, 1)); err != unix.EBADF {
		t.Errorf("write: %v", err)
	}
}

func TestSeek(t *testing.T) {
	f, err := Open(t.TempDir()+"/f", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Write([]byte("hello"))
	if off, err := f.Seek(1, io.SeekStart); off != 1 || err != nil {
		t.Errorf("%d, %v", off, err)
	}
	if b, err := io.ReadAll(f); string(b) != "ello" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	r, _ := pipe(t)
	if _, err := r.Seek(0, io.SeekStart); err != unix.ESPIPE {
		t.Errorf("a pipe: %v", err)
	}
	if _, err := Open(t.TempDir()+"/none", os.O_RDONLY, 0); err != unix.ENOENT {
		t.Errorf("no file: %v", err)
	}
}

func TestDescriptorsAreNotInherits(t *testing.T) {
	r, w := pipe(t)
	f, err := Open("/dev/null", os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, fd := range []*FD{r, w, f} {
		if flags, err := unix.FcntlInt(fd.Fd(), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 || err != nil {
			t.Errorf("descriptor %d: %d, %v", fd.Fd(), flags, err)
		}
	}
}

func TestLock(t *testing.T) {
	name := t.TempDir() + "/lock"
	open := func() *FD {
		f, err := Open(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	a, b := open(), open()
	if err := Lock(int(a.Fd()), false); err != nil {
		t.Fatal(err)
	}
	if err := Lock(int(b.Fd()), false); err != unix.EWOULDBLOCK {
		t.Errorf("held by another: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- Lock(int(b.Fd()), true) }()
	a.Close()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the lock does not go over")
	}
}

func isOpen(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

func TestInherits(t *testing.T) {
	r, w, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	n := int(r.Fd())
	if Inherits(n) {
		t.Error("our own pipe counts as the caller's")
	}
	if _, err := unix.FcntlInt(uintptr(n), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
	if !Inherits(n) {
		t.Error("a descriptor without close-on-exec does not")
	}
	if Inherits(999) {
		t.Error("one that is not open does")
	}
}
