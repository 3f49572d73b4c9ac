package user

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

// maildirWith makes a Maildir of some messages, one second apart.
func maildirWith(t *testing.T, messages ...string) (dir, mbox string, vars proc.Vars) {
	t.Helper()
	home := t.TempDir()
	dir, mbox = home+"/Maildir", home+"/mbox"
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i, text := range messages {
		name := filepath.Join(dir, []string{"new/%", "cur/%:2,S"}[i%2])
		name = strings.ReplaceAll(name, "%", string(rune('z'-i))) // names are not the order
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1000000000+int64(i), 0)
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return dir, mbox, proc.Vars{"MAIL=" + mbox, "MAILDIR=" + dir, "MAILTMP=" + home + "/tmp"}
}

func messagesIn(t *testing.T, dir string) int {
	t.Helper()
	names, err := filepath.Glob(dir + "/[nc][eu][wr]/*")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func TestMaildir2mbox(t *testing.T) {
	dir, mbox, vars := maildirWith(t,
		"Return-Path: <\"a b\tc\"@d>\nDelivered-To: me\n\nFrom here\n>From there\n",
		"Return-Path: <>\n\nx\n",
		"Subject: no path\n\nthe end is open",
		"",
		"Return-Path: <open",
		"Return-Path: <a\x80b@c>\n",
	)
	if err := os.WriteFile(mbox, []byte("From old\n\nold\n\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	r := proctest.Run(&Maildir2mbox, proctest.Case{Vars: vars})
	if r.Status != 0 || r.Out+r.Err != "" {
		t.Fatalf("status %d, %q", r.Status, r.Out+r.Err)
	}
	const day = " Sun Sep 09 01:46:4"
	want := "From old\n\nold\n\n" +
		"From \"a-b-c\"@d" + day + "0 2001\nReturn-Path: <\"a b\tc\"@d>\nDelivered-To: me\n\n>From here\n>>From there\n\n" +
		"From MAILER-DAEMON" + day + "1 2001\nReturn-Path: <>\n\nx\n\n" +
		"From XXX" + day + "2 2001\nSubject: no path\n\nthe end is open\n\n" +
		"From XXX" + day + "3 2001\n\n" +
		"From XXX" + day + "4 2001\nReturn-Path: <open\n\n" +
		"From a\x80b@c" + day + "5 2001\nReturn-Path: <a\x80b@c>\n\n"
	if got, _ := os.ReadFile(mbox); string(got) != want {
		t.Errorf("mbox:\n%q, want\n%q", got, want)
	}
	if n := messagesIn(t, dir); n != 0 {
		t.Errorf("%d messages left", n)
	}
	if info, _ := os.Stat(mbox); info.Mode() != 0o640 {
		t.Errorf("mode %v", info.Mode())
	}
}

// The Maildir's quota learns what is gone, and of nothing that stays.
func TestMaildir2mboxQuota(t *testing.T) {
	dir, _, vars := maildirWith(t, "12345", "1234567")
	size := dir + "/maildirsize"
	if err := os.WriteFile(size, []byte("100S\n12 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(want string) {
		t.Helper()
		r := proctest.Run(&Maildir2mbox, proctest.Case{Vars: vars})
		if r.Status != 0 || r.Out+r.Err != "" {
			t.Fatalf("status %d, %q", r.Status, r.Out+r.Err)
		}
		if got, _ := os.ReadFile(size); string(got) != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	check("100S\n12 2\n-12 -2\n")
	check("100S\n12 2\n-12 -2\n")
}

func TestMaildir2mboxNothingNew(t *testing.T) {
	_, mbox, vars := maildirWith(t)
	r := proctest.Run(&Maildir2mbox, proctest.Case{Vars: vars})
	if _, err := os.Stat(mbox); r.Status != 0 || !os.IsNotExist(err) {
		t.Errorf("status %d, %q, %v", r.Status, r.Err, err)
	}
}

// After an error all is as it was: nothing half in the mbox, nothing gone from
// the Maildir.
func TestMaildir2mboxFails(t *testing.T) {
	for name, c := range map[string]struct {
		break_ func(dir, mbox string, vars *proc.Vars)
		err    string
	}{
		"no MAIL":    {func(_, _ string, vars *proc.Vars) { vars.Unset("MAIL") }, "MAIL not set"},
		"no MAILDIR": {func(_, _ string, vars *proc.Vars) { vars.Unset("MAILDIR") }, "MAILDIR not set"},
		"no new":     {func(dir, _ string, _ *proc.Vars) { os.RemoveAll(dir + "/new") }, "unable to scan $MAILDIR/new: file does not exist"},
		"no dir":     {func(dir, _ string, _ *proc.Vars) { os.RemoveAll(dir) }, "unable to chdir to DIR: file does not exist"},
		"a directory for an mbox": {func(_, mbox string, _ *proc.Vars) {
			os.Remove(mbox)
			os.Mkdir(mbox, 0o700)
		}, "unable to lock MBOX: is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, mbox, vars := maildirWith(t, "first\n", strings.Repeat("second\n", 50_000))
			const old = "From old\n\nold"
			os.WriteFile(mbox, []byte(old), 0o600)
			c.break_(dir, mbox, &vars)
			before := messagesIn(t, dir)
			r := proctest.Run(&Maildir2mbox, proctest.Case{Vars: vars})
			err := strings.NewReplacer(dir, "DIR", mbox, "MBOX").Replace(r.Err)
			if want := "maildir2mbox: fatal: " + c.err + "\n"; r.Status != 111 || err != want {
				t.Errorf("status %d, %q; want %q", r.Status, err, want)
			}
			if got, err := os.ReadFile(mbox); err == nil && string(got) != old {
				t.Errorf("the mbox has %d bytes", len(got))
			}
			if n := messagesIn(t, dir); n != before {
				t.Errorf("%d files in the Maildir, %d before", n, before)
			}
		})
	}
}
