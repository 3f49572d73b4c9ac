package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

// fields as they stand in front of the test message
const (
	fromLine = "From s@x DATE\n"
	head     = "Return-Path: <s@x>\nDelivered-To: u@h.d\n"
)

func (b *box) delivered() []string {
	b.t.Helper()
	files, err := filepath.Glob(b.home + "/Maildir/new/*")
	if err != nil {
		b.t.Fatal(err)
	}
	var messages []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			b.t.Fatal(err)
		}
		messages = append(messages, string(text))
	}
	return messages
}

func TestEachKind(t *testing.T) {
	b := newBox(t, map[string]string{
		"Maildir/tmp/": "", "Maildir/new/": "",
		".qmail": "./Maildir/\n./Mailbox\n|cat >copy\n&a@b\n#\nc@d\n",
	})
	b.expect("all kinds", to{}, 0, "did 2+2+1\nqp N\n", "")
	if got := b.delivered(); len(got) != 1 || got[0] != head+message {
		t.Errorf("Maildir: %q", got)
	}
	want := fromLine + head + "Received: somehow\nSubject: test\n\n>From me\n>>From you\n\n"
	if got := date.ReplaceAllString(b.read("home/Mailbox"), "DATE"); got != want {
		t.Errorf("Mailbox: %q", got)
	}
	if got := b.read("home/copy"); got != message {
		t.Errorf("program: %q", got)
	}
	if got, want := b.read("message"), "Delivered-To: u@h.d\n"+message; got != want {
		t.Errorf("forwarded: %q, want %q", got, want)
	}
	if got, want := b.read("envelope"), "Fs@x|Ta@b|Tc@d||"; got != want {
		t.Errorf("envelope: %q, want %q", got, want)
	}
}

func TestAbsoluteNames(t *testing.T) {
	b := newBox(t, map[string]string{"Maildir/tmp/": "", "Maildir/new/": ""})
	b.write(".qmail", b.home+"/Maildir/\n"+b.dir+"/elsewhere\n", 0o644)
	b.expect("absolute names", to{}, 0, "did 2+0+0\n", "")
	if got := b.delivered(); len(got) != 1 {
		t.Errorf("Maildir: %q", got)
	}
	if got := b.read("elsewhere"); !strings.HasSuffix(got, ">>From you\n\n") {
		t.Errorf("elsewhere: %q", got)
	}
}

func TestTroubles(t *testing.T) {
	b := newBox(t, map[string]string{"file": "", "dir/": "", "Half/tmp/": ""})
	for line, want := range map[string]string{
		"./none/":      "Unable to chdir to maildir. (#4.2.1)\n",
		"./file/":      "Unable to chdir to maildir. (#4.2.1)\n",
		"./dir/":       "Temporary error on maildir delivery. (#4.3.0)\nunable to stat ./dir/new: file does not exist\n",
		"./Half/":      "Temporary error on maildir delivery. (#4.3.0)\nunable to stat ./Half/new: file does not exist\n",
		"./dir":        "Unable to open ./dir: is a directory. (#4.2.1)\n",
		"./none/x":     "Unable to open ./none/x: file does not exist. (#4.2.1)\n",
		"./e\x1bscape": "", // delivered
		"./e\x1bs/x":   "Unable to open ./e?s/x: file does not exist. (#4.2.1)\n",
	} {
		status, out := 111, ""
		if want == "" {
			status, out = 0, "did 1+0+0\n"
		}
		b.expect(line, to{instructions: line}, status, out, want)
	}
}

// The first instruction that fails ends the delivery; what was done stays.
func TestFirstFailureEnds(t *testing.T) {
	b := newBox(t, map[string]string{".qmail": "&a@b\n./One\n|exit 100\n./Two\n"})
	b.expect("failure", to{}, 100, "", "")
	if b.read("home/One") == "" || !strings.HasPrefix(b.read("home/Two"), "<") || !strings.HasPrefix(b.read("message"), "<") {
		t.Errorf("One %q, Two %q, forwarded %q", b.read("home/One"), b.read("home/Two"), b.read("message"))
	}
}

// qmail-command(8): exit codes.
func TestExitCodes(t *testing.T) {
	b := newBox(t, nil)
	hard := map[int]bool{100: true, 64: true, 65: true, 70: true, 76: true, 77: true, 78: true, 112: true}
	for code := range 256 {
		if code > 8 && code < 60 || code > 130 && code < 250 {
			continue // all alike
		}
		os.Remove(b.home + "/Mailbox")
		status, out, mailbox := 111, "", false
		switch {
		case code == 0:
			status, out, mailbox = 0, "did 1+0+1\n", true
		case code == 99:
			status, out = 0, "did 0+0+1\n"
		case hard[code]:
			status = 100
		}
		b.expect(fmt.Sprint("exit ", code), to{instructions: fmt.Sprintf("|exit %d\n./Mailbox\n", code)}, status, out, "")
		if got := !strings.HasPrefix(b.read("home/Mailbox"), "<"); got != mailbox {
			t.Errorf("exit %d: went on: %v", code, got)
		}
	}
	b.expect("killed", to{instructions: "|kill -9 $$\n"}, 111, "", "Aack, child crashed. (#4.3.0)\n")
	b.expect("what it says", to{instructions: "|echo out; echo err >&2; exit 100\n"}, 100, "out\n", "err\n")
}

// Exit code 99 ends the list; the forward lines before it count.
func TestStop(t *testing.T) {
	b := newBox(t, map[string]string{".qmail": "&a@b\n|exit 99\n&c@d\n./Mailbox\n"})
	b.expect("99", to{}, 0, "did 0+1+1\nqp N\n", "")
	if got, want := b.read("envelope"), "Fs@x|Ta@b||"; got != want {
		t.Errorf("envelope: %q, want %q", got, want)
	}
}

func TestVariables(t *testing.T) {
	b := newBox(t, map[string]string{".qmail-default": "|cd /; env >$HOME/env; pwd -P >$HOME/pwd\n|pwd -P >pwd\n"})
	b.vars = append(b.vars, "EXT=inherited", "KEPT=yes", "HOST=x", "HOST=y")
	b.expect("env", to{dash: "-", ext: "List-Owner-a-b", local: "u-List-Owner-a-b", host: "a.b.c.d"}, 0, "did 0+0+2\n", "")
	got := date.ReplaceAllString(b.read("home/env"), "DATE")
	for _, want := range []string{
		"SENDER=s@x", "NEWSENDER=s@x", "RECIPIENT=u-List-Owner-a-b@a.b.c.d", "USER=user", "HOME=" + b.home,
		"HOST=a.b.c.d", "HOST2=a.b.c", "HOST3=a.b", "HOST4=a", "LOCAL=u-List-Owner-a-b",
		"EXT=List-Owner-a-b", "EXT2=Owner-a-b", "EXT3=a-b", "EXT4=b", "DEFAULT=List-Owner-a-b",
		"DTLINE=Delivered-To: u-List-Owner-a-b@a.b.c.d\n", "RPLINE=Return-Path: <s@x>\n", "UFLINE=From s@x DATE\n", "KEPT=yes",
	} {
		if strings.Count("\n"+got, "\n"+want+"\n") != 1 {
			t.Errorf("want %q once in\n%s", want, got)
		}
	}
	home, err := filepath.EvalSymlinks(b.home)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.read("home/pwd"); got != home+"\n" {
		t.Errorf("commands run in %q, want %q", got, home)
	}
}

func TestFewerParts(t *testing.T) {
	for _, c := range []struct{ host, want string }{
		{"", "|||"}, {"a", "a|a|a|a"}, {"a.b", "a.b|a|a|a"}, {".", ".|||"}, {"a.", "a.|a|a|a"},
	} {
		d := &delivery{Recipient: &Recipient{Host: c.host, Ext: "x"}}
		d.setVars()
		var got []string
		for _, name := range []string{"HOST", "HOST2", "HOST3", "HOST4"} {
			value, set := d.vars.Get(name)
			if !set {
				t.Errorf("%s is not set", name)
			}
			got = append(got, value)
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%q: %q, want %q", c.host, got, c.want)
		}
		for _, name := range []string{"EXT2", "EXT3", "EXT4"} {
			if value, set := d.vars.Get(name); value != "" || !set {
				t.Errorf("%s=%q, %v", name, value, set)
			}
		}
	}
}

// -owner and -owner-default files, for the sender of what is forwarded.
func TestOwner(t *testing.T) {
	for _, c := range []struct{ sender, files, want string }{
		{"s@x", "", "s@x"},
		{"s@x", "-owner", "u-L-owner@h.d"},
		{"s@x", "-owner-default", "s@x"},
		{"s@x", "-owner -owner-default", "u-L-owner-@h.d-@[]"},
		{"<>", "-owner -owner-default", ""},
		{"#@[]", "-owner -owner-default", "#@[]"},
	} {
		b := newBox(t, map[string]string{".qmail-l": "&a@b\n|printf %s \"$NEWSENDER\" >newsender\n"})
		for suffix := range strings.FieldsSeq(c.files) {
			b.write(".qmail-l"+suffix, "", 0o600)
		}
		b.expect(c.sender, to{dash: "-", ext: "L", local: "u-L", sender: c.sender}, 0, "did 0+1+1\nqp N\n", "")
		if got := b.read("home/newsender"); got != c.want {
			t.Errorf("%s, %q: NEWSENDER %q, want %q", c.sender, c.files, got, c.want)
		}
		if got, want := b.read("envelope"), "F"+c.want+"|Ta@b||"; got != want {
			t.Errorf("%s, %q: envelope %q, want %q", c.sender, c.files, got, want)
		}
	}
}

func TestLoop(t *testing.T) {
	const looping = "This message is looping: it already has my Delivered-To line. (#5.4.6)\n"
	long := "X: " + strings.Repeat("y", 100_000) + "\n"
	for text, loops := range map[string]bool{
		"A: b\nDelivered-To: u@h.d\n\nbody":                   true,
		"Delivered-To: u@h.d\n":                               true,
		long + "Delivered-To: u@h.d\n\n":                      true,
		"Delivered-To: u@h.d":                                 false, // not a whole line
		"A: b\n\nDelivered-To: u@h.d\n":                       false, // in the body
		"Delivered-To: U@h.d\n\n":                             false,
		"Delivered-To: u@h.d \n\n":                            false,
		"delivered-to: u@h.d\n\n":                             false,
		strings.Repeat("x", 16<<10) + "Delivered-To: u@h.d\n": false, // the end of a long line
		"": false,
	} {
		b := newBox(t, nil)
		if loops {
			b.expect(text[:min(50, len(text))], to{message: text}, 100, "", looping)
		} else {
			b.expect(text[:min(50, len(text))], to{message: text}, 0, "did 1+0+0\n", "")
		}
		b.expect("-n", to{message: text, opt: "-n"}, 0, "mbox ./Mailbox\ndid 1+0+0\n", "")
	}
}

// Addresses come from strangers.
func TestFields(t *testing.T) {
	now := time.Date(1996, 1, 3, 1, 5, 34, 0, time.FixedZone("", 3600))
	for _, c := range []struct{ sender, local, from, path, delivered string }{
		{"s@x", "u", "s@x", "s@x", "u@h"},
		{"", "u", "MAILER-DAEMON", "", "u@h"},
		{"a b@x", "u v", "a-b@x", `"a b"@x`, "u v@h"},
		{"a\tb\n@x", "u\nX: y", "a-b-@x", "\"a\tb\\_\"@x", "u_X: y@h"},
		{"a\x1b[2J\r@x", "u\r\x7f", "a-[2J-@x", `"a_[2J\_"@x`, "u__@h"},
		{"\xff\xc3\xa9@x", "\xff\xc3\xa9", "\xff\xc3\xa9@x", "\"\xff\xc3\xa9\"@x", "\xff\xc3\xa9@h"},
		{"#@[]", "u", "#@[]", "#@[]", "u@h"},
	} {
		got := newFields(&Recipient{Local: c.local, Host: "h"}, c.sender, now)
		want := fields{
			from:       "From " + c.from + " Wed Jan 03 00:05:34 1996\n",
			returnPath: "Return-Path: <" + c.path + ">\n",
			delivered:  "Delivered-To: " + c.delivered + "\n",
		}
		if got != want {
			t.Errorf("%q, %q:\n%q, want\n%q", c.sender, c.local, got, want)
		}
	}
}

func TestForwardRefused(t *testing.T) {
	for _, c := range []struct {
		answer, text string
		status       int
		err          string
	}{
		{"11", "", 100, "envelope address too long for qq (#5.1.3)"},
		{"31", "", 100, "mail server permanently rejected message (#5.3.0)"},
		{"53", "", 111, "qq write error or disk full (#4.3.0)"},
		{"82", "Dno such list", 100, "no such list"},
		{"82", "Znot now", 111, "not now"},
		{"99", "", 111, "qq temporary problem (#4.3.0)"},
	} {
		b := newBox(t, nil)
		b.vars = append(b.vars, "ANSWER="+c.answer, "TEXT="+c.text)
		b.expect(c.answer, to{instructions: "./Mailbox\n&a@b"}, c.status, "", "Unable to forward message: "+c.err+".\n")
	}
	b := newBox(t, nil)
	b.vars.Set("QMAILQUEUE", b.dir+"/none")
	b.expect("no queue", to{instructions: "&a@b"}, 111, "", "Unable to forward message: unable to exec qq (#4.3.0).\n")
}

// A command that leaves a process in the background with our output does not
// hold the delivery up.
func TestBackground(t *testing.T) {
	b := newBox(t, nil)
	b.expect("background", to{instructions: "|sleep 30 & echo $! >pid"}, 0, "did 0+0+1\n", "")
	r := b.deliver(to{instructions: "|kill $(cat pid) && echo it still ran"})
	if r.Status != 0 || r.Out != "it still ran\ndid 0+0+1\n" {
		t.Errorf("status %d, %q %q: the delivery waited", r.Status, r.Out, r.Err)
	}
}

func TestUmask(t *testing.T) {
	b := newBox(t, nil)
	b.expect("umask", to{instructions: "|umask"}, 0, "0077\ndid 0+0+1\n", "")
}

// The message must be a file: it is read more than once.
func TestNotSeekable(t *testing.T) {
	b := newBox(t, nil)
	args := []string{"user", b.home, "u", "", "", "h.d", "s@x", "./Mailbox"}
	r := proctest.Run(&QmailLocal, proctest.Case{Args: args, Files: map[int]proc.File{0: proc.Closed{}}})
	if want := "Unable to rewind message. (#4.3.0)\n"; r.Status != 111 || r.Err != want {
		t.Errorf("status %d, %q; want 111, %q", r.Status, r.Err, want)
	}
	r = proctest.Run(&QmailLocal, proctest.Case{Args: append([]string{"-n"}, args...), Files: map[int]proc.File{0: proc.Closed{}}})
	if want := "mbox ./Mailbox\ndid 1+0+0\n"; r.Status != 0 || r.Out != want {
		t.Errorf("-n: status %d, %q; want 0, %q", r.Status, r.Out, want)
	}
}

// Many deliveries may go on in one process: each has its own Env, and none
// changes the process or another's variables.
func TestManyInOneProcess(t *testing.T) {
	b := newBox(t, map[string]string{"Maildir/tmp/": "", "Maildir/new/": ""})
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	vars := b.vars.Clone()
	t.Run("deliveries", func(t *testing.T) {
		for i := range 20 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				env := &proc.Env{Vars: b.vars}
				env.Files[0] = proctest.Input(message)
				out := &proctest.Buffer{}
				env.Files[1], env.Files[2] = out, out
				local := fmt.Sprint("u", i)
				err := deliver(env, &Recipient{Home: b.home, Local: local, Host: "h"}, files(b.home), "s@x", "./Maildir/\n|test $LOCAL = "+local+"\n", true)
				if err != nil || out.String() != "did 1+0+1\n" {
					t.Errorf("%v %q", err, out)
				}
			})
		}
	})
	if got := len(b.delivered()); got != 20 {
		t.Errorf("%d messages, want 20", got)
	}
	if after, _ := os.Getwd(); after != dir {
		t.Errorf("the directory changed to %s", after)
	}
	if fmt.Sprint(vars) != fmt.Sprint(b.vars) {
		t.Errorf("variables changed: %q", b.vars)
	}
}

// FuzzCandidates: no extension leaves the home directory.
func FuzzCandidates(f *testing.F) {
	for _, ext := range []string{"", "a-B.c", "..", "../x", "a/../b", "-/-", "default", "x-default", "\x00", "a--b"} {
		f.Add(ext)
	}
	f.Fuzz(func(t *testing.T, ext string) {
		names, defaults := candidates(ext)
		for i, name := range names {
			if strings.ContainsAny(name, "/.ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
				t.Errorf("%q: file name %q", ext, name)
			}
			if at := defaults[i]; at > len(ext) || at >= 0 && !strings.HasSuffix(name, "default") {
				t.Errorf("%q: %q with default at %d", ext, name, at)
			}
		}
		if len(names) == 0 && !strings.Contains(ext, "/") {
			t.Errorf("%q: no file name", ext)
		}
	})
}

// FuzzParse: a .qmail file is refused or read line by line, and reading what
// was read again gives the same.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "\n", "#\n|a\n./M/\n./m\n&f\nf@x\n+list\n+\n", " \n", "a\x00", "& a \t\n\n\n", "/"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := parse(text)
		if err != nil {
			if lines != nil {
				t.Errorf("%q: lines and %v", text, err)
			}
			return
		}
		var again strings.Builder
		for _, l := range lines {
			if strings.ContainsAny(l.arg, "\n\x00") || strings.TrimRight(l.arg, " \t") != l.arg {
				t.Errorf("%q: argument %q", text, l.arg)
			}
			again.WriteString([...]string{"&", "", "", "|", ""}[l.kind] + l.arg + "\n")
		}
		reread, err := parse("#\n" + again.String())
		if err != nil || fmt.Sprint(reread) != fmt.Sprint(lines) {
			t.Errorf("%q: %v, and read again %v, %v", text, lines, reread, err)
		}
	})
}
