package local

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/internal/sys"
)

const message = "Received: somehow\nSubject: test\n\nFrom me\n>From you\n"

// box is a home directory and what a delivery to it did.
type box struct {
	t    *testing.T
	dir  string
	home string
	vars proc.Vars
}

// delivery arguments that a test does not mention
type to struct {
	opt          string
	dash, ext    string
	local        string // default "u"
	host         string // default "h.d"
	sender       string // default "s@x"; "<>" is the empty one
	instructions string // default "./Mailbox"
	message      string // default message
}

func newBox(t *testing.T, files map[string]string) *box {
	t.Helper()
	b := &box{t: t, dir: t.TempDir()}
	b.home = b.dir + "/home"
	if err := os.Mkdir(b.home, 0o755); err != nil {
		t.Fatal(err)
	}
	os.Chmod(b.home, 0o755) // whatever the umask
	for name, text := range files {
		b.write(name, text, 0o644)
	}
	// A queue that keeps what it is given.
	queue := b.dir + "/queue"
	script := "#!/bin/sh\ncat >message || exit 53\ncat <&1 >envelope\n" +
		"test -z \"$ANSWER\" || { test \"$ANSWER\" = 82 && echo \"$TEXT\" >&6; exit $ANSWER; }\n"
	if err := os.WriteFile(queue, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	b.vars = proc.Vars{"PATH=/usr/bin:/bin", "QMAILHOME=" + b.dir, "QMAILQUEUE=" + queue}
	return b
}

func (b *box) write(name, text string, mode os.FileMode) {
	b.t.Helper()
	file := filepath.Join(b.home, name)
	if strings.HasSuffix(name, "/") {
		if err := os.MkdirAll(file, 0o755); err != nil {
			b.t.Fatal(err)
		}
		return
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) read(name string) string {
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil {
		return "<" + err.(*os.PathError).Err.Error() + ">"
	}
	return strings.ReplaceAll(string(text), "\x00", "|")
}

var (
	date = regexp.MustCompile(`[A-Z][a-z][a-z] [A-Z][a-z][a-z] [0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4}`)
	qp   = regexp.MustCompile(`(?m)^qp [0-9]+$`)
)

// deliver runs qmail-local with real descriptors, because commands get them.
func (b *box) deliver(c to) proctest.Result {
	b.t.Helper()
	def := func(s *string, d string) {
		if *s == "" {
			*s = d
		}
	}
	def(&c.local, "u")
	def(&c.host, "h.d")
	def(&c.sender, "s@x")
	def(&c.instructions, "./Mailbox")
	def(&c.message, message)
	if c.sender == "<>" {
		c.sender = ""
	}
	args := []string{"user", b.home, c.local, c.dash, c.ext, c.host, c.sender, c.instructions}
	if c.opt != "" {
		args = append([]string{c.opt}, args...)
	}
	if err := os.WriteFile(b.dir+"/input", []byte(c.message), 0o644); err != nil {
		b.t.Fatal(err)
	}
	in := b.open("input", os.O_RDONLY)
	in.Seek(3, 0) // qmail-lspawn has no reason to rewind it
	out, errs := b.open("out", os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND), b.open("err", os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND)
	r := proctest.Run(&QmailLocal, proctest.Case{
		Args: args, Vars: b.vars, Files: map[int]proc.File{0: in, 1: out, 2: errs},
	})
	for _, f := range []*sys.FD{in, out, errs} {
		f.Close()
	}
	r.Out, r.Err = qp.ReplaceAllString(b.read("out"), "qp N"), b.read("err")
	return r
}

func (b *box) open(name string, flags int) *sys.FD {
	b.t.Helper()
	f, err := sys.Open(filepath.Join(b.dir, name), flags, 0o644)
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

// expect checks a delivery that is expected to end so.
func (b *box) expect(what string, c to, status int, out, errs string) {
	b.t.Helper()
	r := b.deliver(c)
	if r.Status != status || r.Out != out || r.Err != errs {
		b.t.Errorf("%s: status %d, out %q, err %q\nwant %d, out %q, err %q", what, r.Status, r.Out, r.Err, status, out, errs)
	}
}

const usage = "qmail-local: usage: qmail-local [ -nN ] user homedir local dash ext domain sender aliasempty\n"

func TestUsage(t *testing.T) {
	eight := []string{"u", "/", "l", "", "", "h", "s", "./Mailbox"}
	for _, c := range []struct {
		args []string
		err  string
	}{
		{nil, usage},
		{eight[:7], usage},
		{append(eight[:8:8], "more"), usage},
		{[]string{"u", "home", "l", "", "", "h", "s", "./Mailbox"}, usage},
		{[]string{"u", "", "l", "", "", "h", "s", "./Mailbox"}, usage},
		{append([]string{"-x"}, eight...), "qmail-local: illegal option -- x\n" + usage},
	} {
		r := proctest.Run(&QmailLocal, proctest.Case{Args: c.args})
		if r.Status != 100 || r.Err != c.err {
			t.Errorf("%q: status %d, %q", c.args, r.Status, r.Err)
		}
	}
}

// The five kinds of lines, and what -n prints of them.
func TestPlan(t *testing.T) {
	for text, want := range map[string]string{
		"# nothing\n":      "did 0+0+0\n",
		"&me@new.job\n":    "forward me@new.job\ndid 0+1+0\n",
		"me@new.job":       "forward me@new.job\ndid 0+1+0\n",
		" me@x \t\n":       "forward  me@x\ndid 0+1+0\n",
		"& me@x\n&\n":      "forward  me@x\nforward \ndid 0+2+0\n",
		"./Mailbox\n/a b":  "mbox ./Mailbox\nmbox /a b\ndid 2+0+0\n",
		".\n..\n":          "mbox .\nmbox ..\ndid 2+0+0\n",
		"./Maildir/ \n/\n": "maildir ./Maildir/\nmaildir /\ndid 2+0+0\n",
		"| a | b \n|\n":    "program  a | b\nprogram \ndid 0+0+2\n",
		"#\n\n \t\n&a\n\n": "forward a\ndid 0+1+0\n",
		"+list\n&a\n":      "forward a\ndid 0+1+0\n",
		"+\n+else\n|a\n":   "program a\ndid 0+0+1\n",
		"a\r\n":            "forward a\r\ndid 0+1+0\n",
		"./Maildir/x\n-\n": "mbox ./Maildir/x\nforward -\ndid 1+1+0\n",
	} {
		b := newBox(t, map[string]string{".qmail": text})
		b.expect(fmt.Sprintf("%q", text), to{opt: "-n"}, 0, want, "")
		b = newBox(t, nil)
		b.expect(fmt.Sprintf("default %q", text), to{opt: "-n", instructions: text}, 0, want, "")
	}
}

func TestPlanRefused(t *testing.T) {
	const (
		blank = "Uh-oh: first line of .qmail file is blank. (#4.2.1)\n"
		file  = "Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)\n"
		prog  = "Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)\n"
		nul   = "Uh-oh: .qmail file has a NUL in it. (#4.2.1)\n"
	)
	for _, c := range []struct {
		text     string
		mode     os.FileMode
		out, err string
	}{
		{"\n", 0o644, "", blank},
		{" \t\n&a\n", 0o644, "", blank},
		{"./Mailbox\n", 0o744, "", file},
		{"&a\n./Maildir/\n", 0o744, "forward a\n", file},
		{"&a\n|b\n", 0o744, "forward a\n", prog},
		{"&a\n+list\n|b\n", 0o644, "forward a\n", prog},
		{"+list \n./b\n", 0o644, "", file},
		{"&a\x00b\n", 0o644, "", nul},
		{"&a\n", 0o646, "", "Uh-oh: .qmail file is writable. (#4.7.0)\n"},
	} {
		b := newBox(t, nil)
		b.write(".qmail", c.text, c.mode)
		for _, opt := range []string{"-n", "-N"} {
			out := c.out
			if opt == "-N" {
				out = ""
			}
			b.expect(fmt.Sprintf("%s %q", opt, c.text), to{opt: opt}, 111, out, c.err)
		}
		if got := b.read("message"); got != "<no such file or directory>" {
			t.Errorf("%q: forwarded %q", c.text, got)
		}
	}
}

// An empty file means the default instructions, whatever its mode.
func TestEmptyFile(t *testing.T) {
	b := newBox(t, nil)
	b.write(".qmail", "", 0o744)
	b.expect("empty", to{opt: "-n"}, 0, "mbox ./Mailbox\ndid 1+0+0\n", "")
	b.write(".qmail-x", "", 0o644)
	b.expect("empty extension", to{opt: "-n", dash: "-", ext: "x", instructions: "./Maildir/"}, 0, "maildir ./Maildir/\ndid 1+0+0\n", "")
	b.expect("no instructions", to{opt: "-n", instructions: "\n"}, 111, "", "Uh-oh: first line of .qmail file is blank. (#4.2.1)\n")
}

func TestHome(t *testing.T) {
	b := newBox(t, nil)
	os.Chmod(b.home, os.ModeSticky|0o755)
	b.expect("sticky", to{}, 111, "", "Home directory is sticky: user is editing his .qmail file. (#4.2.1)\n")
	b.expect("sticky -n", to{opt: "-n"}, 0, "mbox ./Mailbox\ndid 1+0+0\n", "Warning: home directory is sticky.\n")
	os.Chmod(b.home, 0o757)
	b.expect("writable", to{}, 111, "", "Uh-oh: home directory is writable. (#4.7.0)\n")
	b.home = b.dir + "/gone"
	b.expect("missing", to{}, 111, "", "Unable to switch to "+b.home+": file does not exist. (#4.3.0)\n")
	b.home = b.dir + "/queue"
	b.expect("a file", to{}, 111, "", "Unable to switch to "+b.home+": not a directory. (#4.3.0)\n")
}

const noMailbox = "Sorry, no mailbox here by that name. (#5.1.1)\n"

// Which file controls an extension, and what DEFAULT is then.
func TestSearch(t *testing.T) {
	for _, c := range []struct {
		files, dash, ext, want string
	}{
		{"", "", "", "did 1+0+0\n"},
		{"", "-", "", noMailbox},
		{"", "-", "x", noMailbox},
		{".qmail-x", "-", "x", ".qmail-x,unset"},
		{".qmail-x", "-", "X", ".qmail-x,unset"},
		{".qmail-x .qmail-default", "-", "y", ".qmail-default,y"},
		{".qmail-default", "-", "", ".qmail-default,"},
		{".qmail-default", "-", "Foo-Bar", ".qmail-default,Foo-Bar"},
		{".qmail-a-default .qmail-default", "-", "A-B-c", ".qmail-a-default,B-c"},
		{".qmail-a-default .qmail-a-b-default", "-", "a-b-c", ".qmail-a-b-default,c"},
		{".qmail-a-default .qmail-a-b-default", "-", "a-b", ".qmail-a-default,b"},
		{".qmail-a-b-default", "-", "a-b-", ".qmail-a-b-default,"},
		{".qmail-a-default", "-", "a", noMailbox},
		{".qmail-a-default", "-", "a-Default", ".qmail-a-default,Default"},
		{".qmail-default", "-", "xDEFAULT", ".qmail-default,xDEFAULT"},
		{".qmail-xdefault", "-", "xDEFAULT", ".qmail-xdefault,DEFAULT"},
		{".qmail-a:b", "-", "a.B", ".qmail-a:b,unset"},
		{".qmail-:::", "-", "...", ".qmail-:::,unset"},
		{".qmail-a.b", "-", "a.b", noMailbox},
		{".qmail- .qmail-default", "-", "", ".qmail-,unset"},
		{".qmailx .qmail", "", "x", ".qmailx,unset"},
		{".qmaildefault", "", "x", ".qmaildefault,x"},
		{".qmail-a/ .qmail-default", "-", "a", ".qmail-default,a"},
		{".qmail-/a .qmail-/default", "-/", "a", ".qmail-/a,unset"},
		{".qmail-/a .qmail-/default", "-/", "b", ".qmail-/default,b"},
		{".qmail-a/b .qmail-default", "-", "a/b", ".qmail-default,a/b"},
		{".qmail-a/default .qmail-a/b-default", "-", "a/b-c", noMailbox},
		{".qmail-default", "-", strings.Repeat("x", 300), ".qmail-default," + strings.Repeat("x", 300)},
		{".qmail-default", "-", "$(touch f);`touch f`", ".qmail-default,$(touch f);`touch f`"},
		{".qmail-default", "-", "() { :;}; touch f", ".qmail-default,() { :;}; touch f"},
	} {
		b := newBox(t, nil)
		for name := range strings.FieldsSeq(c.files) {
			if dir := filepath.Dir(name); dir != "." {
				b.write(dir+"/", "", 0)
			}
			b.write(name, "|printf '%s,%s' "+name+" \"${DEFAULT-unset}\"; exit 99\n", 0o644)
		}
		r := b.deliver(to{dash: c.dash, ext: c.ext})
		got := strings.TrimSuffix(r.Out, "did 0+0+1\n") + r.Err
		if got != c.want {
			t.Errorf("%q, %q %.50q: %.100q, want %.100q", c.files, c.dash, c.ext, got, c.want)
		}
		if got := b.read("home/f"); got != "<no such file or directory>" {
			t.Errorf("%q: the extension reached the shell", c.ext)
		}
	}
}

// What is not a regular file is no .qmail file; what cannot be opened may be
// one.
func TestOddQmailFiles(t *testing.T) {
	b := newBox(t, map[string]string{".qmail-default": "|echo default\n", "real": "|echo real\n"})
	for name, err := range map[string]error{
		"fifo": syscall.Mkfifo(b.home+"/.qmail-fifo", 0o644),
		"gone": os.Symlink("nowhere", b.home+"/.qmail-gone"),
		"loop": os.Symlink(".qmail-loop", b.home+"/.qmail-loop"),
		"dir":  os.Mkdir(b.home+"/.qmail-dir", 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
		b.expect(name, to{dash: "-", ext: name}, 0, "default\ndid 0+0+1\n", "")
	}
	os.Symlink("real", b.home+"/.qmail-link")
	b.expect("link", to{dash: "-", ext: "link"}, 0, "real\ndid 0+0+1\n", "")

	if os.Getuid() == 0 {
		t.Skip("root may read everything: the rest needs a file that cannot be read")
	}
	b.write(".qmail-shut", "|echo shut\n", 0)
	b.expect("unreadable", to{dash: "-", ext: "shut"}, 111, "", "Unable to open .qmail-shut: access denied. (#4.3.0)\n")
}

func TestLongFile(t *testing.T) {
	b := newBox(t, map[string]string{
		".qmail":      strings.Repeat("a@b\n", 50_000),
		".qmail-huge": strings.Repeat("#", maxQmail+1),
	})
	b.expect("50000 addresses", to{}, 0, "did 0+50000+0\nqp N\n", "")
	if got := strings.Count(b.read("envelope"), "Ta@b|"); got != 50_000 {
		t.Errorf("forwarded to %d", got)
	}
	b.expect("huge", to{dash: "-", ext: "huge"}, 111, "", "Unable to read .qmail-huge: file too big. (#4.3.0)\n")
}
