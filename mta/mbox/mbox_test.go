package mbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/fsys/crashfs"
)

const head = "From s@x Sat Jan 03 01:05:34 1996\nReturn-Path: <s@x>\nDelivered-To: r@y\n"

func TestAppend(t *testing.T) {
	for _, c := range []struct{ before, body, want string }{
		{"", "Subject: a\n\nb\n", head + "Subject: a\n\nb\n\n"},
		{"", "", head + "\n"},
		{"", "\n", head + "\n\n"},
		{"", "last line not ended", head + "last line not ended\n\n"},
		{"", "Fro", head + "Fro\n\n"},
		{"", ">>", head + ">>\n\n"},
		{"", "From ", head + ">From \n\n"},
		{"", "\x00\xff\r\n", head + "\x00\xff\r\n\n"},
		{"From a\n\nb\n\n", "c\n", "From a\n\nb\n\n" + head + "c\n\n"},
		{"From a\n\nb\n", "c\n", "From a\n\nb\n" + head + "c\n\n"},
		// What a crash left is ended, so that From begins a line.
		{"From a\n\nb", "c\n", "From a\n\nb\n" + head + "c\n\n"},
		{"From a\n\nb\n\n\x00\x00", "c\n", "From a\n\nb\n\n\x00\x00\n" + head + "c\n\n"},
	} {
		dir := t.TempDir()
		if c.before != "" {
			fill(t, dir+"/Mailbox", c.before)
		}
		if err := Append(fsys.OS{Root: dir}, "./Mailbox", []byte(head), strings.NewReader(c.body)); err != nil {
			t.Errorf("%q: %v", c.body, err)
			continue
		}
		if got := read(t, dir+"/Mailbox"); got != c.want {
			t.Errorf("%q onto %q: %q, want %q", c.body, c.before, got, c.want)
		}
	}
}

// The messages of one append are all there or none is.
func TestAppendAll(t *testing.T) {
	for _, old := range []string{"", "From a\n\nb\n\n", "From a\n\ntorn"} {
		name := t.TempDir() + "/Mailbox"
		fill(t, name, old)
		cause := errors.New("cannot be opened")
		for failAt := range 4 {
			err := AppendAll(fsys.OS{}, name, func(yield func(Message, error) bool) {
				for i := range 3 {
					if i == failAt {
						yield(Message{}, cause)
						return
					}
					body := strings.Repeat("From "+strings.Repeat("x", i)+"\n", 20_000)
					if !yield(Message{[]byte(head), strings.NewReader(body)}, nil) {
						return
					}
				}
			})
			var failed *Error
			if failAt < 3 && (!errors.As(err, &failed) || failed.Step != Read || failed.Err != cause) {
				t.Errorf("%d: error %v", failAt, err)
			}
			if got := read(t, name); failAt < 3 && got != old {
				t.Errorf("%d: %d bytes after an error, %d before", failAt, len(got), len(old))
			} else if failAt == 3 && (err != nil || strings.Count(got, head) != 3 || !strings.HasPrefix(got, old)) {
				t.Errorf("%d of 3 messages, %v", strings.Count(got, head), err)
			}
		}
	}
}

func TestFromLine(t *testing.T) {
	for sender, want := range map[string]string{
		"":                "MAILER-DAEMON",
		"a@b":             "a@b",
		"\"a b\tc\"@d\ne": "\"a-b-c\"@d-e",
		"\x7f\x00\xff":    "--\xff",
	} {
		want := "From " + want + " Wed Jan 03 01:05:34 1996\n"
		at := time.Date(1996, 1, 3, 2, 5, 34, 9, time.FixedZone("", 3600))
		if got := FromLine(sender, at); got != want {
			t.Errorf("%q: %q, want %q", sender, got, want)
		}
	}
}

func TestNewFileIsPrivate(t *testing.T) {
	name := t.TempDir() + "/Mailbox"
	if err := Append(fsys.OS{}, name, nil, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

// Only a regular file is a mailbox, and nothing else is waited for.
func TestNotRegular(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir+"/real", "")
	for _, err := range []error{
		os.Symlink("real", dir+"/link"),
		os.Mkdir(dir+"/dir", 0o700),
		unix.Mkfifo(dir+"/fifo", 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]error{
		"link":         unix.ELOOP,
		"dir":          unix.EISDIR,
		"fifo":         errNotRegular,
		"dir/no/file":  unix.ENOENT,
		"real/no/file": unix.ENOTDIR,
	} {
		err := Append(fsys.OS{Root: dir}, name, []byte(head), strings.NewReader("x\n"))
		var failed *Error
		if !errors.As(err, &failed) || failed.Step != Open || failed.Err != want {
			t.Errorf("%s: %v, want open: %v", name, err, want)
		}
	}
	if got := read(t, dir+"/real"); got != "" {
		t.Errorf("through the link: %q", got)
	}
}

// A mailbox that may be written but not read is one.
func TestWriteOnly(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	name := t.TempDir() + "/Mailbox"
	fill(t, name, "From a\n\n")
	if err := os.Chmod(name, 0o200); err != nil {
		t.Fatal(err)
	}
	if err := Append(fsys.OS{}, name, []byte(head), strings.NewReader("x\n")); err != nil {
		t.Fatal(err)
	}
	os.Chmod(name, 0o600)
	if got, want := read(t, name), "From a\n\n"+head+"x\n\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestDeliveriesAtOnce(t *testing.T) {
	name := t.TempDir() + "/Mailbox"
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			body := strings.Repeat(fmt.Sprintln("line of message", i), 10_000)
			if err := Append(fsys.OS{}, name, []byte("From \n"), strings.NewReader(body)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	messages := strings.Split(read(t, name), "From \n")[1:]
	if len(messages) != 30 {
		t.Fatalf("%d messages, want 30", len(messages))
	}
	seen := map[string]bool{}
	for _, m := range messages {
		lines := strings.Split(strings.TrimSuffix(m, "\n\n"), "\n")
		for _, l := range lines {
			if l != lines[0] {
				t.Fatalf("%q within a message of %q", l, lines[0])
			}
		}
		if len(lines) != 10_000 || seen[lines[0]] {
			t.Fatalf("%d lines of %q", len(lines), lines[0])
		}
		seen[lines[0]] = true
	}
}

// A lock that is released within 30 seconds is waited for.
func TestLockIsWaitedFor(t *testing.T) {
	name := t.TempDir() + "/Mailbox"
	fill(t, name, "")
	holder := hold(t, name)
	result := make(chan error)
	go func() { result <- Append(fsys.OS{}, name, []byte(head), strings.NewReader("x\n")) }()
	select {
	case err := <-result:
		t.Fatalf("delivered to a locked mailbox: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	holder.Close()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, name), head+"x\n\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A mail reader may write the mailbox anew and rename it into place, all under
// the lock of the old one. Mail must not go to the file that is no more.
func TestReplacedWhileWaiting(t *testing.T) {
	name := t.TempDir() + "/Mailbox"
	fill(t, name, "From old\n\n")
	holder := hold(t, name)
	result := make(chan error)
	go func() { result <- Append(fsys.OS{}, name, []byte(head), strings.NewReader("x\n")) }()
	time.Sleep(50 * time.Millisecond)
	fill(t, name+".new", "From new\n\n")
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
	holder.Close()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, name), "From new\n\n"+head+"x\n\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLockTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		fs := &locking{FS: crashfs.New(), lock: func(wait bool) error {
			if !wait {
				return unix.EWOULDBLOCK
			}
			<-free
			return nil
		}}
		start := time.Now()
		if err := Append(fs, "Mailbox", []byte(head), strings.NewReader("x")); err != ErrLocked {
			t.Errorf("error %v, want ErrLocked", err)
		}
		if took := time.Since(start); took != lockTimeout {
			t.Errorf("took %v, want %v", took, lockTimeout)
		}
		close(free) // the goroutine that waited gets the lock now, and gives it back
		synctest.Wait()
		if opened, closed := fs.opened.n, fs.closed.n; opened != 1 || closed != 1 {
			t.Errorf("%d opened, %d closed", opened, closed)
		}
		if got := content(t, fs.FS, "Mailbox"); got != "" {
			t.Errorf("written without the lock: %q", got)
		}
	})
}

// Where locks do not work (some NFS), nothing is written. C qmail writes, and
// two writers at once tear each other's messages.
func TestLockFails(t *testing.T) {
	for _, cause := range []error{unix.ENOLCK, unix.EINVAL, unix.EIO} {
		fs := &locking{FS: crashfs.New(), lock: func(bool) error { return cause }}
		err := Append(fs, "Mailbox", []byte(head), strings.NewReader("x"))
		var failed *Error
		if !errors.As(err, &failed) || failed.Step != Lock || failed.Err != cause {
			t.Errorf("error %v, want lock: %v", err, cause)
		}
		if got := content(t, fs.FS, "Mailbox"); got != "" {
			t.Errorf("%v: written without the lock: %q", cause, got)
		}
	}
}

func TestReadErrorLeavesFileAsItWas(t *testing.T) {
	name := t.TempDir() + "/Mailbox"
	for _, before := range []string{"From a\n\nb\n\n", "torn"} {
		fill(t, name, before)
		body := io.MultiReader(strings.NewReader(strings.Repeat("x\n", 100_000)), iotest.ErrReader(unix.EIO))
		err := Append(fsys.OS{}, name, []byte(head), body)
		var failed *Error
		if !errors.As(err, &failed) || failed.Step != Read || failed.Err != unix.EIO {
			t.Errorf("error %v, want read: EIO", err)
		}
		if got := read(t, name); got != before {
			t.Errorf("%d bytes left, want %d", len(got), len(before))
		}
	}
}

// Each call fails in turn. An error means that the file is what it was (unless
// cutting it off failed as well); success, that the message is in it.
func TestFaults(t *testing.T) {
	body := strings.Repeat("a line of text\n", 10_000)
	for _, before := range []string{"", "From a\n\nb\n\n", "From a\n\ntorn"} {
		for _, fault := range []error{syscall.ENOSPC, syscall.EIO, syscall.EDQUOT, crashfs.Short(syscall.ENOSPC)} {
			failed := 0
			for n := 0; ; n++ {
				fs := ground(t, before)
				fs.Fault = crashfs.FailNth(n, fault)
				err := Append(fs, "home/Mailbox", []byte(head), strings.NewReader(body))
				calls := fs.Calls()
				fs.Fault = nil
				if err != nil {
					failed++
				}
				got := content(t, fs.FS, "home/Mailbox")
				want := before
				if err == nil {
					want = ended(before) + head + body + "\n"
				}
				if got != want {
					t.Fatalf("%q, call %d %v: error %v and %d bytes, want %d", before, n, fault, err, len(got), len(want))
				}
				if calls <= n {
					break
				}
			}
			if failed < 6 {
				t.Errorf("%v: %d failures", fault, failed)
			}
		}
	}
}

// A cut at any moment leaves the old messages, and the new one once it has been
// reported. The next delivery is a message of its own whatever the cut left.
func TestCuts(t *testing.T) {
	const next = "From n@x Sun Jan 04 01:05:34 1996\n"
	body := strings.Repeat("a line of text\n", 10_000)
	for _, before := range []string{"", "From a\n\nb\n\n", "From a\n\ntorn"} {
		for _, model := range []crashfs.Model{crashfs.Strict, crashfs.Journal} {
			fs := ground(t, before)
			if err := Append(fs, "home/Mailbox", []byte(head), strings.NewReader(body)); err != nil {
				t.Fatal(err)
			}
			whole := ended(before) + head + body + "\n"
			done, states := fs.Calls(), 0
			for c := range fs.Crashes(model, 100, 1) {
				states++
				after := content(t, c.FS, "home/Mailbox")
				if !strings.HasPrefix(after, before) || len(after) > len(whole) {
					t.Fatalf("%v: %d bytes, %.50q…", c, len(after), after)
				}
				if c.At >= done && after != whole {
					t.Fatalf("%v: delivered and gone", c)
				}
				if err := Append(&locking{FS: c.FS}, "home/Mailbox", []byte(next), strings.NewReader("z\n")); err != nil {
					t.Fatal(err)
				}
				if got := content(t, c.FS, "home/Mailbox"); got != ended(after)+next+"z\n\n" {
					t.Fatalf("%v: the next message: %.300q", c, got[len(after):])
				}
			}
			if states < 4 {
				t.Errorf("%v: only %d states", model, states)
			}
		}
	}
}

func TestCutsWithoutSync(t *testing.T) {
	for _, op := range []string{"sync", "syncdir"} {
		fs := ground(t, "")
		fs.Lie = func(c crashfs.Call) bool { return c.Op == op }
		if err := Append(fs, "home/Mailbox", []byte(head), strings.NewReader("x\n")); err != nil {
			t.Fatal(err)
		}
		lost := false
		for c := range fs.CrashesAt(fs.Calls(), crashfs.Strict, 100, 1) {
			lost = lost || content(t, c.FS, "home/Mailbox") != head+"x\n\n"
		}
		if !lost {
			t.Errorf("%s left out and no message lost", op)
		}
	}
}

// ground is a file system with a mailbox that has been there for long, or none.
func ground(t *testing.T, before string) *locking {
	t.Helper()
	fs := crashfs.New("home")
	if before != "" {
		f, err := fs.Open("home/Mailbox", fsys.WRONLY|fsys.CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, before)
		f.Close()
	}
	fs.Settle()
	return &locking{FS: fs}
}

func ended(s string) string {
	if s != "" && !strings.HasSuffix(s, "\n") {
		return s + "\n"
	}
	return s
}

// locking adds locks to crashfs, which is only ever used by one process.
type locking struct {
	*crashfs.FS
	lock           func(wait bool) error // nil: granted
	opened, closed counter
}

type counter struct {
	sync.Mutex
	n int
}

func (c *counter) add() { c.Lock(); c.n++; c.Unlock() }

func (fs *locking) Open(name string, flags int, perm uint32) (fsys.File, error) {
	f, err := fs.FS.Open(name, flags, perm)
	if err != nil {
		return nil, err
	}
	fs.opened.add()
	return &lockable{f, fs}, nil
}

type lockable struct {
	fsys.File
	fs *locking
}

func (f *lockable) Lock(wait bool) error {
	if f.fs.lock == nil {
		return nil
	}
	return f.fs.lock(wait)
}

func (f *lockable) Close() error { f.fs.closed.add(); return f.File.Close() }

func content(t *testing.T, fs *crashfs.FS, name string) string {
	t.Helper()
	b, err := fsys.ReadFile(fs, name, 1<<30)
	if err != nil && err != unix.ENOENT {
		t.Fatal(err)
	}
	return string(b)
}

func hold(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return f
}

func fill(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Clean(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
