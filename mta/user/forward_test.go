package user

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

// fakeQueue makes a stand-in for qmail-queue that keeps what it is given and ends
// with a status, and returns the variables to run with it.
func fakeQueue(t *testing.T, dir, status string) proc.Vars {
	t.Helper()
	script := "#!/bin/sh\ncat >message || exit 53\ncat <&1 >envelope\nexit " + status + "\n"
	if err := os.WriteFile(dir+"/queue", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return proc.Vars{"PATH=/usr/bin:/bin", "QMAILHOME=" + dir, "QMAILQUEUE=" + dir + "/queue",
		"NEWSENDER=list-owner@x", "DTLINE=Delivered-To: list@x\n", "SENDER=no@y"}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\x00", "|")
}

func TestForward(t *testing.T) {
	for body, recipients := range map[string][]string{
		"Subject: a\n\nb":                  {"a@b", "-c@d", "e f@g"},
		"":                                 {},
		strings.Repeat("a line\n", 50_000): {"a@b"},
	} {
		dir := t.TempDir()
		r := proctest.Run(&Forward, proctest.Case{Args: recipients, In: body, Vars: fakeQueue(t, dir, "0")})
		if r.Status != 0 || r.Out != "" || !regexp.MustCompile(`^forward: qp [0-9]+\n$`).MatchString(r.Err) {
			t.Errorf("status %d, out %q, err %q", r.Status, r.Out, r.Err)
			continue
		}
		if got, want := read(t, dir+"/message"), "Delivered-To: list@x\n"+body; got != want {
			t.Errorf("message: %d bytes, want %d", len(got), len(want))
		}
		want := "Flist-owner@x|"
		for _, address := range recipients {
			want += "T" + address + "|"
		}
		if got := read(t, dir+"/envelope"); got != want+"|" {
			t.Errorf("envelope %q, want %q", got, want+"|")
		}
	}
}

func TestForwardRefused(t *testing.T) {
	for status, want := range map[string]struct {
		status int
		err    string
	}{
		"11": {100, "envelope address too long for qq (#5.1.3)"},
		"31": {100, "mail server permanently rejected message (#5.3.0)"},
		"53": {111, "qq write error or disk full (#4.3.0)"},
		"71": {111, "mail server temporarily rejected message (#4.3.0)"},
	} {
		r := proctest.Run(&Forward, proctest.Case{Args: []string{"a@b"}, In: "x", Vars: fakeQueue(t, t.TempDir(), status)})
		if r.Status != want.status || r.Err != "forward: fatal: "+want.err+"\n" {
			t.Errorf("%s: status %d, %q", status, r.Status, r.Err)
		}
	}
}

func TestForwardOutsideQmail(t *testing.T) {
	for _, name := range []string{"NEWSENDER", "DTLINE"} {
		vars := fakeQueue(t, t.TempDir(), "0")
		vars.Unset(name)
		r := proctest.Run(&Forward, proctest.Case{Args: []string{"a@b"}, Vars: vars})
		if want := "forward: fatal: " + name + " not set\n"; r.Status != 100 || r.Err != want {
			t.Errorf("status %d, %q; want 100, %q", r.Status, r.Err, want)
		}
	}
}

// What could not be read whole is not queued.
func TestForwardReadError(t *testing.T) {
	dir := t.TempDir()
	r := proctest.Run(&Forward, proctest.Case{
		Args: []string{"a@b"}, Vars: fakeQueue(t, dir, "0"),
		Files: map[int]proc.File{0: broken{proctest.Input("Subject: half")}},
	})
	if want := "forward: fatal: unable to read message: disk trouble\n"; r.Status != 111 || r.Err != want {
		t.Errorf("status %d, %q; want 111, %q", r.Status, r.Err, want)
	}
	if got := read(t, dir+"/envelope"); got != "" {
		t.Errorf("envelope %q", got)
	}
}

type broken struct{ *proctest.Buffer }

func (b broken) Read(p []byte) (int, error) {
	if n, err := b.Buffer.Read(p); err == nil {
		return n, nil
	}
	return 0, errors.New("disk trouble")
}
