package inject

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

func TestSendmail(t *testing.T) {
	h := newHouse(t, nil)
	const usage = "sendmail: usage: sendmail [ -t ] [ -fsender ] [ -Fname ] [ -bp ] [ -bs ] [ arg ... ]\n"
	for _, c := range []struct {
		args   string // separated by bars
		next   string
		vars   string // that it sets or changes, in order
		status int
		err    string
	}{
		{args: "", next: "bin/qmail-inject|-a|--"},
		{args: "joe|fred", next: "bin/qmail-inject|-a|--|joe|fred"},
		{args: "-t", next: "bin/qmail-inject|-H|--"},
		{args: "-ti|joe", next: "bin/qmail-inject|-H|--|joe"},
		{args: "-t|-i|-oi|-oem|-om|-odb|-o|zz|-v|-m|-x|-em|-e|q|-pESMTP:host|-B8BITMIME|-bm|joe", next: "bin/qmail-inject|-H|--|joe"},
		{args: "-N|never|-Nfailure,delay|-R|hdrs|-Venv1|--|-t", next: "bin/qmail-inject|-a|--|-t"},
		{args: "-Ewhat|-t|-J|joe", next: "bin/qmail-inject|-H|--|joe"},
		{args: "-tEt", next: "bin/qmail-inject|-H|--"},
		{args: "joe|-t", next: "bin/qmail-inject|-a|--|joe|-t"},
		{args: "-|-t", next: "bin/qmail-inject|-a|--|-|-t"},
		{args: "--anything|-t", next: "bin/qmail-inject|-a|--|-t"},
		{args: "-FJoe D|joe", next: "bin/qmail-inject|-a|--|joe", vars: "MAILNAME=Joe D"},
		{args: "-f|me@here|joe", next: "bin/qmail-inject|-a|-f|me@here|--|joe", vars: "QMAILHOST=here|QMAILUSER=me"},
		{args: "-fme", next: "bin/qmail-inject|-a|-f|me|--", vars: "QMAILUSER=me"},
		{args: "-f||joe", next: "bin/qmail-inject|-a|-f||--|joe", vars: "QMAILUSER="},
		{args: "-fa@b@c|-fd@e", next: "bin/qmail-inject|-a|-f|d@e|--", vars: "QMAILHOST=e|QMAILUSER=d"},
		{args: "-fa@b@c", next: "bin/qmail-inject|-a|-f|a@b@c|--", vars: "QMAILHOST=c|QMAILUSER=a@b"},
		{args: "-FJoe|-fa@b", next: "bin/qmail-inject|-a|-f|a@b|--", vars: "QMAILHOST=b|QMAILUSER=a"},
		{args: "-bp|-z", next: "bin/qmail-qread"},
		{args: "-t|-bs", next: "bin/qmail-smtpd", vars: "RELAYCLIENT=|DATABYTES=0|PROTO=TCP|TCPLOCALIP=127.0.0.1|" +
			"TCPLOCALHOST=localhost|TCPREMOTEIP=127.0.0.1|TCPREMOTEHOST=localhost|TCPREMOTEINFO=sendmail-bs"},
		{args: "-bd", status: 100, err: usage},
		{args: "-b|", status: 100, err: usage},
		{args: "-b", status: 100, err: "sendmail: option requires an argument -- b\n" + usage},
		{args: "-tz|joe", status: 100, err: "sendmail: illegal option -- z\n" + usage},
	} {
		var args []string
		if c.args != "" {
			args = strings.Split(c.args, "|")
		}
		before := append(h.vars(), "NAME=X", "MAILHOST=Y")
		r := proctest.Run(&Sendmail, proctest.Case{Args: args, Vars: before})
		if r.Status != c.status || r.Err != c.err || strings.Join(r.Next, "|") != c.next {
			t.Errorf("%q: status %d, %q, %q", c.args, r.Status, r.Next, r.Err)
		}
		set := slices.DeleteFunc(r.Vars.Clone(), func(s string) bool { return slices.Contains(before, s) })
		if strings.Join(set, "|") != c.vars {
			t.Errorf("%q: set %q, want %q", c.args, set, c.vars)
		}
		if _, ok := r.Vars.Get("NAME"); ok == strings.Contains(c.args, "-f") {
			t.Errorf("%q: NAME there: %v", c.args, ok)
		}
	}
}

// Under tcpserver, -bs leaves the connection's variables alone.
func TestSendmailDialogueOnAConnection(t *testing.T) {
	h := newHouse(t, nil)
	vars := append(h.vars(), "PROTO=TCP6")
	r := proctest.Run(&Sendmail, proctest.Case{Args: []string{"-bs"}, Vars: vars})
	if r.Status != 0 || !slices.Equal(r.Vars, vars) {
		t.Errorf("status %d, %q", r.Status, r.Vars)
	}
}

func TestSendmailByOtherNames(t *testing.T) {
	h := newHouse(t, nil)
	for _, c := range []struct {
		name   string
		next   string
		status int
		err    string
	}{
		{name: "/usr/bin/mailq", next: "bin/qmail-qread"},
		{name: "newaliases", status: 100, err: "newaliases: fatal: please use fastforward/newaliases instead\n"},
		{name: "send-mail", next: "bin/qmail-inject|-a|--"},
	} {
		p := Sendmail
		p.Name = c.name // proctest calls a program by its name
		r := proctest.Run(&p, proctest.Case{Vars: h.vars()})
		if r.Status != c.status || strings.Join(r.Next, "|") != c.next || r.Err != c.err {
			t.Errorf("%s: status %d, %q, %q", c.name, r.Status, r.Next, r.Err)
		}
	}
}

func TestSendmailWithoutItsPrograms(t *testing.T) {
	h := newHouse(t, nil)
	for args, want := range map[string]string{
		"joe": "sendmail: fatal: unable to run qmail-inject\n",
		"-bs": "sendmail: fatal: unable to run qmail-smtpd\n",
		"-bp": "sendmail: fatal: unable to run qmail-qread\n",
	} {
		r := proctest.Run(&Sendmail, proctest.Case{Args: []string{args}, Vars: h.vars(), Next: syscall.ENOENT})
		if r.Status != 111 || r.Err != want {
			t.Errorf("%s: status %d, %q", args, r.Status, r.Err)
		}
	}
	r := proctest.Run(&Sendmail, proctest.Case{Vars: proc.Vars{"QMAILHOME=" + h.dir + "/none"}})
	if r.Status != 111 || r.Err != "sendmail: fatal: unable to switch to qmail home directory\n" {
		t.Errorf("status %d, %q", r.Status, r.Err)
	}
}

// A qmail-inject that is not of this build is executed, whatever it is.
func TestSiblingIsOfThisBuildOnly(t *testing.T) {
	h := newHouse(t, nil)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"/bin/sh", self, h.dir + "/bin/qmail-queue", h.dir, h.dir + "/none"} {
		if siblings(self, file) {
			t.Errorf("%s is taken for qmail-inject", file)
		}
	}
}

// One that has the rights of its owner or group must get them, and one that
// may not be run must not run.
func TestSiblingHasNoRightsOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir, "paperpath/cmd/sendmail", "paperpath/cmd/qmail-inject")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	self, file := dir+"/sendmail", dir+"/qmail-inject"
	for _, c := range []struct {
		mode os.FileMode
		want bool
	}{
		{0o755, true},
		{0o755 | os.ModeSetuid, false},
		{0o755 | os.ModeSetgid, false},
		{0o711 | os.ModeSetuid | os.ModeSetgid, false},
		{0o644, false},
		{0o755, true},
	} {
		if err := os.Chmod(file, c.mode); err != nil {
			t.Fatal(err)
		}
		if stat, err := os.Stat(file); err != nil || stat.Mode() != c.mode {
			t.Skipf("mode %v cannot be set here: %v", c.mode, err)
		}
		if got := siblings(self, file); got != c.want {
			t.Errorf("mode %v: %v", c.mode, got)
		}
	}
	if siblings(self, self) {
		t.Error("sendmail is taken for qmail-inject")
	}
}

func FuzzSendmail(f *testing.F) {
	for _, s := range []string{"-t", "-fa@b|joe", "-bs", "-tz", "-E|-J", "--|-t", "-Nx", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "|")
		vars := proc.Vars{"QMAILHOME=/"}
		r := proctest.Run(&Sendmail, proctest.Case{Args: args, Vars: vars})
		if r.Status == 0 != (r.Next != nil) || r.Status != 0 && r.Status != 100 {
			t.Fatalf("%q: status %d, %q, %q", args, r.Status, r.Next, r.Err)
		}
		// Nothing that stands after the options is taken for one.
		if i := slices.Index(r.Next, "--"); r.Status == 0 && r.Next[0] == "bin/qmail-inject" {
			if i < 0 || !slices.Equal(r.Next[i+1:], args[len(args)-len(r.Next[i+1:]):]) {
				t.Errorf("%q: %q", args, r.Next)
			}
		}
	})
}
