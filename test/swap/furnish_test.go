package swap

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

//go:embed scenario
var scenario embed.FS

// place is where everything of a room is; it must exist on the host.
const place = "/mnt"

// hostName is the room's.
const hostName = "swap.test"

// furnish mounts what the scenario sees over what the host has:
//
//	/mnt               a file system in memory: scenario, homes, logs, …
//	the qmail home     /mnt/qmail, with the programs of the plan in bin
//	programs           of the host, by ours where the plan says so
//	/etc /dev /proc    what the scenario needs of them
//	/usr/local/bin     nothing: svscanboot looks there first
//
// The order matters: the programs may lie below any of these.
func (p *plan) furnish() error {
	s := steps{}
	s.mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE)
	root := filepath.Join(p.Root, "root")
	s.mkdir(root, 0o755)
	s.mount("tmpfs", root, "tmpfs", 0)
	os.Chmod(root, 0o755)
	for _, dir := range []string{"qmail", "qmail/bin", "qmail/control", "qmail/users", "etc", "dev", "home", "log", "nothing"} {
		s.mkdir(filepath.Join(root, dir), 0o755)
	}
	s.mkdir(root+"/tmp", 0o1777)
	ids := s.accounts(root + "/etc")
	s.mkdir(root+"/qmail/alias", 0o755)
	s.own(root+"/qmail/alias", ids["alias"])
	for _, name := range people {
		s.mkdir(root+"/home/"+name, 0o755)
		s.own(root+"/home/"+name, ids[name])
	}
	s.queue(p.C, root+"/qmail")
	s.etc(root + "/etc")
	s.dev(root + "/dev")
	s.copyScenario(root)
	for name, file := range p.Bin {
		to := filepath.Join(root, "qmail/bin", name)
		if name == "qmail-queue" {
			s.setuid(file, to, ids["qmailq"])
			continue
		}
		s.touch(to)
		s.mount(file, to, "", unix.MS_BIND)
	}
	for path, file := range p.Over {
		s.mount(file, path, "", unix.MS_BIND)
	}
	for _, dir := range []string{"/usr/local/bin", "/command"} {
		if _, err := os.Stat(dir); err == nil {
			s.mount(root+"/nothing", dir, "", unix.MS_BIND)
		}
	}
	s.mount(root, place, "", unix.MS_BIND|unix.MS_REC)
	s.mount(root+"/qmail", p.Home, "", unix.MS_BIND|unix.MS_REC)
	s.mount(root+"/etc", "/etc", "", unix.MS_BIND)
	s.mount(root+"/dev", "/dev", "", unix.MS_BIND|unix.MS_REC)
	s.mount("proc", "/proc", "proc", 0)
	if s.err != nil {
		return s.err
	}
	os.Clearenv()
	os.Setenv("PATH", "/usr/bin:/bin")
	syscall.Umask(0o22)
	// Every process has five digits: they are in messages, whose sizes are in logs.
	if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte("10000"), 0); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(hostName)); err != nil {
		return err
	}
	return loopback()
}

// steps does one thing after the other until one fails.
type steps struct{ err error }

func (s *steps) do(what string, f func() error) {
	if s.err == nil {
		if err := f(); err != nil {
			s.err = fmt.Errorf("%s: %w", what, err)
		}
	}
}

func (s *steps) mount(from, to, kind string, flags uintptr) {
	s.do("mount "+from+" "+to, func() error { return unix.Mount(from, to, kind, flags, "") })
}

func (s *steps) mkdir(dir string, mode uint32) {
	s.do("mkdir", func() error {
		if err := unix.Mkdir(dir, mode); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		return unix.Chmod(dir, mode)
	})
}

func (s *steps) own(path string, id id) {
	s.do("chown "+path, func() error { return os.Chown(path, id.uid, id.gid) })
}

func (s *steps) touch(path string) { s.write(path, "", 0o644) }

func (s *steps) write(path, text string, mode os.FileMode) {
	s.do("write", func() error { return os.WriteFile(path, []byte(text), mode) })
}

func (s *steps) setuid(from, to string, id id) {
	s.do("copy "+from, func() error {
		text, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		return os.WriteFile(to, text, 0o711)
	})
	s.own(to, id)
	s.do("chmod", func() error { return os.Chmod(to, 0o4711|os.ModeSetuid) })
}

// queue copies an installed queue with owners and modes, and without messages.
func (s *steps) queue(from, to string) {
	s.do("queue", func() error {
		if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return filepath.WalkDir(to+"/queue", func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && filepath.Base(filepath.Dir(path)) != "lock" {
				err = os.Remove(path)
			}
			return err
		})
	})
}

func (s *steps) copyScenario(root string) {
	s.do("scenario", func() error { return os.CopyFS(root, scenario) })
}

// etc makes a small /etc.
func (s *steps) etc(dir string) {
	for _, name := range []string{"ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "services", "protocols"} {
		if _, err := os.Stat("/etc/" + name); err == nil {
			s.do("/etc", func() error { return exec.Command("cp", "-a", "/etc/"+name, dir).Run() })
		}
	}
	s.write(dir+"/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n", 0o644)
	s.write(dir+"/hosts", "127.0.0.1 localhost\n", 0o644)
	s.write(dir+"/resolv.conf", "nameserver 127.0.0.1\n", 0o644)
	s.mkdir(dir+"/service", 0o755)
}

// dev makes a small /dev, in which log is the room's.
func (s *steps) dev(dir string) {
	for _, name := range []string{"null", "zero", "full", "random", "urandom"} {
		s.touch(dir + "/" + name)
		s.mount("/dev/"+name, dir+"/"+name, "", unix.MS_BIND)
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		s.do("/dev", func() error { return os.Symlink(to, dir+"/"+name) })
	}
}

// The accounts of a room: qmail's, with the ids that they have on the host, as C
// programs may have them compiled in, and two people.
type id struct{ uid, gid int }

var (
	people = []string{"alice", "bob"}
	groups = map[string]int{"qmail": 64001, "nofiles": 64002, "alice": 64101, "bob": 64102}
	users  = []struct {
		name, group, home string
		uid               int
	}{
		{"alias", "nofiles", "/alias", 64010}, {"qmaild", "nofiles", "", 64011}, {"qmaill", "nofiles", "", 64012},
		{"qmailp", "nofiles", "", 64013}, {"qmailq", "qmail", "", 64014}, {"qmailr", "qmail", "", 64015},
		{"qmails", "qmail", "", 64016}, {"alice", "alice", "/mnt/home/alice", 64101}, {"bob", "bob", "/mnt/home/bob", 64102},
	}
)

// password is alice's and bob's: wonderland.
const password = "$6$swapswap$IsPuEKwfzk0o.HTtnL0ZMNDKihGEtYm1rKAI2h4WCWkwYG6d8UpHhXUa5B4f.vNmecxCus4wEeJRuskpFckHs."

func (s *steps) accounts(dir string) map[string]id {
	passwd, group := "root:x:0:0:root:/root:/bin/sh\n", "root:x:0:\n"
	shadow := "root:*:19000::::::\n"
	gids, ids := map[string]int{}, map[string]id{"root": {}}
	for name, gid := range groups {
		if g, err := user.LookupGroup(name); err == nil && name != "alice" && name != "bob" {
			gid, _ = strconv.Atoi(g.Gid)
		}
		gids[name] = gid
	}
	for _, u := range users {
		if on, err := user.Lookup(u.name); err == nil && !strings.HasPrefix(u.home, place) {
			u.uid, _ = strconv.Atoi(on.Uid)
		}
		ids[u.name] = id{u.uid, gids[u.group]}
	}
	for _, u := range users {
		home := u.home
		if !strings.HasPrefix(home, place) {
			home = place + "/qmail" + u.home
		}
		passwd += fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", u.name, ids[u.name].uid, ids[u.name].gid, home)
		shadow += fmt.Sprintf("%s:%s:19000::::::\n", u.name, password)
	}
	for _, name := range []string{"qmail", "nofiles", "alice", "bob"} {
		group += fmt.Sprintf("%s:x:%d:\n", name, gids[name])
	}
	s.write(dir+"/passwd", passwd, 0o644)
	s.write(dir+"/group", group, 0o644)
	s.write(dir+"/shadow", shadow, 0o600)
	return ids
}
