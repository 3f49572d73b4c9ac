package main

import (
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// insideVar tells the unprivileged half under which name it can reach the
// directory.
const insideVar = "PAPERPATH_INSIDE"

// installedVar tells it that root has put the programs into dir/bin.
const installedVar = "PAPERPATH_INSTALLED"

const nobody = 65534 // uid and gid on every Debian

// runUnprivileged gives dir to an ordinary user and runs this program again as
// that user. Root parses nothing and starts nothing else.
func runUnprivileged(dir string, stop <-chan os.Signal) error {
	if err := claim(dir); err != nil {
		return err
	}
	uid, gid, err := chooseUser(dir)
	if err != nil {
		return err
	}
	say(fmt.Sprintf("started as root; everything runs as uid %d, gid %d", uid, gid))
	// What is in it already is the user's, or the administrator's on purpose.
	for _, name := range []string{dir, filepath.Join(dir, markName)} {
		if err := os.Lchown(name, uid, gid); err != nil {
			return err
		}
	}
	if err := installPrograms(dir); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(dir, "bin", "demo"))
	// Nothing of root's own: deliveries run under the same uid and can read it.
	cmd.Env = []string{
		"RUN_DIR=" + dir, installedVar + "=yes",
		"PATH=" + os.Getenv("PATH"),
	}
	for _, s := range servers {
		cmd.Env = append(cmd.Env, s.variable+"="+os.Getenv(s.variable))
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)},
		Setpgid:    true, // Ctrl-C reaches it through us, once
		Pdeathsig:  syscall.SIGTERM,
	}
	if !reachable(dir, uid, gid) {
		cleanup, err := bindElsewhere(dir, cmd)
		if err != nil {
			return err
		}
		defer cleanup()
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		for sig := range stop {
			cmd.Process.Signal(sig)
		}
	}()
	return cmd.Wait()
}

// chooseUser takes the ordinary user to whom dir or the nearest directory
// above it belongs, the one behind sudo, or nobody.
func chooseUser(dir string) (uid, gid int, err error) {
	for d := dir; ; d = filepath.Dir(d) {
		var st syscall.Stat_t
		if err := syscall.Stat(d, &st); err != nil {
			return 0, 0, err
		}
		if st.Uid != 0 {
			return int(st.Uid), groupOf(int(st.Uid)), nil
		}
		if d == "/" {
			break
		}
	}
	uid, err1 := strconv.Atoi(os.Getenv("SUDO_UID"))
	gid, err2 := strconv.Atoi(os.Getenv("SUDO_GID"))
	if err1 == nil && err2 == nil && uid > 0 && gid > 0 {
		return uid, gid, nil
	}
	return nobody, nobody, nil
}

// groupOf returns the group of an account; a directory's may be root's.
func groupOf(uid int) int {
	if account, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		if gid, err := strconv.Atoi(account.Gid); err == nil && gid > 0 {
			return gid
		}
	}
	return nobody
}

// reachable reports whether the user may pass through every directory above
// dir: a clone below /root or in a private temporary directory is not.
func reachable(dir string, uid, gid int) bool {
	for d := dir; d != "/"; d = filepath.Dir(d) {
		var st syscall.Stat_t
		if syscall.Stat(d, &st) != nil {
			return false
		}
		bit := uint32(0o001)
		switch {
		case st.Uid == uint32(uid):
			bit = 0o100
		case st.Gid == uint32(gid):
			bit = 0o010
		}
		if st.Mode&bit == 0 {
			return false
		}
	}
	return true
}

// bindElsewhere makes dir reachable for cmd alone: in a mount namespace of its
// own it appears under /run. The files are the same; only the names that the
// server itself uses differ.
func bindElsewhere(dir string, cmd *exec.Cmd) (cleanup func(), err error) {
	// The same name every time: users/assign and the run scripts hold it.
	sum := fnv.New32a()
	sum.Write([]byte(dir))
	alias := fmt.Sprintf("/run/paperpath.%08x", sum.Sum32())
	fail := func(err error) (func(), error) {
		os.Remove(alias)
		return nil, fmt.Errorf("an ordinary user cannot reach %s, and it cannot be shown to one elsewhere (%w): please set RUN_DIR to a directory that everybody may enter", dir, err)
	}
	if err := os.MkdirAll(alias, 0o755); err != nil {
		return fail(err)
	}
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		return fail(err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fail(err)
	}
	if err := syscall.Mount(dir, alias, "", syscall.MS_BIND, ""); err != nil {
		return fail(err)
	}
	cmd.Path = filepath.Join(alias, "bin", filepath.Base(cmd.Path))
	cmd.Dir = alias
	cmd.Env = append(cmd.Env, insideVar+"="+alias)
	return func() {
		syscall.Unmount(alias, syscall.MNT_DETACH)
		os.Remove(alias)
	}, nil
}
