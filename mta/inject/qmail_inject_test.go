package inject

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

// recorder stands in for qmail-queue: it keeps what it gets and ends as it is
// told to.
const recorder = `#!/bin/sh
cat >"$RECORD.message" && cat <&1 >"$RECORD.envelope"
exit "${STATUS-0}"
`

// house is a qmail home with a recorder for a queue.
type house struct{ dir string }

func newHouse(t *testing.T, control map[string]string) house {
	h := house{t.TempDir()}
	for _, dir := range []string{"bin", "control"} {
		if err := os.Mkdir(filepath.Join(h.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(h.dir, "bin/qmail-queue"), []byte(recorder), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range control {
		if err := os.WriteFile(filepath.Join(h.dir, "control", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h house) vars() proc.Vars {
	return proc.Vars{"PATH=/bin:/usr/bin", "QMAILHOME=" + h.dir, "RECORD=" + h.dir + "/record", "USER=joe"}
}

func (h house) recorded(what string) string {
	b, err := os.ReadFile(h.dir + "/record." + what)
	os.Remove(h.dir + "/record." + what)
	if err != nil {
		return ""
	}
	return unstamped(string(b))
}

func (h house) envelope() string { return strings.ReplaceAll(h.recorded("envelope"), "\x00", "|") }

var (
	dateField = regexp.MustCompile(`(?m)^((?:Resent-)?Date: )\d\d? [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d -0000$`)
	idStamp   = regexp.MustCompile(`<\d{14}\.\d+\.qmail@`)
	verpStamp = regexp.MustCompile(`-\d{10,}\.\d+`)
)

// unstamped replaces what depends on the time and the process.
func unstamped(s string) string {
	s = dateField.ReplaceAllString(s, "${1}DATE")
	s = idStamp.ReplaceAllString(s, "<STAMP.qmail@")
	return verpStamp.ReplaceAllString(s, "-STAMP")
}

var overrides = proc.Vars{
	"QMAILDEFAULTHOST=dh", "QMAILDEFAULTDOMAIN=dd.example", "QMAILPLUSDOMAIN=pd.example", "QMAILIDHOST=id.example",
}

func TestFields(t *testing.T) {
	h := newHouse(t, nil)
	vars := append(h.vars(), overrides...)
	const head = "From: f@f.f\nDate: d\nMessage-ID: i\n"
	for _, v := range fieldVectors {
		r := proctest.Run(&QmailInject, proctest.Case{Vars: vars, In: head + "To: " + v.in + "\n"})
		if r.Status != 0 {
			t.Errorf("%q: status %d, %q", v.in, r.Status, r.Err)
			continue
		}
		if got := h.recorded("message"); got != head+v.out+"\n" {
			t.Errorf("%q became\n%q, want\n%q", v.in, got, head+v.out+"\n")
		}
		if got, want := h.envelope(), "Fjoe@dh.dd.example|"+v.recipients+"|"; got != want {
			t.Errorf("%q: envelope %q, want %q", v.in, got, want)
		}
	}
}

func TestMessages(t *testing.T) {
	h := newHouse(t, nil)
	lists := "# the lists I read\n\nlist@Lists.Example \t\nother@lists.example"
	if err := os.WriteFile(h.dir+"/lists", []byte(lists), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, v := range messageVectors {
		t.Run(v.name, func(t *testing.T) {
			vars := append(h.vars(), overrides...)
			for _, s := range v.vars {
				name, value, ok := strings.Cut(s, "=")
				if ok {
					vars.Set(name, value)
				} else {
					vars.Unset(name)
				}
			}
			r := proctest.Run(&QmailInject, proctest.Case{Args: v.args, Vars: vars, In: v.in, Dir: h.dir})
			if r.Status != v.status {
				t.Errorf("status %d, want %d", r.Status, v.status)
			}
			for _, c := range []struct{ what, got, want string }{
				{"output", unstamped(r.Out), v.out},
				{"error", strings.TrimSuffix(r.Err, "\n"), v.err},
				{"message", h.recorded("message"), v.message},
				{"envelope", h.envelope(), v.envelope},
			} {
				if c.got != c.want {
					t.Errorf("%s\n%q, want\n%q", c.what, c.got, c.want)
				}
			}
		})
	}
}

func TestControls(t *testing.T) {
	const in = "To: a, b@c, d@e+\nDate: d\n\n"
	for _, c := range []struct {
		name    string
		control map[string]string
		dir     string // a file that is a directory, which cannot be read
		out     string
		err     string
		status  int
	}{
		{name: "none", out: "Return-Path: <joe@defaulthost.defaultdomain>\nMessage-ID: <STAMP.qmail@idhost>\n" +
			"From: joe@defaulthost.defaultdomain\n" +
			"To: a@defaulthost.defaultdomain, b@c.defaultdomain, d@e.plusdomain\nDate: d\n\n"},
		{name: "me alone", control: map[string]string{"me": "me.x \t \nnot this\n"},
			out: "Return-Path: <joe@me.x>\nMessage-ID: <STAMP.qmail@me.x>\nFrom: joe@me.x\n" +
				"To: a@me.x, b@c.me.x, d@e.me.x\nDate: d\n\n"},
		{name: "each its own", control: map[string]string{"me": "me.x", "defaultdomain": "dd.x", "defaulthost": "dh", "plusdomain": "pd.x", "idhost": "id.x"},
			out: "Return-Path: <joe@dh.dd.x>\nMessage-ID: <STAMP.qmail@id.x>\nFrom: joe@dh.dd.x\n" +
				"To: a@dh.dd.x, b@c.dd.x, d@e.pd.x\nDate: d\n\n"},
		{name: "an empty me", control: map[string]string{"me": ""},
			out: "Return-Path: <joe@.>\nMessage-ID: <STAMP.qmail@>\nFrom: joe@.\n" +
				"To: a@., b@c., d@e.\nDate: d\n\n"},
		{name: "me with a NUL", control: map[string]string{"me": "me\x00.x\n"},
			out: "Return-Path: <joe@me.me>\nMessage-ID: <STAMP.qmail@me>\nFrom: joe@me.me\n" +
				"To: a@me.me, b@c.me, d@e.me\nDate: d\n\n"},
		{name: "me that cannot be read", dir: "me", err: "qmail-inject: fatal: read error\n", status: 111},
		{name: "idhost that cannot be read", dir: "idhost", err: "qmail-inject: fatal: read error\n", status: 111},
		{name: "me that is no name", control: map[string]string{"me": "m\x1be(;x\n"},
			err: "qmail-inject: fatal: unable to parse this line:\n.m?e(;x\n", status: 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, c.control)
			if c.dir != "" {
				if err := os.Mkdir(h.dir+"/control/"+c.dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			r := proctest.Run(&QmailInject, proctest.Case{Args: []string{"-n"}, Vars: h.vars(), In: in})
			if r.Status != c.status || unstamped(r.Out) != c.out || r.Err != c.err {
				t.Errorf("status %d\n%q\n%q, want %d\n%q\n%q", r.Status, unstamped(r.Out), r.Err, c.status, c.out, c.err)
			}
		})
	}
}

func TestNoHome(t *testing.T) {
	r := proctest.Run(&QmailInject, proctest.Case{Vars: proc.Vars{"QMAILHOME=" + t.TempDir() + "/none"}})
	if r.Status != 111 || r.Err != "qmail-inject: fatal: internal bug\n" {
		t.Errorf("status %d, %q", r.Status, r.Err)
	}
}

func TestNoQueue(t *testing.T) {
	h := newHouse(t, nil)
	vars := append(h.vars(), "QMAILQUEUE=/no/such/program")
	r := proctest.Run(&QmailInject, proctest.Case{Args: []string{"a@b"}, Vars: vars})
	if r.Status != 111 || r.Err != "qmail-inject: fatal: unable to exec qq (#4.3.0)\n" {
		t.Errorf("status %d, %q", r.Status, r.Err)
	}
}

// A queue that gives up early does not cut its client's client off.
func TestQueueStopsReading(t *testing.T) {
	h := newHouse(t, nil)
	in := proctest.Input("\n" + strings.Repeat("0123456789abcdef\n", 1<<16))
	vars := append(h.vars(), "QMAILQUEUE=/bin/false")
	r := proctest.Run(&QmailInject, proctest.Case{Args: []string{"a@b"}, Vars: vars, Files: map[int]proc.File{0: in}})
	if r.Status != 111 || r.Err != "qmail-inject: fatal: qq temporary problem (#4.3.0)\n" {
		t.Errorf("status %d, %q", r.Status, r.Err)
	}
	if n, _ := in.Read(make([]byte, 1)); n != 0 {
		t.Error("the message was not read to its end")
	}
}

// breaking reads as a message that breaks off with an error.
type breaking struct {
	*proctest.Buffer
	left []byte
}

func (b *breaking) Read(p []byte) (int, error) {
	if len(b.left) == 0 {
		return 0, os.ErrInvalid
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

func TestReadErrorQueuesNothing(t *testing.T) {
	h := newHouse(t, nil)
	for _, in := range []string{"", "To: a@b.c\n", "To: a@b.c\n\nbody, half of it"} {
		for _, args := range [][]string{{"-n"}, {"-N"}} {
			f := &breaking{left: []byte(in)}
			r := proctest.Run(&QmailInject, proctest.Case{Args: args, Vars: h.vars(), Files: map[int]proc.File{0: f}})
			if r.Status != 111 || r.Err != "qmail-inject: fatal: read error\n" {
				t.Errorf("%q: status %d, %q", in, r.Status, r.Err)
			}
			if e := h.envelope(); e != "" {
				t.Errorf("%q: envelope %q", in, e)
			}
		}
	}
}

func TestOutputThatCannotBeWritten(t *testing.T) {
	h := newHouse(t, nil)
	r := proctest.Run(&QmailInject, proctest.Case{Args: []string{"-n"}, Vars: h.vars(), Files: map[int]proc.File{1: proc.Closed{}}})
	if r.Status != 111 || r.Err != "qmail-inject: fatal: unable to write output\n" {
		t.Errorf("status %d, %q", r.Status, r.Err)
	}
}

func TestHeaderWithoutEnd(t *testing.T) {
	h := newHouse(t, nil)
	in := "X: " + strings.Repeat("x", maxHeader)
	r := proctest.Run(&QmailInject, proctest.Case{Args: []string{"-n"}, Vars: h.vars(), In: in})
	if r.Status != 100 || r.Out != "" || r.Err != "qmail-inject: fatal: message header too long\n" {
		t.Errorf("status %d, %q", r.Status, r.Err)
	}
}

func TestManyRecipientsAndALongBody(t *testing.T) {
	h := newHouse(t, nil)
	const n = 10000
	body := strings.Repeat("a line of the body\n", 1<<18)
	in := "Bcc: " + strings.Repeat("box@host.example,\n ", n) + "\n\n" + body
	r := proctest.Run(&QmailInject, proctest.Case{Vars: h.vars(), In: in})
	if r.Status != 0 {
		t.Fatalf("status %d, %q", r.Status, r.Err)
	}
	if got := strings.Count(h.envelope(), "Tbox@host.example|"); got != n {
		t.Errorf("%d recipients, want %d", got, n)
	}
	if got := h.recorded("message"); !strings.HasSuffix(got, "\n\n"+body) {
		t.Errorf("the body is not what it was: %d bytes", len(got))
	}
}

func FuzzMessage(f *testing.F) {
	dir := f.TempDir()
	if err := os.Mkdir(dir+"/control", 0o755); err != nil {
		f.Fatal(err)
	}
	vars := append(proc.Vars{"QMAILHOME=" + dir, "USER=joe"}, overrides...)
	for _, v := range messageVectors {
		f.Add([]byte(v.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := proctest.Run(&QmailInject, proctest.Case{Args: []string{"-n"}, Vars: vars, In: string(in)})
		switch {
		case r.Status == 0 && strings.HasPrefix(r.Out, "Return-Path: <") && strings.HasSuffix(r.Out, "\n"):
		case r.Status == 100 && strings.HasPrefix(r.Err, "qmail-inject: fatal: unable to parse this line:\n"):
		default:
			t.Fatalf("status %d, %q, %q", r.Status, r.Out, r.Err)
		}
		// The body arrives as it is.
		if _, body, ok := bytes.Cut(in, []byte("\n\n")); ok && r.Status == 0 {
			if !strings.HasSuffix(strings.TrimSuffix(r.Out, "\n"), strings.TrimSuffix(string(body), "\n")) {
				t.Errorf("body %q of %q", body, r.Out)
			}
		}
	})
}
