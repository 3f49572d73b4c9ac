package admin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

func show(t *testing.T, files map[string]string) (dir string, r proctest.Result) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "control"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "control", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, proctest.Run(&QmailShowctl, proctest.Case{Vars: proc.Vars{"QMAILHOME=" + dir}})
}

func TestShowctl(t *testing.T) {
	dir, r := show(t, map[string]string{
		"me":               "mail.example  \n",
		"bouncefrom":       "",
		"databytes":        "1000x\n",
		"queuelifetime":    "soon\n",
		"bouncemaxbytes":   "500\n",
		"concurrencylocal": "99999999999999999999\n",
		"locals":           "# a comment\nmail.example\n\nb\x01\xe9\n",
		"rcpthosts":        "",
		"morercpthosts":    "big.example\n",
		"defaultdelivery":  "./Maildir/\n",
		"badmailto":        "@.*@\n",
		"badrcptto":        "gone@mail.example\n",
		"morebadrcptto":    "@gone.example\n",
		"rejectrelaytest":  "1\n",
		"my own":           "x",
	})
	if r.Status != 0 || r.Err != "" {
		t.Errorf("status %d, %q", r.Status, r.Err)
	}
	for _, want := range []string{
		"qmail home directory: " + dir + ".\nuser-ext delimiter: -.\npaternalism (in decimal): 2.\n" +
			"silent concurrency limit: 65000.\nsubdirectory split: 23.\nuser ids: ",
		"\n\nbadmailfrom: (Default.) Any MAIL FROM is allowed.\n",
		"\n\nbouncefrom: Bounce user name is .\n",
		"\n\nbouncehost: (Default.) Bounce host name is mail.example.\n",
		"\n\nconcurrencylocal: Local concurrency is 18446744073709551615.\n",
		"\n\nconcurrencyremote: (Default.) Remote concurrency is 20.\n",
		"\n\ndatabytes: SMTP DATA limit is 1000 bytes.\n",
		"\n\nlocals: \nMessages for mail.example are delivered locally.\nMessages for b?? are delivered locally.\n",
		"\n\nme: My name is mail.example.\n",
		"\n\nqueuelifetime: (Default.) Message lifetime in the queue is 604800 seconds.\n",
		"\n\nbouncemaxbytes: Of a message that bounces go back at most 500 bytes.\n",
		"\n\nrcpthosts: \n\nmorercpthosts: \nSMTP clients may send messages to recipients at big.example.\n",
		"\n\nmorercpthosts.cdb: Oops! morercpthosts exists but morercpthosts.cdb doesn't.\n",
		"\n\ndefaultdelivery: \nDelivery instructions without .qmail: ./Maildir/\n",
		"\n\nbadmailto: \n@.*@ not accepted in RCPT TO, as a pattern.\n",
		"\n\nbadrcptto: \ngone@mail.example not accepted in RCPT TO.\n",
		"\n\nmorebadrcptto: \n@gone.example not accepted in RCPT TO.\n\nmorebadrcptto.cdb: Oops! morebadrcptto exists but morebadrcptto.cdb doesn't.\n",
		"\n\nrejectrelaytest: Recipients that test for an open relay are refused unless this is 0: 1.\n",
		"\n\nmy own: I have no idea what this file does.\n",
	} {
		if !strings.Contains(r.Out, want) {
			t.Errorf("no %q in\n%s", want, r.Out)
		}
	}
}

func TestShowctlMoreHosts(t *testing.T) {
	for what, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"none":                       {nil, "morercpthosts: (Default.) No rcpthosts; morercpthosts is irrelevant.\n\nmorercpthosts.cdb: (Default.) No effect.\n"},
		"no rcpthosts":               {map[string]string{"morercpthosts": "x\n"}, "morercpthosts: \nNo rcpthosts; doesn't matter that morercpthosts has x.\n"},
		"only the cdb":               {map[string]string{"morercpthosts.cdb": "x\n"}, "morercpthosts.cdb: Oops! morercpthosts.cdb exists but morercpthosts doesn't.\n"},
		"only the cdb of recipients": {map[string]string{"morebadrcptto.cdb": "x\n"}, "morebadrcptto.cdb: Oops! morebadrcptto.cdb exists but morebadrcptto doesn't.\n"},
		"both":                       {map[string]string{"morercpthosts": "", "morercpthosts.cdb": ""}, "morercpthosts.cdb: Modified recently enough; hopefully up to date.\n"},
	} {
		if _, r := show(t, c.files); !strings.Contains(r.Out, "\n\n"+c.want) {
			t.Errorf("%s: no %q in\n%s", what, c.want, r.Out)
		}
	}
	dir, _ := show(t, map[string]string{"morercpthosts": "", "morercpthosts.cdb": ""})
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "control/morercpthosts.cdb"), past, past); err != nil {
		t.Fatal(err)
	}
	r := proctest.Run(&QmailShowctl, proctest.Case{Vars: proc.Vars{"QMAILHOME=" + dir}})
	if want := "\nmorercpthosts.cdb: Oops! morercpthosts.cdb is older than morercpthosts.\n"; !strings.Contains(r.Out, want) {
		t.Errorf("an old cdb: no %q", want)
	}
}

func TestShowctlTrouble(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ home, want string }{
		{dir + "/none", "Oops! Unable to chdir to " + dir + "/none.\n"},
		{dir, "Oops! Unable to chdir to control.\n"},
	} {
		r := proctest.Run(&QmailShowctl, proctest.Case{Vars: proc.Vars{"QMAILHOME=" + c.home}})
		if r.Status != 111 || !strings.HasSuffix(r.Out, c.want) {
			t.Errorf("%s: status %d, %q", c.home, r.Status, r.Out)
		}
	}
	for name, want := range map[string]string{"me": "Oops! Trouble reading control/me.", "locals": "\nlocals: Oops! Trouble reading this file.\n"} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "control", name), 0o755); err != nil {
			t.Fatal(err)
		}
		r := proctest.Run(&QmailShowctl, proctest.Case{Vars: proc.Vars{"QMAILHOME=" + dir}})
		if !strings.Contains(r.Out, want) || (r.Status == 0) != (name == "locals") {
			t.Errorf("%s: status %d, no %q", name, r.Status, want)
		}
	}
}
