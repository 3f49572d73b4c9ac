package user

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/mta/queue/queuetest"
)

// fakeQueue is a stand-in for qmail-queue that ends with a status, and the
// variables to run with it.
func fakeQueue(t *testing.T, status string) (*queuetest.Queue, proc.Vars) {
	t.Helper()
	q := queuetest.New(t, status)
	return q, append(q.Vars, "NEWSENDER=list-owner@x", "DTLINE=Delivered-To: list@x\n", "SENDER=no@y")
}

func TestForward(t *testing.T) {
	for body, recipients := range map[string][]string{
		"Subject: a\n\nb":                  {"a@b", "-c@d", "e f@g"},
		"":                                 {},
		strings.Repeat("a line\n", 50_000): {"a@b"},
	} {
		q, vars := fakeQueue(t, "0")
		r := proctest.Run(&Forward, proctest.Case{Args: recipients, In: body, Vars: vars})
		if r.Status != 0 || r.Out != "" || !regexp.MustCompile(`^forward: qp [0-9]+\n$`).MatchString(r.Err) {
			t.Errorf("status %d, out %q, err %q", r.Status, r.Out, r.Err)
			continue
		}
		if got, want := q.Message(), "Delivered-To: list@x\n"+body; got != want {
			t.Errorf("message: %d bytes, want %d", len(got), len(want))
		}
		want := "Flist-owner@x|"
		for _, address := range recipients {
			want += "T" + address + "|"
		}
		if got := q.Envelope(); got != want+"|" {
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
		_, vars := fakeQueue(t, status)
		r := proctest.Run(&Forward, proctest.Case{Args: []string{"a@b"}, In: "x", Vars: vars})
		if r.Status != want.status || r.Err != "forward: fatal: "+want.err+"\n" {
			t.Errorf("%s: status %d, %q", status, r.Status, r.Err)
		}
	}
}

func TestForwardOutsideQmail(t *testing.T) {
	for _, name := range []string{"NEWSENDER", "DTLINE"} {
		_, vars := fakeQueue(t, "0")
		vars.Unset(name)
		r := proctest.Run(&Forward, proctest.Case{Args: []string{"a@b"}, Vars: vars})
		if want := "forward: fatal: " + name + " not set\n"; r.Status != 100 || r.Err != want {
			t.Errorf("status %d, %q; want 100, %q", r.Status, r.Err, want)
		}
	}
}

// What could not be read whole is not queued.
func TestForwardReadError(t *testing.T) {
	q, vars := fakeQueue(t, "0")
	r := proctest.Run(&Forward, proctest.Case{
		Args: []string{"a@b"}, Vars: vars,
		Files: map[int]proc.File{0: broken{proctest.Input("Subject: half")}},
	})
	if want := "forward: fatal: unable to read message: disk trouble\n"; r.Status != 111 || r.Err != want {
		t.Errorf("status %d, %q; want 111, %q", r.Status, r.Err, want)
	}
	if _, err := os.Stat(q.Home + "/envelope"); err != nil { // the queue was asked
		t.Error(err)
	}
	if got := q.Envelope(); got != "" {
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
