package install_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"paperpath/test/bin"
)

func conf(t *testing.T, name string) string { return filepath.Join(bin.Root(t), "conf", name) }

// scripts lists what a shell reads: all that lies in conf, the tables apart, and
// what the Debian package is made and handled by.
func scripts(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(conf(t, ""), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		if strings.HasPrefix(string(text), "#!/bin/sh\n") || strings.HasPrefix(string(text), "# shellcheck shell=sh\n") {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	deb, err := filepath.Glob(filepath.Join(bin.Root(t), "install/deb/[bp]*"))
	if err != nil || len(deb) != 4 {
		t.Fatal(deb, err)
	}
	files = append(files, deb...)
	if len(files) < 30 {
		t.Fatalf("only %d scripts", len(files))
	}
	return files
}

func TestScriptsParse(t *testing.T) {
	for _, file := range scripts(t) {
		if out, err := exec.Command("/bin/sh", "-n", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", file, err, out)
		}
	}
}

func TestShellcheck(t *testing.T) {
	shellcheck, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("no shellcheck")
	}
	if out, err := exec.Command(shellcheck, append([]string{"-s", "sh"}, scripts(t)...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// home makes a qmail home with a control directory, and programs in bin that are
// these scripts.
func home(t *testing.T, programs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"control", "bin"} {
		if err := os.Mkdir(dir+"/"+sub, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range programs {
		write(t, dir+"/bin/"+name, "#!/bin/sh\n"+text+"\n")
		chmod(t, dir+"/bin/"+name, 0o755)
	}
	return dir
}

// shell runs a script under an umask that hides what it writes unless it says otherwise.
func shell(t *testing.T, script string, vars []string, args ...string) (status int, out string) {
	t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"-c", `umask 077; s=$1; shift; exec /bin/sh "$s" "$@"`, "sh", script}, args...)...)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin"}, vars...)
	text, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), string(text)
}

// controls returns the control files, each with its mode.
func controls(t *testing.T, home string) (all string) {
	t.Helper()
	for _, name := range []string{"me", "defaultdomain", "plusdomain", "locals", "rcpthosts"} {
		text, err := os.ReadFile(home + "/control/" + name)
		if err != nil {
			all += "no " + name + "; "
			continue
		}
		all += fmt.Sprintf("%s %o %s; ", name, mode(t, home+"/control/"+name), strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", ","))
	}
	return all
}

// The expectations are what the C package's scripts write.
func TestConfigFast(t *testing.T) {
	for fqdn, want := range map[string][2]string{
		"host.example.org":  {"example.org", "example.org"},
		"a.b.c.example.org": {"b.c.example.org", "example.org"},
		"example.org":       {"example.org", "example.org"},
		"host":              {"host", "host"},
	} {
		dir := home(t, nil)
		status, out := shell(t, conf(t, "config-fast"), []string{"QMAILHOME=" + dir}, fqdn)
		text := strings.NewReplacer("NAME", fqdn, "DEFAULT", want[0], "PLUS", want[1])
		if said := text.Replace(`Your fully qualified host name is NAME.
Putting NAME into control/me...
Putting DEFAULT into control/defaultdomain...
Putting PLUS into control/plusdomain...
Putting NAME into control/locals...
Putting NAME into control/rcpthosts...
Now qmail will refuse to accept SMTP messages except to NAME.
Make sure to change rcpthosts if you add hosts to locals or virtualdomains!
`); status != 0 || out != said {
			t.Errorf("%s: %d %s", fqdn, status, out)
		}
		files := text.Replace("me 644 NAME; defaultdomain 644 DEFAULT; plusdomain 644 PLUS; locals 644 NAME; rcpthosts 644 NAME; ")
		if got := controls(t, dir); got != files {
			t.Errorf("%s: %s, want %s", fqdn, got, files)
		}
		shell(t, conf(t, "config-fast"), []string{"QMAILHOME=" + dir}, fqdn)
		if got := controls(t, dir); got != files {
			t.Errorf("%s a second time: %s", fqdn, got)
		}
	}
}

func TestConfigFastFails(t *testing.T) {
	dir := home(t, nil)
	write(t, dir+"/control/me", "kept")
	for _, args := range [][]string{nil, {""}, {"a", "b"}} {
		if status, out := shell(t, conf(t, "config-fast"), []string{"QMAILHOME=" + dir}, args...); status != 100 || !strings.Contains(out, "usage: ") {
			t.Errorf("%q: %d %s", args, status, out)
		}
	}
	if text, _ := os.ReadFile(dir + "/control/me"); string(text) != "kept" {
		t.Errorf("me: %q", text)
	}
	if status, out := shell(t, conf(t, "config-fast"), []string{"QMAILHOME=" + dir + "/nowhere"}, "a.b"); status == 0 || strings.Contains(out, "Now qmail") {
		t.Errorf("without a home: %d %s", status, out)
	}
}

func TestConfig(t *testing.T) {
	names := map[string]string{
		"hostname": "echo HOST", "dnsfq": `test "$1" = host && echo Host.Mail.Example.ORG`,
		"dnsip":     "echo 10.0.0.1; echo 10.0.0.3",
		"ipmeprint": "echo 127.0.0.1; echo 10.0.0.1; echo 10.0.0.2",
		"dnsptr":    "case $1 in 10.0.0.1) echo host.mail.example.org;; 127.0.0.1) echo localhost;; *) echo hard error >&2; exit 100;; esac",
	}
	dir := home(t, names)
	write(t, dir+"/control/locals", "old")
	status, out := shell(t, conf(t, "config"), []string{"QMAILHOME=" + dir})
	if want := strings.ReplaceAll(`Your hostname is host.
Your host's fully qualified name in DNS is host.mail.example.org.
Putting host.mail.example.org into control/me...
Putting mail.example.org into control/defaultdomain...
Putting example.org into control/plusdomain...
 
Checking local IP addresses:
10.0.0.1: Adding host.mail.example.org to control/locals...
10.0.0.2: PTR lookup failed. I assume this address has no DNS name.
10.0.0.3: PTR lookup failed. I assume this address has no DNS name.
127.0.0.1: Adding localhost to control/locals...
 
If there are any other domain names that point to you,
you will have to add them to DIR/control/locals.
You don't have to worry about aliases, i.e., domains with CNAME records.
 
Copying DIR/control/locals to DIR/control/rcpthosts...
Now qmail will refuse to accept SMTP messages except to those hosts.
Make sure to change rcpthosts if you add hosts to locals or virtualdomains!
`, "DIR", dir); status != 0 || out != want {
		t.Errorf("%d %s\nwant %s", status, out, want)
	}
	if got, want := controls(t, dir), "me 644 host.mail.example.org; defaultdomain 644 mail.example.org; plusdomain 644 example.org; "+
		"locals 644 host.mail.example.org,localhost; rcpthosts 644 host.mail.example.org,localhost; "; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}

	for program, says := range map[string]string{
		"hostname": "Sorry, I couldn't find your hostname.\n",
		"dnsfq":    "Your hostname is host.\nSorry, I couldn't find your host's canonical name in DNS.\n",
	} {
		was := names[program]
		names[program] = "exit 111"
		dir := home(t, names)
		status, out := shell(t, conf(t, "config"), []string{"QMAILHOME=" + dir})
		if status != 1 || out != says+"You will have to set up control/me yourself.\n" {
			t.Errorf("%s fails: %d %s", program, status, out)
		}
		if got := controls(t, dir); got != "no me; no defaultdomain; no plusdomain; no locals; no rcpthosts; " {
			t.Errorf("%s fails: %s", program, got)
		}
		names[program] = was
	}
}

// serviceScript returns a run script that looks into dir for the qmail home, and
// whose programs are stand-ins that say how they were called.
func serviceScript(t *testing.T, dir, service string) string {
	t.Helper()
	for _, name := range []string{"supervise/" + service, "qmail-config-system"} {
		text, err := os.ReadFile(conf(t, name))
		if err != nil {
			t.Fatal(err)
		}
		place := dir + "/bin/qmail-config-system"
		if name != "qmail-config-system" {
			place = dir + "/run"
		}
		write(t, place, strings.ReplaceAll(string(text), "/var/qmail", dir))
	}
	for _, name := range []string{"conf-common", "conf-smtpd", "conf-pop3d", "conf-qmtpd", "conf-qmqpd", "conf-send"} {
		text, err := os.ReadFile(conf(t, "control/"+name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir+"/control/"+name, strings.ReplaceAll(strings.ReplaceAll(string(text), "/var/qmail", dir), "/etc/tcp", dir+"/tcp"))
	}
	return dir + "/run"
}

var tools = map[string]string{
	"softlimit": `echo softlimit "$@"`, "setuidgid": `echo setuidgid "$@"`, "id": "echo 4711", "sleep": `echo sleep "$@"`,
}

func TestRunScripts(t *testing.T) {
	for service, want := range map[string]string{
		"qmail-smtpd": "softlimit -m 16000000 tcpserver -v -R -l host.test -x DIR/tcp.smtp.cdb -c 33 -u 4711 -g 4711 0 25 DIR/bin/qmail-smtpd\n",
		"qmail-qmtpd": "softlimit -m 16000000 tcpserver -v -R -l host.test -x DIR/tcp.qmtp.cdb -c 33 -u 4711 -g 4711 0 209 DIR/bin/qmail-qmtpd\n",
		"qmail-qmqpd": "softlimit -m 16000000 tcpserver -v -R -l host.test -x DIR/tcp.qmqp.cdb -c 33 -u 4711 -g 4711 0 628 DIR/bin/qmail-qmqpd\n",
		"qmail-pop3d": "softlimit -m 16000000 tcpserver -v -R -l host.test -x DIR/tcp.pop3.cdb -c 33 0 110 " +
			"DIR/bin/qmail-popup host.test checkpassword DIR/bin/qmail-pop3d Maildir\n",
		"qmail-smtpd-log": "setuidgid qmaill multilog t s2500000 n10 /var/log/qmail/qmail-smtpd\n",
		"qmail-send-log":  "setuidgid qmaill multilog t s2500000 n10 /var/log/qmail/qmail-send\n",
		"qmail-pop3d-log": "setuidgid qmaill multilog t s2500000 n10 /var/log/qmail/qmail-pop3d\n",
	} {
		dir := home(t, tools)
		script := serviceScript(t, dir, service)
		for name, text := range map[string]string{
			"control/me": "host.test\n", "control/rcpthosts": "", "control/concurrencyincoming": "33\n",
			"tcp.smtp.cdb": "", "tcp.qmtp.cdb": "", "tcp.qmqp.cdb": "", "tcp.pop3.cdb": "",
		} {
			write(t, dir+"/"+name, text)
		}
		status, out := shell(t, script, []string{"PATH=" + dir + "/bin:/usr/bin:/bin"})
		if want := strings.ReplaceAll(want, "DIR", dir); status != 0 || out != want {
			t.Errorf("%s: %d %s, want %s", service, status, out, want)
		}
	}
}

// A listener that would be an open relay does not start, nor one without rules.
func TestGuard(t *testing.T) {
	for _, c := range []struct{ service, without, want string }{
		{"qmail-smtpd", "control/rcpthosts", "No DIR/control/rcpthosts!\nRefusing to start the smtp listener because it'll create an open relay\n"},
		{"qmail-qmtpd", "control/rcpthosts", "No DIR/control/rcpthosts!\nRefusing to start the qmtp listener because it'll create an open relay\n"},
		{"qmail-qmqpd", "tcp.qmqp.cdb", "No DIR/tcp.qmqp.cdb: run qmailctl cdb\n"},
		{"qmail-pop3d", "tcp.pop3.cdb", "No DIR/tcp.pop3.cdb: run qmailctl cdb\n"},
		{"qmail-smtpd", "control/me", "No DIR/control/me: run config-fast\n"},
		{"qmail-smtpd", "control/conf-common", "QMAILDUID, NOFILESGID or QMAILLUID is unset: see DIR/control/conf-common\n"},
	} {
		dir := home(t, tools)
		script := serviceScript(t, dir, c.service)
		for _, name := range []string{"control/me", "control/rcpthosts", "tcp.smtp.cdb", "tcp.qmtp.cdb", "tcp.qmqp.cdb", "tcp.pop3.cdb"} {
			write(t, dir+"/"+name, "host.test\n")
		}
		if err := os.Remove(dir + "/" + c.without); err != nil {
			t.Fatal(err)
		}
		vars := []string{"PATH=" + dir + "/bin:/usr/bin:/bin"}
		_, out := shell(t, script, vars)
		service := strings.TrimSuffix(strings.TrimPrefix(c.service, "qmail-"), "d")
		want := strings.ReplaceAll(c.want, "DIR", dir) + service + " does not start; the next try is in 90 seconds\nsleep 90\n"
		if out != want {
			t.Errorf("%s without %s: %s, want %s", c.service, c.without, out, want)
		}
		if c.without == "control/rcpthosts" {
			_, out := shell(t, script, append(vars, "QMAIL_DISABLE_SANITY_CHECK=1"))
			if !strings.HasPrefix(out, "softlimit ") {
				t.Errorf("%s with the check disabled: %s", c.service, out)
			}
		}
	}
}

// The settings of a service win over the common ones, and those of Gentoo are taken.
func TestSettings(t *testing.T) {
	dir := home(t, tools)
	script := serviceScript(t, dir, "qmail-smtpd")
	for _, name := range []string{"control/me", "control/rcpthosts", "rules.cdb"} {
		write(t, dir+"/"+name, "host.test\n")
	}
	write(t, dir+"/control/conf-smtpd", `TCPSERVER_HOST=::
TCPSERVER_PORT=2525
TCPSERVER_OPTS="$TCPSERVER_OPTS -i"
TCPSERVER_RULESCDB=`+dir+`/rules.cdb
MAXCONN=7
SOFTLIMIT_OPTS="-m 8000000"
QMAIL_TCPSERVER_PRE="envdir /etc/relay-ctrl"
QMAIL_SMTP_PRE="rblsmtpd -r list.test"
QMAIL_SMTP_CHECKPASSWORD=/usr/bin/cmd5checkpw
`)
	_, out := shell(t, script, []string{"PATH=" + dir + "/bin:/usr/bin:/bin"})
	want := "softlimit -m 8000000 envdir /etc/relay-ctrl tcpserver -v -R -l host.test -i -x DIR/rules.cdb -c 7 -u 4711 -g 4711 :: 2525 " +
		"rblsmtpd -r list.test DIR/bin/qmail-smtpd /usr/bin/cmd5checkpw /bin/true\n"
	if want := strings.ReplaceAll(want, "DIR", dir); out != want {
		t.Errorf("%s, want %s", out, want)
	}
}

// Gentoo's settings are written for bash, and an option of multilog may be quoted.
func TestSettingsForBash(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash")
	}
	for service, want := range map[string]string{
		"qmail-smtpd":     "softlimit -m 16000000 tcpserver -v -R -l host.test -x DIR/tcp.smtp.cdb -c 33 -u 4711 -g 4711 0 25 DIR/bin/qmail-smtpd",
		"qmail-smtpd-log": "setuidgid qmaill multilog t -*status: 0/* s2500000 n10 /var/log/qmail/qmail-smtpd",
	} {
		dir := home(t, tools)
		script := serviceScript(t, dir, service)
		for _, name := range []string{"control/me", "control/rcpthosts", "tcp.smtp.cdb"} {
			write(t, dir+"/"+name, "host.test\n")
		}
		write(t, dir+"/control/conf-smtpd", `TCPSERVER_PORT=25
[[ -e $QMAIL_CONTROLDIR/concurrencyincoming ]] || MAXCONN=33
LOG_OPTS="$LOG_OPTS '-*status: 0/*'"
`)
		_, out := shell(t, script, []string{"PATH=" + dir + "/bin:/usr/bin:/bin"})
		if want := strings.ReplaceAll(want, "DIR", dir) + "\n"; out != want {
			t.Errorf("%s: %s, want %s", service, out, want)
		}
	}
}

// multilog gets the words of LOG_OPTS as they are, and quoted ones without quotes.
func TestLogOptions(t *testing.T) {
	for opts, want := range map[string]string{
		`t -*(x)* n5`:               `t|-*(x)*|n5`,
		`t -*don't* +*a;b* n5`:      `t|-*don't*|+*a;b*|n5`,
		`t -* +*\$(id)* n5`:         `t|-*|+*\$(id)*|n5`,
		`t * n5`:                    `t|*|n5`,
		`t '-*(x) y*' n5`:           `t|-*(x) y*|n5`,
		`t "-*don't*" '+*a;  b' n5`: `t|-*don't*|+*a;  b|n5`,
	} {
		for _, service := range []string{"send", "smtpd", "pop3d", "qmtpd", "qmqpd"} {
			dir := home(t, map[string]string{"id": "echo 4711", "setuidgid": `printf "%s|" "$@"`})
			script := serviceScript(t, dir, "qmail-"+service+"-log")
			write(t, dir+"/control/conf-"+service, "LOG_MAXSIZE= LOG_MAXCOUNT= LOG_DEST='/a b'\nLOG_OPTS=$(cat <<'EOF'\n"+opts+"\nEOF\n)\n")
			status, out := shell(t, script, []string{"PATH=" + dir + "/bin:/usr/bin:/bin"})
			if want := "qmaill|multilog|" + want + "|/a b|"; status != 0 || out != want {
				t.Errorf("%s: %s: %d %s, want %s", service, opts, status, out, want)
			}
		}
	}
}

// qmailctl tells each service what its verb says, in order.
func TestQmailctl(t *testing.T) {
	dir := home(t, map[string]string{
		"svc": `echo svc "$@" | sed "s|$S|S|g"`, "svok": `test ! -e "$1/dead"`, "svstat": `echo svstat "$@" | sed "s|$S|S|g"`,
		"tcprules": `cat >"$1"`, "qmail-qstat": "echo qstat", "qmail-qread": "echo qread", "qmail-tcpok": "echo tcpok",
	})
	text, err := os.ReadFile(conf(t, "qmailctl"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/qmailctl", strings.NewReplacer("/var/qmail", dir, "/var/lock", dir).Replace(string(text)))
	for _, service := range []string{"../subsys", "qmail-send/log", "qmail-smtpd/log", "qmail-pop3d", "other"} {
		if err := os.MkdirAll(dir+"/service/"+service, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir+"/tcp.smtp", ":allow\n")
	vars := []string{"S=" + dir + "/service", "QMAIL_SERVICES=" + dir + "/service", "QMAIL_RULES=" + dir}
	run := func(verb, want string, wantStatus int) {
		t.Helper()
		if status, out := shell(t, dir+"/qmailctl", vars, verb); out != want || status != wantStatus {
			t.Errorf("%s: %d\n%swant %d\n%s", verb, status, out, wantStatus, want)
		}
	}
	run("start", "Starting qmail\nsvc -u S/qmail-send\nsvc -u S/qmail-send/log\nsvc -u S/qmail-pop3d\nsvc -u S/qmail-smtpd\nsvc -u S/qmail-smtpd/log\n", 0)
	if _, err := os.Stat(dir + "/subsys/qmail"); err != nil {
		t.Error(err)
	}
	run("stop", "Stopping qmail...\n  qmail-pop3d\nsvc -d S/qmail-pop3d\n  qmail-smtpd\nsvc -d S/qmail-smtpd\nsvc -d S/qmail-smtpd/log\n"+
		"  qmail-send\nsvc -d S/qmail-send\nsvc -d S/qmail-send/log\n", 0)
	if _, err := os.Stat(dir + "/subsys/qmail"); !os.IsNotExist(err) {
		t.Error("stopped, and still marked as running:", err)
	}
	run("restart", "Restarting qmail:\n* Stopping qmail-pop3d.\nsvc -d S/qmail-pop3d\n* Stopping qmail-smtpd.\nsvc -d S/qmail-smtpd\n"+
		"* Sending qmail-send SIGTERM and restarting.\nsvc -t S/qmail-send\n* Restarting qmail-pop3d.\nsvc -u S/qmail-pop3d\n"+
		"* Restarting qmail-smtpd.\nsvc -u S/qmail-smtpd\n", 0)
	run("stat", "svstat S/qmail-send\nsvstat S/qmail-send/log\nsvstat S/qmail-pop3d\nsvstat S/qmail-smtpd\nsvstat S/qmail-smtpd/log\nqstat\n", 0)
	for _, verb := range []string{"doqueue", "alrm", "flush"} {
		run(verb, "Flushing timeout table and sending ALRM signal to qmail-send.\ntcpok\nsvc -a S/qmail-send\n", 0)
	}
	run("queue", "qstat\nqread\n", 0)
	for _, verb := range []string{"reload", "hup"} {
		run(verb, "Sending HUP signal to qmail-send.\nsvc -h S/qmail-send\n", 0)
	}
	run("pause", "Pausing qmail-send\nsvc -p S/qmail-send\nPausing qmail-pop3d\nsvc -p S/qmail-pop3d\nPausing qmail-smtpd\nsvc -p S/qmail-smtpd\n", 0)
	run("cont", "Continuing qmail-send\nsvc -c S/qmail-send\nContinuing qmail-pop3d\nsvc -c S/qmail-pop3d\nContinuing qmail-smtpd\nsvc -c S/qmail-smtpd\n", 0)
	run("cdb", "Reloaded "+dir+"/tcp.smtp.\n", 0)
	if got := mode(t, dir+"/tcp.smtp.cdb"); got != 0o644 {
		t.Errorf("tcp.smtp.cdb has mode %o", got)
	}
	if status, out := shell(t, dir+"/qmailctl", vars, "help"); status != 0 || strings.Count(out, "\n") < 9 {
		t.Errorf("help: %d %s", status, out)
	}
	run("no", "Usage: "+dir+"/qmailctl {start|stop|restart|doqueue|alrm|flush|reload|hup|stat|pause|cont|cdb|queue|help}\n", 1)
	write(t, dir+"/service/qmail-send/dead", "")
	run("hup", "Sending HUP signal to qmail-send.\nqmail-send supervise not running\n", 1)
}
