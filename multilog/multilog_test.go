package multilog

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/internal/sys"
)

func filled(n int) string { return strings.Repeat("x", n) }

func TestSelection(t *testing.T) {
	for _, c := range []struct {
		script  string
		in, err string
	}{
		{"", "one\ntwo\n", ""},
		{"e", "one\ntwo\n", "one\ntwo\n"},
		{"e", "one\ntwo", "one\ntwo\n"},
		{"e", "", ""},
		{"e e", "one\n", "one\none\n"},
		{"-* e", "one\n", ""},
		{"-* +one e", "one\ntwo\n", "one\n"},
		{"e -one e", "one\ntwo\n", "one\ntwo\ntwo\n"},
		{"-a* +a -ab* e", "a\nab\nb\n", "a\nb\n"},
		{"whatever Ignored", "one\n", ""},
		{"e", filled(199) + "\n", filled(199) + "\n"},
		{"e", filled(200) + "\n", filled(200) + "\n"},
		{"e", filled(201) + "\n", filled(200) + "...\n"},
		{"e", "a\x00\x1bb\n", "a\x00\x1bb\n"},
		// Patterns see the first 1000 characters.
		{"-*y e", filled(999) + "y\n", ""},
		{"-*y e", filled(1000) + "y\n", filled(200) + "...\n"},
		{"-" + filled(1000) + " e", filled(5000) + "\n", ""},
	} {
		r := proctest.Run(&Multilog, proctest.Case{Args: strings.Fields(c.script), In: c.in})
		if r.Status != 0 || r.Out != "" || r.Err != c.err {
			t.Errorf("%s: status %d, %q", c.script, r.Status, r.Err)
		}
	}
}

func TestStamp(t *testing.T) {
	r := proctest.Run(&Multilog, proctest.Case{Args: []string{"t", "-*", "+* one", "+*   *", "e"}, In: "one\ntwo\n\n  \n"})
	if !regexp.MustCompile(`^@[0-9a-f]{24} one\n@[0-9a-f]{24}   \n$`).MatchString(r.Err) {
		t.Errorf("%q", r.Err)
	}
	// Only as the first word.
	r = proctest.Run(&Multilog, proctest.Case{Args: []string{"e", "t", "e"}, In: "one\n"})
	if r.Err != "one\none\n" {
		t.Errorf("%q", r.Err)
	}
}

func TestStatusFile(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ in, want string }{
		{"one\ntwo\n", "two"},
		{filled(999) + "\n", filled(999)},
		{filled(1000) + "\n", filled(1000)},
		{filled(1001) + "\n", filled(1000)},
		{"x\n", "x"},
	} {
		r := proctest.Run(&Multilog, proctest.Case{Args: []string{"=status"}, In: c.in, Dir: dir})
		got, err := os.ReadFile(filepath.Join(dir, "status"))
		want := c.want + strings.Repeat("\n", 1001-len(c.want))
		if r.Status != 0 || err != nil || string(got) != want {
			t.Errorf("status %d, %v, %q", r.Status, err, got)
		}
	}
}

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	env := &proc.Env{Dir: dir, Args: strings.Fields("multilog ./default s1 n1 ./small s5000x n007 !cat ./set s99999999999999999999999 n ! ./big")}
	for i := range env.Files {
		env.Files[i] = proc.Closed{}
	}
	s, err := parse(env, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.openLogs(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		size, keep int
		processor  string
	}{
		{99999, 10, "none"}, {4096, 2, "none"}, {5000, 7, "cat"}, {16777215, 2, ""},
	} {
		l := s.logs[i]
		processor := "none"
		if l.processor != nil {
			processor = *l.processor
		}
		if l.size != want.size || l.keep != want.keep || processor != want.processor {
			t.Errorf("%s: s%d n%d !%s", l.name, l.size, l.keep, processor)
		}
	}
}

func TestLogs(t *testing.T) {
	dir := t.TempDir()
	long := filled(50000)
	r := proctest.Run(&Multilog, proctest.Case{
		Args: []string{"./all", "-*b*", "s4096", "./some", filepath.Join(dir, "absolute")},
		In:   "abc\n" + long + "\nxyz",
		Dir:  dir,
	})
	if r.Status != 0 || r.Err != "" {
		t.Fatalf("status %d, %q", r.Status, r.Err)
	}
	for name, want := range map[string]string{
		"all":      "abc\n" + long + "\nxyz\n",
		"some":     long + "\nxyz\n",
		"absolute": long + "\nxyz\n",
	} {
		files, _ := filepath.Glob(filepath.Join(dir, name, "@*.s"))
		got := ""
		for _, file := range append(files, filepath.Join(dir, name, "current")) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got += string(text)
		}
		// The small ones kept the last nine files of 4096 bytes.
		if !strings.HasSuffix(want, got) || len(got) < min(len(want), 9*4096) {
			t.Errorf("%s: %d bytes of %d", name, len(got), len(want))
		}
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ script, want string }{
		{"=no/file", "unable to create no/file: file does not exist"},
		{"./no/dir", "unable to open directory ./no/dir: file does not exist"},
		{"./file", "unable to open directory ./file: not a directory"},
		{"./log ./log", "unable to lock directory ./log: temporary failure"},
	} {
		r := proctest.Run(&Multilog, proctest.Case{Args: strings.Fields(c.script), In: "lost\n", Dir: dir})
		if r.Status != 111 || r.Err != "multilog: fatal: "+c.want+"\n" {
			t.Errorf("%s: status %d, %q", c.script, r.Status, r.Err)
		}
	}
}

// A lock that is held for a moment only, as by the processor of a killed multilog
// until its execve, does not stop the next one.
func TestLockForAMoment(t *testing.T) {
	held := heldLock(1)
	if err := tryLock(&held); err != nil || held != 0 {
		t.Errorf("%v, %d", err, held)
	}
}

// A heldLock is free after that many attempts.
type heldLock int

func (l *heldLock) Lock(bool) error {
	if *l > 0 {
		*l--
		return syscall.EWOULDBLOCK
	}
	return nil
}

// onPipe runs multilog in dir with a pipe as its input, and returns the other end.
func onPipe(t *testing.T, dir string, script ...string) (out *sys.FD, done chan proctest.Result) {
	t.Helper()
	in, out, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	done = make(chan proctest.Result)
	go func() {
		done <- proctest.Run(&Multilog, proctest.Case{Args: script, Dir: dir, Files: map[int]proc.File{0: in}})
	}()
	return out, done
}

// A read error is not silently taken for end of file.
func TestReadError(t *testing.T) {
	dir := t.TempDir()
	in, err := sys.Open(dir, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := proctest.Run(&Multilog, proctest.Case{Args: []string{"./log"}, Dir: dir, Files: map[int]proc.File{0: in}})
	if r.Status != 0 || r.Err != "multilog: warning: unable to read standard input: is a directory\n" {
		t.Errorf("status %d, %q", r.Status, r.Err)
	}
}

// The directory may be renamed while it is written, also when a processor is to
// be run in it.
func TestRenamedDirectory(t *testing.T) {
	for _, script := range [][]string{{"s4096", "./log"}, {"s4096", "!pwd; cat", "./log"}} {
		dir := t.TempDir()
		out, done := onPipe(t, dir, script...)
		out.Write([]byte("first\n"))
		waitFor(t, func() bool {
			text, _ := os.ReadFile(filepath.Join(dir, "log", "current"))
			return string(text) == "first\n"
		})
		moved := filepath.Join(dir, "moved")
		if err := os.Rename(filepath.Join(dir, "log"), moved); err != nil {
			t.Fatal(err)
		}
		out.Write([]byte(filled(3000) + "\nlast\n"))
		out.Close()
		var r proctest.Result
		select {
		case r = <-done:
		case <-time.After(20 * time.Second):
			t.Fatal("it does not end")
		}
		if r.Status != 0 || r.Err != "" {
			t.Errorf("status %d, %q", r.Status, r.Err)
		}
		old, _ := filepath.Glob(filepath.Join(moved, "@*.s"))
		text, _ := os.ReadFile(filepath.Join(moved, "current"))
		if len(old) != 1 || string(text) != "last\n" {
			t.Fatalf("%v, current %q", old, text)
		}
		if text, _ := os.ReadFile(old[0]); len(script) == 3 && !strings.HasPrefix(string(text), moved+"\nfirst\n") {
			t.Errorf("the old log begins with %.80q", text)
		}
	}
}

// The processor inherits multilog's descriptor 3.
func TestProcessorInheritsDescriptor(t *testing.T) {
	in, out, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r := proctest.Run(&Multilog, proctest.Case{
		Args: []string{"s4096", "!echo said >&3; cat", "./log"}, Dir: t.TempDir(),
		In: filled(3000) + "\nlast\n", Files: map[int]proc.File{3: out},
	})
	out.Close()
	text, _ := io.ReadAll(in)
	if r.Status != 0 || r.Err != "" || string(text) != "said\n" {
		t.Errorf("status %d, %q, descriptor 3 got %q", r.Status, r.Err, text)
	}
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for range 3000 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("nothing happened")
}

// TERM in the middle of a line: multilog reads the rest of the line and not a byte
// more. ALRM is obeyed before anything is read.
func TestSignals(t *testing.T) {
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := openInput(r)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	buf := make([]byte, 100)
	w.Write([]byte("one\ntw"))
	if n, what := in.read(buf); n != 6 || what != bytesCame {
		t.Fatal(n, what)
	}
	signal := func(sig syscall.Signal) {
		if err := syscall.Kill(os.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
		// It may be delivered to another thread, a moment later.
		if _, err := sys.Poll(time.Time{}, in.signals.R); err != nil {
			t.Fatal(err)
		}
	}
	w.Write([]byte("o\nthree\n"))
	signal(syscall.SIGALRM)
	if n, what := in.read(buf); n != 0 || what != rotateNow {
		t.Fatal(n, what)
	}
	signal(syscall.SIGTERM)
	got := ""
	for {
		n, what := in.read(buf)
		if what != bytesCame {
			break
		}
		got += string(buf[:n])
	}
	if got != "o\n" {
		t.Errorf("after TERM it read %q", got)
	}
	if n, _ := r.Read(buf); string(buf[:n]) != "three\n" {
		t.Errorf("it left %q", buf[:n])
	}
}

// FuzzTake cuts the input at random: the logs get the same lines.
func FuzzTake(f *testing.F) {
	f.Add("one\ntwo\nthree", uint64(1), "-*w*")
	f.Add(filled(1000)+"\n"+filled(1001)+"\n\n", uint64(2), "+*")
	f.Add(filled(999)+"\n"+filled(3000), uint64(3), "")
	f.Fuzz(func(t *testing.T, text string, seed uint64, pattern string) {
		if len(text) > bufferSize {
			return
		}
		whole, parts := selector(pattern), selector(pattern)
		whole.add(text)
		rng := rand.New(rand.NewPCG(seed, 0))
		for rest := text; len(rest) > 0; {
			n := 1 + rng.IntN(len(rest))
			parts.add(rest[:n])
			if n := len(parts.pending()); n >= headSize {
				t.Fatalf("%d bytes are held back", n)
			}
			rest = rest[n:]
		}
		a, b := whole.end(), parts.end()
		if a != b {
			t.Errorf("%q in one piece, %q in several", a, b)
		}
		if !strings.HasSuffix(text, "\n") && text != "" {
			text += "\n"
		}
		if !parts.choosy && a != text {
			t.Errorf("%q became %q", text, a)
		}
	})
}

// selected is a script whose only log is a buffer.
type selected struct {
	*script
	buffer
	kept *sink
}

func selector(text string) *selected {
	kept := &sink{}
	s := &script{}
	if text != "" && (text[0] == '+' || text[0] == '-') {
		s.choosy = true
		s.actions = append(s.actions, action{verb: text[0], pattern: compile(text[1:])})
	}
	s.outs = []*out{{to: kept, selected: true}}
	s.actions = append(s.actions, action{verb: toOut, out: s.outs[0]})
	return &selected{s, buffer{data: make([]byte, dataSize), atOnce: bufferSize}, kept}
}

func (s *selected) add(text string) {
	s.buffer.end += copy(s.room(), text)
	s.apply(s.script)
}

func (s *selected) end() string {
	s.buffer.finish(s.script)
	return string(*s.kept)
}

type sink []byte

func (s *sink) write(b []byte) { *s = append(*s, b...) }
