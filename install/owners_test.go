package install_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"paperpath"
	"paperpath/internal/hier"
	"paperpath/internal/programs"
)

// Accounts of another host, none of which is one of this host by accident.
const (
	passwd = `root:x:0:0:root:/root:/bin/bash
alias:x:7790:2108::/var/qmail/alias:/bin/true
qmaild:x:7791:2108::/var/qmail:/bin/true
qmaill:x:7792:2108::/var/qmail:/bin/true
qmailp:x:7793:2108::/var/qmail:/bin/true
qmailq:x:7794:2107::/var/qmail:/bin/true
qmailr:x:7795:2107::/var/qmail:/bin/true
qmails:x:7796:2107::/var/qmail:/bin/true
`
	group = "root:x:0:\nqmail:x:2107:\nnofiles:x:2108:\n"
)

var numbers = map[string]uint32{
	"root": 0, "alias": 7790, "qmaild": 7791, "qmaill": 7792, "qmailq": 7794, "qmailr": 7795, "qmails": 7796,
}

// otherHost makes a root directory that has accounts.
func otherHost(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	root := t.TempDir()
	if err := os.Mkdir(root+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, root+"/etc/passwd", passwd)
	write(t, root+"/etc/group", group)
	return root
}

func chown(t *testing.T, name string, uid, gid int) {
	t.Helper()
	if err := os.Lchown(name, uid, gid); err != nil {
		t.Fatal(err)
	}
}

// Owners and modes are those of the tables.
func TestOwners(t *testing.T) {
	root := otherHost(t)
	dir := built(t)
	install(t, dir, root)
	same := func(name, owner string, mode uint32) {
		t.Helper()
		var st syscall.Stat_t
		if err := syscall.Lstat(name, &st); err != nil {
			t.Error(err)
			return
		}
		user, group, _ := strings.Cut(owner, ":")
		gid := map[string]uint32{"root": 0, "qmail": 2107, "nofiles": 2108}[group]
		if st.Uid != numbers[user] || st.Gid != gid || st.Mode&0o7777 != mode {
			t.Errorf("%s: %d:%d %04o, want %s %04o", name, st.Uid, st.Gid, st.Mode&0o7777, owner, mode)
		}
	}
	entries, err := hier.Parse(paperpath.HIER)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := strings.ReplaceAll(e.Path, "{prefix}", "/usr/local")
		if !filepath.IsAbs(name) {
			name = filepath.Join("/var/qmail", name)
		}
		same(root+name, e.Owner, e.Mode)
	}
	table, err := programs.Parse(paperpath.PROGRAMS)
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]uint32{"0755": 0o755, "0711": 0o711, "0700": 0o700, "4711": 0o4711}
	for _, p := range installed(table) {
		if strings.HasSuffix(p.Owner, ":qmail") {
			same(root+"/var/qmail/bin/"+p.Name, p.Owner, modes[p.Mode])
		} else {
			same(root+"/usr/local/bin/"+p.Name, p.Owner, modes[p.Mode])
		}
	}
	write(t, root+"/var/qmail/control/me", "host.test\n")
	write(t, root+"/var/qmail/control/rcpthosts", "host.test\n")
	check(t, dir, root)
}

// A package was unpacked as root's: the programs lie in their place already, and get
// their owners, and only then their rights.
func TestUnpacked(t *testing.T) {
	root := otherHost(t)
	os.Remove(root + "/etc/passwd")
	dir := built(t)
	install(t, dir, root)
	queue := root + "/var/qmail/bin/qmail-queue"
	if got := mode(t, queue); got != 0o711 {
		t.Errorf("root's qmail-queue has mode %04o", got)
	}
	write(t, root+"/etc/passwd", passwd)
	chmod(t, root+"/var/qmail/bin/instpackage", 0o755)
	status, said := run(t, root+"/var/qmail/bin/instpackage", "-d", root)
	if got := mode(t, queue); status != 0 || got != 0o4711 || strings.Contains(said, queue) {
		t.Errorf("%d %q, qmail-queue has mode %04o", status, said, got)
	}
	write(t, root+"/var/qmail/control/me", "host.test\n")
	write(t, root+"/var/qmail/control/rcpthosts", "host.test\n")
	check(t, dir, root)
}

func TestOwnerDeviations(t *testing.T) {
	root := otherHost(t)
	dir, home := built(t), root+"/var/qmail"
	install(t, dir, root)
	write(t, home+"/control/me", "host.test\n")
	write(t, home+"/control/rcpthosts", "host.test\n")
	for _, c := range []struct {
		plant, mend func()
		want        []string
	}{
		{func() { chown(t, home+"/queue/todo", 0, 2107) }, nil, []string{"HOME/queue/todo has wrong owner: 0, not 7794"}},
		{func() { chown(t, home+"/queue/lock/tcpto", 7795, 0) }, nil, []string{"HOME/queue/lock/tcpto has wrong group: 0, not 2107"}},
		{func() { chown(t, home+"/bin/qmail-queue", 0, 2107); chmod(t, home+"/bin/qmail-queue", 0o4711) }, nil,
			[]string{"HOME/bin/qmail-queue has wrong owner: 0, not 7794"}},
		{func() { chown(t, home+"/control/conf-send", 7791, 2107) },
			func() { chown(t, home+"/control/conf-send", 0, 2107) },
			[]string{"HOME/control/conf-send has wrong owner: 7791, not 0"}},
		{func() { write(t, root+"/etc/passwd", strings.Replace(passwd, ":7796:", ":7794:", 1)) },
			func() { write(t, root+"/etc/passwd", passwd) },
			append([]string{"qmails has the uid of qmailq, 7794"}, ownedBySend(t, home)...)},
		{func() { write(t, root+"/etc/passwd", strings.Replace(passwd, "/var/qmail/alias", "/home/alias", 1)) },
			func() { write(t, root+"/etc/passwd", passwd) },
			[]string{"alias has the home /home/alias, not /var/qmail/alias"}},
		{func() { write(t, root+"/etc/passwd", strings.Replace(passwd, ":7791:2108:", ":0:2107:", 1)) },
			func() { write(t, root+"/etc/passwd", passwd) },
			[]string{"qmaild is root", "qmaild has the group 2107, not 2108 (nofiles)"}},
	} {
		c.plant()
		check(t, dir, root, c.want...)
		if c.mend != nil {
			c.mend()
		} else if said := install(t, dir, root); strings.Count(said, "corrected ") != 1 { // and nothing else
			t.Errorf("instpackage says %q after %q", said, c.want)
		}
		check(t, dir, root)
	}
}

// ownedBySend lists what instcheck says when another uid should own what qmails owns.
func ownedBySend(t *testing.T, home string) (lines []string) {
	t.Helper()
	entries, err := hier.Parse(paperpath.HIER)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Owner, "qmails:") {
			lines = append(lines, home+"/"+e.Path+" has wrong owner: 7796, not 7794")
		}
	}
	return lines
}

// Who owns a directory of the queue cannot have root give him other files.
func TestTraps(t *testing.T) {
	root := otherHost(t)
	dir, home := built(t), root+"/var/qmail"
	install(t, dir, root)
	secret := root + "/etc/shadow"
	write(t, secret, "secret")
	tcpto := home + "/queue/lock/tcpto"
	for name, plant := range map[string]func(){
		"a link":       func() { link(t, secret, tcpto) },
		"another name": func() { os.Remove(tcpto); os.Link(secret, tcpto) },
		"a directory":  func() { os.Remove(tcpto); os.Mkdir(tcpto, 0o755) },
		"a link of qmailq's": func() {
			os.Remove(home + "/queue/pid")
			link(t, root+"/etc", home+"/queue/pid")
			chown(t, home+"/queue/pid", 7794, 2107)
		},
	} {
		plant()
		if status, said := run(t, dir+"/instpackage", "-d", root); status != 111 || !strings.Contains(said, "fatal: unable to use "+home+"/queue/") {
			t.Errorf("%s: %d %q", name, status, said)
		}
		for _, file := range []string{secret, root + "/etc"} {
			var st syscall.Stat_t
			if err := syscall.Lstat(file, &st); err != nil || st.Uid != 0 || st.Gid != 0 {
				t.Errorf("%s: %s is %d:%d's", name, file, st.Uid, st.Gid)
			}
		}
		os.RemoveAll(tcpto)
		os.Remove(home + "/queue/pid")
		install(t, dir, root)
	}
	// Root himself may have put the queue on a disk of its own.
	if err := os.Rename(home+"/queue", root+"/disk"); err != nil {
		t.Fatal(err)
	}
	link(t, root+"/disk", home+"/queue")
	chmod(t, root+"/disk", 0o700)
	if said := install(t, dir, root); !strings.Contains(said, "corrected "+home+"/queue: mode 0700 is now 0750\n") {
		t.Errorf("instpackage says %q", said)
	}
}
