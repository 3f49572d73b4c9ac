package install_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"paperpath"
	"paperpath/internal/hier"
	"paperpath/internal/programs"
	"paperpath/test/bin"
)

func TestMain(m *testing.M) { bin.Main(m) }

// built returns a directory like bin/: the two programs under test, and for every
// other one a file that is not worth copying for long.
func built(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	table, err := programs.Parse(paperpath.PROGRAMS)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range table {
		write(t, dir+"/"+p.Name, "program "+p.Name)
	}
	for _, name := range []string{"instpackage", "instcheck"} {
		text, err := os.ReadFile(filepath.Join(bin.Dir(t), name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir+"/"+name, string(text))
		chmod(t, dir+"/"+name, 0o755)
	}
	return dir
}

// installed leaves out what a host has already, in a better form.
func installed(table []programs.Program) []programs.Program {
	return slices.DeleteFunc(table, func(p programs.Program) bool { return p.Name == "hostname" })
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, name string, mode uint32) {
	t.Helper()
	if err := syscall.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

// run runs one of the two programs and returns its exit status and what it said.
func run(t *testing.T, program string, args ...string) (status int, said string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func install(t *testing.T, dir, root string) string {
	t.Helper()
	status, said := run(t, dir+"/instpackage", "-d", root)
	if status != 0 {
		t.Fatalf("instpackage: status %d\n%s", status, said)
	}
	return said
}

// check runs instcheck, which must say these lines (ROOT stands for the root
// directory, HOME for the qmail home) and no other.
func check(t *testing.T, dir, root string, want ...string) {
	t.Helper()
	status, said := run(t, dir+"/instcheck", "-d", root)
	var got []string
	for line := range strings.Lines(said) {
		if line, warning := strings.CutPrefix(strings.TrimSpace(line), "instcheck: warning: "); warning {
			got = append(got, line)
		} else if !strings.HasSuffix(line, "accounts of another host, or not root") {
			t.Errorf("instcheck says %q", line)
		}
	}
	places := strings.NewReplacer("HOME", root+"/var/qmail", "ROOT", root)
	if want := places.Replace(strings.Join(want, "\n")); strings.Join(got, "\n") != want {
		t.Errorf("instcheck says\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if (status == 1) != (len(want) > 0) || status > 1 {
		t.Errorf("instcheck: status %d after %d lines", status, len(want))
	}
}

// photograph returns what a second installation must not change.
func photograph(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(name, &st); err != nil {
			return err
		}
		all[name] = fmt.Sprintf("inode %d mode %o owner %d:%d changed %v", st.Ino, st.Mode, st.Uid, st.Gid, st.Ctim)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func mode(t *testing.T, name string) uint32 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(name, &st); err != nil {
		t.Error(err)
	}
	return st.Mode & 0o7777
}

// A package is built: nobody is known, and nothing has anybody's rights.
func TestStaging(t *testing.T) {
	dir, root := built(t), t.TempDir()
	said := install(t, dir, root)
	if !strings.Contains(said, "things have no owner yet") {
		t.Errorf("instpackage says %q", said)
	}
	table, err := programs.Parse(paperpath.PROGRAMS)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range installed(table) {
		place := "/usr/local/bin/"
		if strings.HasSuffix(p.Owner, ":qmail") {
			place = "/var/qmail/bin/"
		} else if to, err := os.Readlink(root + "/command/" + p.Name); to != place+p.Name {
			t.Errorf("/command/%s leads to %q, %v", p.Name, to, err)
		}
		want, _ := strconv.ParseUint(p.Mode, 8, 32)
		if got := mode(t, root+place+p.Name); got != uint32(want)&0o777 {
			t.Errorf("%s: mode %o", p.Name, got)
		}
	}
	for _, name := range []string{
		"/var/qmail/man/man8/qmail-send.8", "/var/qmail/man/man5/dot-qmail.5", "/usr/local/share/man/man8/svscan.8",
		"/var/qmail/supervise/qmail-smtpd/log/run", "/etc/tcp.smtp", "/var/log/qmail/qmail-send",
	} {
		if _, err := os.Stat(root + name); err != nil {
			t.Error(err)
		}
	}
	for _, page := range []string{"man8/qmail-send.8", "man5/dot-qmail.5", "man8/qmailctl.8"} {
		if to, err := os.Readlink(root + "/usr/local/share/man/" + page); to != "/var/qmail/man/"+page {
			t.Errorf("%s: man(1) is led to %q, %v", page, to, err)
		}
	}
	check(t, dir, root, "HOME/control/me does not exist: run config-fast")
	write(t, root+"/var/qmail/control/me", "host.test\n")
	write(t, root+"/var/qmail/control/rcpthosts", "host.test\n")
	check(t, dir, root)

	before := photograph(t, root)
	if said := install(t, dir, root); !strings.HasSuffix(said, "nothing to change\n") {
		t.Errorf("the second time instpackage says %q", said)
	}
	after := photograph(t, root)
	for name, was := range before {
		if after[name] != was {
			t.Errorf("%s: %s, was %s", name, after[name], was)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d files, were %d", len(after), len(before))
	}
}

// What an administrator, or the mail system, has written stays; programs do not.
func TestUpgrade(t *testing.T) {
	dir, root := built(t), t.TempDir()
	home := root + "/var/qmail"
	install(t, dir, root)
	kept := []string{
		"/etc/tcp.smtp", "/var/qmail/rc", "/var/qmail/control/conf-smtpd", "/var/qmail/control/concurrencyincoming",
		"/var/qmail/control/me", "/var/qmail/bin/qmailctl", "/var/qmail/supervise/qmail-send/run",
		"/var/qmail/alias/.qmail-root", "/var/qmail/queue/mess/3/26", "/var/qmail/queue/lock/tcpto", "/var/qmail/users/assign",
	}
	for _, name := range kept {
		write(t, root+name, "mine")
	}
	link(t, "qmail-qmqpc", home+"/bin/qmail-queue")
	link(t, "/package/admin/daemontools/command/svc", root+"/command/svc")
	link(t, "/command/svok", root+"/usr/local/bin/svok")
	own := []string{ // what nobody asked for
		home + "/supervise/qmail-send/log", root + "/etc/tcp.pop3",
	}
	for _, name := range append(own, root+"/usr/sbin/sendmail") {
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
	write(t, root+"/etc/tcp.pop3.cdb", "made of another file")
	write(t, root+"/usr/sbin/sendmail", "another mail system's")
	replaced := map[string]string{
		"/var/qmail/bin/qmail-smtpd": "program qmail-smtpd", "/var/qmail/man/man8/qmail-send.8": "", "/var/qmail/boot/home": "",
		"/usr/local/bin/svscan": "program svscan",
	}
	for name := range replaced {
		write(t, root+name, "of an old version")
	}
	old, err := os.Open(home + "/bin/qmail-smtpd") // it runs
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()

	said := install(t, dir, root)
	for _, name := range kept {
		if text, err := os.ReadFile(root + name); string(text) != "mine" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	for _, name := range own {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s was made again", name)
		}
	}
	for name, want := range replaced {
		text, err := os.ReadFile(root + name)
		if err != nil || bytes.HasPrefix(text, []byte("of an old")) || want != "" && string(text) != want {
			t.Errorf("%s: %.20q, %v", name, text, err)
		}
	}
	if text, err := os.ReadFile(root + "/usr/local/bin/svok"); string(text) != "program svok" {
		t.Errorf("svok: %q, %v", text, err)
	}
	if to, _ := os.Readlink(root + "/command/svc"); to != "/usr/local/bin/svc" {
		t.Errorf("/command/svc leads to %s", to)
	}
	if to, _ := os.Readlink(home + "/bin/qmail-queue"); to != "qmail-qmqpc" {
		t.Errorf("qmail-queue leads to %s", to)
	}
	for _, line := range []string{
		"kept " + home + "/bin/qmail-queue: it is a link\n",
		"kept " + root + "/usr/sbin/sendmail: it is not the link to /var/qmail/bin/sendmail\n",
	} {
		if !strings.Contains(said, line) {
			t.Errorf("instpackage says %q, not %q", said, line)
		}
	}
	text := make([]byte, 20)
	if n, _ := old.Read(text); string(text[:n]) != "of an old version" {
		t.Errorf("the program was written over: %q", text[:n])
	}
}

func link(t *testing.T, to, name string) {
	t.Helper()
	os.Remove(name)
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

// Each deviation has its line.
func TestDeviations(t *testing.T) {
	dir, root := built(t), t.TempDir()
	home := root + "/var/qmail"
	named := func() {
		write(t, home+"/control/me", "host.test\n")
		write(t, home+"/control/rcpthosts", "host.test\n")
	}
	install(t, dir, root)
	named()
	check(t, dir, root)
	remove := func(name string) {
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
	mode := func(mode uint32) func(string) { return func(name string) { chmod(t, name, mode) } }
	stray := func(mode uint32) func(string) {
		return func(name string) {
			remove(name)
			write(t, name, "stray")
			chmod(t, name, mode)
		}
	}
	elsewhere := func(name string) {
		remove(name)
		link(t, t.TempDir(), name)
	}
	for _, c := range []struct {
		name  string // of the file that is not as it should be
		plant func(name string)
		want  string // behind its name; "" for what is not instcheck's business
	}{
		{"HOME/bin/qmail-send", remove, " does not exist"},
		{"HOME/queue/lock/trigger", remove, " does not exist"},
		{"HOME/control/me", remove, " does not exist: run config-fast"},
		{"ROOT/command/svscanboot", remove, " does not exist"},
		{"HOME/control/rcpthosts", remove, " does not exist: qmail-smtpd would relay for everybody"},
		{"HOME/supervise/qmail-qmqpd/run", remove, ""},
		{"HOME/supervise/qmail-qmqpd/run", mode(0o644), " has wrong permissions: 0644, not 0755"},
		{"HOME/rc", mode(0o700), ""},
		{"HOME/rc", stray(0o755), ""},
		{"HOME/bin/qmail-local", stray(0o711), " is not the one of this version"},
		{"HOME/man/man8/qmail-local.8", stray(0o644), " is not the one of this version"},
		{"HOME/queue/pid", elsewhere, " has wrong type: it is not a directory"},
		{"HOME/queue/lock/trigger", stray(0o622), " has wrong type: it is not a fifo"},
		{"HOME/queue/lock/trigger", mode(0o600), " has wrong permissions: 0600, not 0622"},
		{"HOME/bin/qmail-lspawn", mode(0o755), " has wrong permissions: 0755, not 0700"},
		{"ROOT/usr/local/bin/tcpserver", mode(0o4755), " has wrong permissions: 4755, not 0755"},
		{"HOME/queue/mess/7", mode(0o777), " has wrong permissions: 0777, not 0750"},
		{"HOME/control/conf-smtpd", mode(0o600), ""},
		{"HOME/control/conf-smtpd", mode(0o666), " has wrong permissions: 0666, not 0644"},
		{"HOME/supervise/qmail-send", mode(0o1755), ""},
		{"HOME/supervise/qmail-send", mode(0o775), " has wrong permissions: 0775, not 0755"},
		{"HOME/bin/helper", stray(0o4755), " is setuid or setgid (4755), and not of this system"},
		{"HOME/control/virtualdomains", stray(0o646), " can be written by everybody (0646)"},
		{"HOME/alias/.qmail-x", stray(0o600), ""},
		{"HOME/queue/lock/tcpto", stray(0o644), " has 5 bytes, not 1024"},
		{"ROOT/usr/sbin/sendmail", func(name string) { link(t, "/usr/sbin/exim4", name) },
			" leads to /usr/sbin/exim4, not to /var/qmail/bin/sendmail"},
	} {
		name := strings.NewReplacer("HOME", home, "ROOT", root).Replace(c.name)
		c.plant(name)
		if c.want == "" {
			check(t, dir, root)
		} else {
			check(t, dir, root, c.name+c.want)
		}
		remove(name)
		install(t, dir, root)
		named()
	}
	check(t, dir, root)
}

func TestQueueOnly(t *testing.T) {
	dir, root := built(t), t.TempDir()
	if status, said := run(t, dir+"/instpackage", "-d", root, "queue-only"); status != 0 {
		t.Fatal(status, said)
	}
	table, err := hier.Parse(paperpath.HIER)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range table {
		_, err := os.Lstat(filepath.Join(root, "/var/qmail", e.Path))
		if made, want := err == nil, e.Path == "." || strings.HasPrefix(e.Path, "queue"); made != want {
			t.Errorf("%s: made %v, want %v", e.Path, made, want)
		}
	}
	if status, said := run(t, dir+"/instcheck", "-d", root, "queue-only"); status != 0 {
		t.Error(status, said)
	}
	chmod(t, root+"/var/qmail/queue/todo", 0o755)
	if status, said := run(t, dir+"/instcheck", "-d", root, "queue-only"); status != 1 || strings.Count(said, "warning") != 1 {
		t.Error(status, said)
	}
}

// A queue of the big-todo patch is made on demand, and kept as it is.
func TestBigTodo(t *testing.T) {
	dir, root := built(t), t.TempDir()
	queue := root + "/var/qmail/queue"
	if status, said := run(t, dir+"/instpackage", "-b", "-d", root, "queue-only"); status != 0 {
		t.Fatal(status, said)
	}
	for name, want := range map[string]uint32{"todo/0": 0o750, "todo/22": 0o750, "intd/0": 0o700, "intd/22": 0o700} {
		if got := mode(t, queue+"/"+name); got != want {
			t.Errorf("%s has mode %o", name, got)
		}
	}
	if err := os.Remove(queue + "/intd/7"); err != nil {
		t.Fatal(err)
	}
	if status, said := run(t, dir+"/instcheck", "-d", root, "queue-only"); status != 1 || !strings.Contains(said, queue+"/intd/7 does not exist\n") {
		t.Error(status, said)
	}
	install(t, dir, root)
	mode(t, queue+"/intd/7")

	root = t.TempDir()
	install(t, dir, root)
	kept := "kept " + root + "/var/qmail/queue/todo: a queue that exists keeps its form\n"
	if status, said := run(t, dir+"/instpackage", "-b", "-d", root); status != 0 || !strings.Contains(said, kept) {
		t.Error(status, said)
	}
	if _, err := os.Stat(root + "/var/qmail/queue/todo/0"); err == nil {
		t.Error("the form of a queue was changed")
	}
}

func TestUsage(t *testing.T) {
	dir, b := built(t), map[string]string{"instpackage": "[ -b ] "}
	for _, args := range [][]string{{"-d", "relative"}, {"-x"}, {"all"}, {"queue-only", "queue-only"}, {"-d"}} {
		for _, program := range []string{"instpackage", "instcheck"} {
			want := program + ": usage: " + program + " " + b[program] + "[ -d destdir ] [ queue-only ]\n"
			if status, said := run(t, dir+"/"+program, args...); status != 100 || said != want {
				t.Errorf("%s %q: %d %q", program, args, status, said)
			}
		}
	}
	if os.Geteuid() != 0 {
		want := "instpackage: fatal: only root can install; -d names a directory to install below\n"
		if status, said := run(t, dir+"/instpackage"); status != 100 || said != want {
			t.Errorf("%d %q", status, said)
		}
	}
}
