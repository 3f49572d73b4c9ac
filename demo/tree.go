package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"paperpath"
	"paperpath/internal/hier"
	"paperpath/internal/programs"
)

// markName is the file by which a directory is known to be ours.
const markName = ".paperpath"

// claim makes sure that dir is a place for a server: absent, empty, or made by
// an earlier run. Anything else belongs to somebody, and stays as it is.
func claim(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if info, err := os.Lstat(dir); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("RUN_DIR %s is not a directory", dir)
	}
	mark := filepath.Join(dir, markName)
	if info, err := os.Lstat(mark); err == nil && info.Mode().IsRegular() {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("RUN_DIR %s is not empty, and no earlier run has made it; please choose another", dir)
	}
	f, err := os.OpenFile(mark, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// installPrograms copies the programs that were built beside this one into
// dir/bin, all or none, so that a build does not change a running server.
func installPrograms(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	table, err := programs.Parse(paperpath.PROGRAMS)
	if err != nil {
		return err
	}
	names := []string{filepath.Base(self)}
	for _, p := range table {
		names = append(names, p.Name)
	}
	// Root may be doing this in a directory that is the server's: nothing there
	// leads out of it.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if f, err := root.OpenFile(lockName, os.O_RDWR, 0); err == nil {
		err = lock(f, dir)
		f.Close()
		if err != nil {
			return err
		}
	}
	const fresh = ".bin-new"
	if err := root.RemoveAll(fresh); err != nil {
		return err
	}
	if err := root.Mkdir(fresh, 0o755); err != nil {
		return err
	}
	bin, err := root.OpenRoot(fresh)
	if err != nil {
		return err
	}
	defer bin.Close()
	for _, name := range names {
		if err := copyProgram(filepath.Join(filepath.Dir(self), name), bin, name); err != nil {
			return err
		}
	}
	if err := root.Chmod(fresh, 0o755); err != nil { // past the umask
		return err
	}
	if err := root.RemoveAll("bin"); err != nil {
		return err
	}
	return root.Rename(fresh, "bin")
}

func copyProgram(from string, bin *os.Root, name string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := bin.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Chmod(0o755)
	}
	if e := out.Close(); err == nil {
		err = e
	}
	return err
}

// defaultHost is what control/me says on a fresh tree; .test never exists
// elsewhere (RFC 6761).
const defaultHost = "paperpath.test"

// layOut makes what is absent of the qmail home and returns the name of the
// host. Files that exist are the administrator's. dir is the home's name for
// people.
func layOut(dir, home string) (host string, err error) {
	table, err := hier.Parse(paperpath.HIER)
	if err != nil {
		return "", err
	}
	fresh := false
	if _, err := os.Stat(filepath.Join(home, "queue")); os.IsNotExist(err) {
		fresh = true
		say("laying out " + dir)
	}
	if err := hier.Make(table, home); err != nil {
		return "", err
	}
	if err := relocate(home); err != nil {
		return "", err
	}
	me, err := os.ReadFile(filepath.Join(home, "control/me"))
	switch {
	case err == nil:
		host, _, _ = strings.Cut(string(me), "\n")
		host = strings.TrimSpace(host)
	case os.IsNotExist(err) && fresh:
		host = defaultHost
	}
	if host == "" {
		return "", fmt.Errorf("%s/control/me names no host; restore it, or remove %s to begin anew", dir, dir)
	}
	var dirs []string
	for _, user := range users {
		dirs = append(dirs, "home/"+user)
	}
	for _, service := range serviceNames() {
		dirs = append(dirs, "log/"+service, "service/"+service+"/log")
	}
	for _, name := range dirs {
		if err := os.MkdirAll(filepath.Join(home, name), 0o755); err != nil {
			return "", err
		}
	}
	files := []file{
		{"control/me", host + "\n"},
		{"control/locals", host + "\nlocalhost\n"},
		{"control/rcpthosts", host + "\nlocalhost\n"},
		{"control/defaultdomain", host + "\n"},
		{"control/plusdomain", host + "\n"},
		{"control/defaultdelivery", "./Maildir/\n"},
		{"control/concurrencyincoming", "100\n"},
		{"rc", rcScript(home)},
		{"service/qmail-send/run", sendScript(home)},
		{"service/qmail-send/log/run", logScript(home, "qmail-send")},
		{"alias/.qmail-postmaster", "alice\n"},
		{"alias/.qmail-mailer-daemon", "postmaster\n"},
		{"alias/.qmail-root", "postmaster\n"},
		{"home/bob/.qmail", "./Mailbox\n./Maildir/\n"},
		{"home/bob/.qmail-list", "alice\nbob\n"},
		{"tcp.smtp", "# who may connect, and who may relay (RELAYCLIENT); tcprules compiles this\n" +
			"127.:allow,RELAYCLIENT=\"\"\n:allow\n"},
		{"tcp.qmqp", "# who may send mail to anybody by QMQP; tcprules compiles this\n" +
			"127.:allow\n:deny\n"},
	}
	for _, s := range servers {
		files = append(files,
			file{"service/" + s.service + "/run", s.script(home)},
			file{"service/" + s.service + "/log/run", logScript(home, s.service)})
	}
	for _, f := range files {
		if err := writeAbsent(filepath.Join(home, f.name), f.text); err != nil {
			return "", err
		}
	}
	for _, user := range users {
		maildir := filepath.Join(home, "home", user, "Maildir")
		if _, err := os.Lstat(maildir); err != nil {
			if err := tool(home, "maildirmake", maildir); err != nil {
				return "", err
			}
		}
	}
	return host, compileTables(home)
}

type file struct{ name, text string }

// compileTables makes the databases that the servers read from their sources,
// which are the administrator's to edit.
func compileTables(home string) error {
	if err := writeAssign(home); err != nil {
		return err
	}
	if err := tool(home, "qmail-newu"); err != nil {
		return err
	}
	for _, name := range []string{"tcp.smtp", "tcp.qmqp"} {
		name = filepath.Join(home, name)
		rules, err := os.Open(name)
		if err != nil {
			return err
		}
		cmd := toolCommand(home, "tcprules", name+".cdb", name+".tmp")
		cmd.Stdin = rules
		err = cmd.Run()
		rules.Close()
		if err != nil {
			return fmt.Errorf("tcprules: %w", err)
		}
	}
	return nil
}

// writeAssign makes users/assign, the only user table of a rootless system:
// every address belongs to the one uid there is. (qmail-users(5).)
func writeAssign(home string) error {
	name := filepath.Join(home, "users/assign")
	ids := fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
	var b strings.Builder
	for _, user := range users {
		fmt.Fprintf(&b, "=%s:%s:%s:%s/home/%s:::\n", user, user, ids, home, user)
		fmt.Fprintf(&b, "+%s-:%s:%s:%s/home/%s:-::\n", user, user, ids, home, user)
	}
	fmt.Fprintf(&b, "+:alias:%s:%s/alias:-::\n.\n", ids, home)
	return writeAbsent(name, b.String())
}

// placed lists the files that name the qmail home.
func placed() []string {
	names := []string{"users/assign", passwordFile, "rc"}
	for _, service := range serviceNames() {
		names = append(names, "service/"+service+"/run", "service/"+service+"/log/run")
	}
	return names
}

// relocate changes the home's name in those files after the directory was
// moved, and leaves everything else in them alone.
func relocate(home string) error {
	note := filepath.Join(home, ".home")
	old, err := os.ReadFile(note)
	if err == nil && string(old) != home {
		for _, name := range placed() {
			name = filepath.Join(home, name)
			text, err := os.ReadFile(name)
			if os.IsNotExist(err) {
				continue
			}
			if err != nil {
				return err
			}
			if err := os.WriteFile(name, bytes.ReplaceAll(text, old, []byte(home)), 0o644); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(note, []byte(home), 0o644)
}

// writeAbsent writes a file that does not exist.
func writeAbsent(name, text string) error {
	if _, err := os.Lstat(name); err == nil {
		return nil
	}
	mode := os.FileMode(0o644)
	if strings.HasPrefix(text, "#!") {
		mode = 0o755
	}
	return os.WriteFile(name, []byte(text), mode)
}

// tool runs one of our programs and shows what it complains of.
func tool(home, name string, args ...string) error {
	if err := toolCommand(home, name, args...).Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func toolCommand(home, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(home, "bin", name), args...)
	cmd.Env = environment(home)
	cmd.Stderr = os.Stderr
	return cmd
}

// environment is what our programs get: nothing of the caller's but a path.
func environment(home string) []string {
	return []string{"QMAILHOME=" + home, "PATH=" + home + "/bin:/usr/local/bin:/usr/bin:/bin"}
}
