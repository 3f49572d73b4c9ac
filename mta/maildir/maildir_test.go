package maildir

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/fsys/crashfs"
	"paperpath/internal/proc/proctest"
)

const (
	head    = "Return-Path: <s@x>\nDelivered-To: r@y\n"
	body    = "Subject: test\n\nFrom the start\nto the end"
	message = head + body
)

func TestDeliver(t *testing.T) {
	for name, body := range map[string]string{
		"short":           body,
		"empty":           "",
		"a block":         strings.Repeat("x", blockSize-len(head)),
		"a block and one": strings.Repeat("x", blockSize-len(head)+1),
		"many blocks":     strings.Repeat("0123456789\n", 100_000),
		"any bytes":       "\x00\xff\r\n\r",
	} {
		for reader, from := range map[string]func(io.Reader) io.Reader{
			"whole":   func(r io.Reader) io.Reader { return r },
			"halves":  iotest.HalfReader,
			"EOF too": iotest.DataErrReader,
		} {
			t.Run(name+" "+reader, func(t *testing.T) {
				dir := newMaildir(t)
				err := Deliver(fsys.OS{Root: filepath.Dir(dir)}, "./Maildir/", []byte(head), from(strings.NewReader(body)))
				if err != nil {
					t.Fatal(err)
				}
				if got := only(t, filepath.Join(dir, "new")); got != head+body {
					t.Errorf("%d bytes delivered, want %d", len(got), len(head+body))
				}
				if left := list(t, filepath.Join(dir, "tmp")); len(left) != 0 {
					t.Errorf("left in tmp: %q", left)
				}
			})
		}
	}
}

func TestHeadLongerThanABlock(t *testing.T) {
	dir := newMaildir(t)
	head := strings.Repeat("h", 2*blockSize)
	if err := Deliver(fsys.OS{}, dir, []byte(head), strings.NewReader("b")); err != nil {
		t.Fatal(err)
	}
	if got := only(t, dir+"/new"); got != head+"b" {
		t.Errorf("%d bytes", len(got))
	}
}

func TestModeIsPrivate(t *testing.T) {
	dir := newMaildir(t)
	if err := Deliver(fsys.OS{}, dir, nil, strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "new", list(t, dir+"/new")[0]))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

// Names are unique within a process, also within a microsecond, and begin with
// the time.
func TestNames(t *testing.T) {
	form := regexp.MustCompile(`^1234567890\.M123P[0-9]+Q[0-9]+\.[^/:]*$`)
	seen := map[string]bool{}
	for range 1000 {
		name := newName(time.Unix(1234567890, 123456))
		if !form.MatchString(name) {
			t.Fatalf("name %q", name)
		}
		if seen[name] {
			t.Fatalf("name %q twice", name)
		}
		seen[name] = true
	}
}

func TestDeliveriesAtOnce(t *testing.T) {
	dir := newMaildir(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := Deliver(fsys.OS{}, dir, []byte(head), strings.NewReader(body)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := list(t, dir+"/new"); len(got) != 50 {
		t.Errorf("%d messages, want 50", len(got))
	}
}

// What is wrong with a Maildir decides what the sender of a bounce would read.
func TestNoMaildir(t *testing.T) {
	dir := t.TempDir()
	mkdir(t, dir, "nonew/tmp", "notmp/new", "newfile/tmp", "newlink/tmp", "newlink/real", "tmpfile/new")
	write0(t, dir, "file", "newfile/new", "tmpfile/tmp")
	symlink(t, "real", dir+"/newlink/new")
	symlink(t, "loop", dir+"/loop")
	for name, want := range map[string]string{
		"missing":  ErrAbsent.Error(),
		"file":     ErrAbsent.Error(),
		"loop":     ErrAbsent.Error(),
		"nonew":    "unable to stat nonew/new: file does not exist",
		"newfile":  "unable to use newfile/new: not a directory",
		"newlink":  "unable to use newlink/new: not a directory",
		"notmp":    "unable to create notmp/tmp/NAME: file does not exist",
		"tmpfile":  "unable to create tmpfile/tmp/NAME: not a directory",
		"missing/": ErrAbsent.Error(),
	} {
		before := tree(t, dir)
		err := Deliver(fsys.OS{Root: dir}, name, []byte(head), strings.NewReader(body))
		got := regexp.MustCompile(`[0-9]+\.M[^: ]*`).ReplaceAllString(errText(err), "NAME")
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if after := tree(t, dir); after != before {
			t.Errorf("%s: the delivery left something:\n%s", name, after)
		}
	}
}

// A Maildir may be a symbolic link, as when it lies on another disk.
func TestMaildirIsALink(t *testing.T) {
	dir := newMaildir(t)
	symlink(t, dir, dir+".link")
	if err := Deliver(fsys.OS{}, dir+".link/", nil, strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	if got := only(t, dir+"/new"); got != body {
		t.Errorf("delivered %q", got)
	}
}

// A drop box may be written by those who cannot read it.
func TestDropBox(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := newMaildir(t)
	if err := os.Chmod(dir+"/new", 0o300); err != nil {
		t.Fatal(err)
	}
	err := Deliver(fsys.OS{}, dir, nil, strings.NewReader(body))
	os.Chmod(dir+"/new", 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if got := only(t, dir+"/new"); got != body {
		t.Errorf("delivered %q", got)
	}
}

func TestReadError(t *testing.T) {
	dir := newMaildir(t)
	source := io.MultiReader(strings.NewReader(body), iotest.ErrReader(syscall.EIO))
	err := Deliver(fsys.OS{}, dir, []byte(head), source)
	var reading *ReadError
	if !errors.As(err, &reading) || err.Error() != "unable to read message: input/output error" {
		t.Errorf("error %v, want a ReadError", err)
	}
	if got := list(t, dir+"/new"); len(got) != 0 {
		t.Errorf("delivered %q", got)
	}
	if got := list(t, dir+"/tmp"); len(got) != 0 {
		t.Errorf("left in tmp: %q", got)
	}
}

// A source that yields bytes too slowly is given up after 24 hours, before
// readers take the file in tmp/ for an orphan.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := ground()
		err := Deliver(fs, "Maildir", nil, &slow{blocks: 3, each: 9 * time.Hour})
		if err != ErrTimeout {
			t.Errorf("error %v, want ErrTimeout", err)
		}
		if got := names(t, fs, "Maildir/tmp"); len(got) != 0 {
			t.Errorf("left in tmp: %q", got)
		}
		if err := Deliver(fs, "Maildir", nil, &slow{blocks: 2, each: 9 * time.Hour}); err != nil {
			t.Errorf("18 hours: %v", err)
		}
	})
}

type slow struct {
	blocks int
	each   time.Duration
}

func (s *slow) Read(b []byte) (int, error) {
	if s.blocks == 0 {
		return 0, io.EOF
	}
	s.blocks--
	time.Sleep(s.each)
	return len(b), nil
}

// A name that is taken in tmp/ or new/ is tried three times, two seconds
// apart, with another name; nothing is overwritten.
func TestNameTaken(t *testing.T) {
	for _, op := range []string{"open", "link"} {
		for taken := range 4 {
			synctest.Test(t, func(t *testing.T) {
				fs := ground()
				var tried []string
				fs.Fault = func(c crashfs.Call) error {
					if c.Op != op || !strings.HasPrefix(c.Name, "Maildir/tmp/") {
						return nil
					}
					tried = append(tried, c.Name+c.Name2)
					if len(tried) <= taken {
						return syscall.EEXIST
					}
					return nil
				}
				start := time.Now()
				err := Deliver(fs, "Maildir", []byte(head), strings.NewReader(body))
				if (err == nil) != (taken < tries) {
					t.Errorf("%s, %d names taken: error %v", op, taken, err)
				}
				if got, want := len(tried), min(taken+1, tries); got != want {
					t.Errorf("%s, %d names taken: %d tries, want %d", op, taken, got, want)
				}
				if got, want := time.Since(start), time.Duration(min(taken, tries-1))*pause; got != want {
					t.Errorf("%s, %d names taken: took %v, want %v", op, taken, got, want)
				}
				for i := range tried {
					if i > 0 && tried[i] == tried[i-1] {
						t.Errorf("%s: the same name again: %s", op, tried[i])
					}
				}
				if got := names(t, fs, "Maildir/new"); len(got) != btoi(err == nil) {
					t.Errorf("%s, %d names taken: in new: %q", op, taken, got)
				}
				if got := names(t, fs, "Maildir/tmp"); len(got) != 0 {
					t.Errorf("%s, %d names taken: in tmp: %q", op, taken, got)
				}
			})
		}
	}
}

// An NFS server may link, lose its answer and say EEXIST to the repetition.
func TestLinkedAlready(t *testing.T) {
	fs := &linkTwice{ground()}
	if err := Deliver(fs, "Maildir", []byte(head), strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	if got := names(t, fs.FS, "Maildir/new"); len(got) != 1 {
		t.Errorf("in new: %q", got)
	}
}

type linkTwice struct{ *crashfs.FS }

func (fs *linkTwice) Link(old, new string) error {
	if err := fs.FS.Link(old, new); err != nil {
		return err
	}
	return fs.FS.Link(old, new)
}

// A cut at any moment leaves in new/ whole messages only, and the message once
// its delivery has been reported.
func TestCuts(t *testing.T) {
	big := strings.Repeat("a line of text\n", 10_000)
	for _, body := range []string{body, big} {
		for _, model := range []crashfs.Model{crashfs.Strict, crashfs.Journal} {
			fs := ground()
			if err := Deliver(fs, "Maildir/", []byte(head), strings.NewReader(body)); err != nil {
				t.Fatal(err)
			}
			done, states := fs.Calls(), 0
			for c := range fs.Crashes(model, 200, 1) {
				states++
				checkWhole(t, c, head+body, c.At >= done)
			}
			if states < 10 {
				t.Errorf("%v: only %d states", model, states)
			}
		}
	}
}

// Without one of the syncs the test above must fail: it can see.
func TestCutsWithoutSync(t *testing.T) {
	for _, op := range []string{"sync", "syncdir"} {
		fs := ground()
		fs.Lie = func(c crashfs.Call) bool { return c.Op == op }
		if err := Deliver(fs, "Maildir/", []byte(head), strings.NewReader(body)); err != nil {
			t.Fatal(err)
		}
		lost := false
		for c := range fs.CrashesAt(fs.Calls(), crashfs.Strict, 200, 1) {
			lost = lost || !whole(t, c.FS, message)
		}
		if !lost {
			t.Errorf("%s left out and no message lost", op)
		}
	}
}

// Each call fails in turn, once or from then on: no success without the whole
// message, and never a part of it in new/, cuts included.
func TestFaults(t *testing.T) {
	for _, fault := range []error{syscall.ENOSPC, syscall.EIO, syscall.EDQUOT, syscall.EMFILE, crashfs.Short(syscall.ENOSPC)} {
		for name, fail := range map[string]func(int, error) func(crashfs.Call) error{"once": crashfs.FailNth, "for good": crashfs.FailFrom} {
			failed := 0
			for n := 0; ; n++ {
				fs := ground()
				fs.Fault = fail(n, fault)
				err := Deliver(fs, "Maildir", []byte(head), strings.NewReader(body))
				done := fs.Calls()
				fs.Fault = nil
				if err != nil {
					failed++
				}
				for c := range fs.Crashes(crashfs.Strict, 50, uint64(n)) {
					checkWhole(t, c, message, err == nil && c.At >= done)
				}
				if done <= n {
					break // nothing was left to fail
				}
			}
			if failed < 7 { // lstat open write sync close link syncdir
				t.Errorf("%v %s: %d failures", fault, name, failed)
			}
		}
	}
}

func TestMaildirmake(t *testing.T) {
	dir := t.TempDir()
	r := proctest.Run(&Maildirmake, proctest.Case{Args: []string{"Maildir"}, Dir: dir})
	if r.Status != 0 || r.Out+r.Err != "" {
		t.Fatalf("status %d, %q", r.Status, r.Out+r.Err)
	}
	if got, want := tree(t, dir+"/Maildir"), ". drwx------\ncur drwx------\nnew drwx------\ntmp drwx------\n"; got != want {
		t.Errorf("made:\n%swant:\n%s", got, want)
	}
	if err := Deliver(fsys.OS{Root: dir}, "Maildir", nil, strings.NewReader(body)); err != nil {
		t.Errorf("delivery to it: %v", err)
	}

	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{nil, "maildirmake: usage: maildirmake [ -q quota | -f folder ] name\n", 100},
		{[]string{"Maildir"}, "maildirmake: fatal: unable to mkdir Maildir: file already exists\n", 111},
		{[]string{"no/Maildir"}, "maildirmake: fatal: unable to mkdir no/Maildir: file does not exist\n", 111},
	} {
		r := proctest.Run(&Maildirmake, proctest.Case{Args: c.args, Dir: dir})
		if r.Status != c.code || r.Err != c.want {
			t.Errorf("%q: status %d, %q; want %d, %q", c.args, r.Status, r.Err, c.code, c.want)
		}
	}
}

func TestMaildirmakeIsDurable(t *testing.T) {
	fs := crashfs.New("home")
	if err := Make(fs, "home/Maildir/"); err != nil {
		t.Fatal(err)
	}
	for c := range fs.CrashesAt(fs.Calls(), crashfs.Strict, 200, 1) {
		if got, err := c.List("home/Maildir"); err != nil || len(got) != 3 {
			t.Errorf("%v: %q %v", c, got, err)
		}
	}
}

func ground() *crashfs.FS {
	return crashfs.New("Maildir", "Maildir/tmp", "Maildir/new", "Maildir/cur")
}

func checkWhole(t *testing.T, c *crashfs.Crash, want string, promised bool) {
	t.Helper()
	for _, name := range names(t, c.FS, "Maildir/new") {
		got, err := fsys.ReadFile(c.FS, "Maildir/new/"+name, 1<<30)
		if err != nil || string(got) != want {
			t.Fatalf("%v: %d bytes in new/, %v; want %d\n%s", c, len(got), err, len(want), c.Dump())
		}
		promised = false
	}
	if promised {
		t.Fatalf("%v: delivered and gone\n%s", c, c.Dump())
	}
}

func whole(t *testing.T, fs *crashfs.FS, want string) bool {
	t.Helper()
	for _, name := range names(t, fs, "Maildir/new") {
		got, err := fsys.ReadFile(fs, "Maildir/new/"+name, 1<<30)
		return err == nil && string(got) == want
	}
	return false
}

func names(t *testing.T, fs *crashfs.FS, dir string) []string {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func newMaildir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "Maildir")
	if err := Make(fsys.OS{}, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func only(t *testing.T, dir string) string {
	t.Helper()
	names := list(t, dir)
	if len(names) != 1 {
		t.Fatalf("%q in %s, want one message", names, dir)
	}
	b, err := os.ReadFile(filepath.Join(dir, names[0]))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			rel, _ := filepath.Rel(dir, path)
			b.WriteString(rel + " " + info.Mode().String() + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func mkdir(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

func write0(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func symlink(t *testing.T, old, new string) {
	t.Helper()
	if err := os.Symlink(old, new); err != nil {
		t.Fatal(err)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
