package main

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// family says whose programs are meant.
type family int

const (
	ours   family = iota // of this project
	theirs               // the first of that name on $PATH that is not ours
)

// find returns the file name of a program, "" if there is none.
func (b *bench) find(who family, name string) string {
	if who == ours {
		return executable(filepath.Join(b.own, name))
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH") + ":/usr/sbin:/sbin:/command") {
		// This project installed as /usr/local/bin/svscan is no peer.
		if file := executable(filepath.Join(dir, name)); file != "" && !isOurs(file) {
			return file
		}
	}
	return ""
}

func executable(file string) string {
	if st, err := os.Stat(file); err != nil || !st.Mode().IsRegular() || unix.Access(file, unix.X_OK) != nil {
		return ""
	}
	return file
}

func isOurs(file string) bool {
	info, err := buildinfo.ReadFile(file)
	return err == nil && strings.HasPrefix(info.Path, "paperpath/")
}

// missing returns those of names that are not there.
func (b *bench) missing(who family, names []string) (missing []string) {
	for _, name := range names {
		if b.find(who, name) == "" {
			missing = append(missing, name)
		}
	}
	return missing
}

// path is a PATH on which a family's programs come first.
func (b *bench) path(who family) string {
	const system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	if who == ours {
		return "PATH=" + b.own + ":" + system
	}
	return "PATH=" + os.Getenv("PATH") + ":" + system + ":/command"
}

// machine describes where all this is measured.
func machine(dir string) string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(text), "model name"); ok {
			line, _, _ := strings.Cut(rest, "\n")
			model = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), ":"))
		}
	}
	var u unix.Utsname
	unix.Uname(&u)
	load, _ := os.ReadFile("/proc/loadavg")
	before, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf("%d × %s, Linux %s, %s, files on %s, load %s at the start",
		runtime.NumCPU(), model, unix.ByteSliceToString(u.Release[:]), runtime.Version(), fileSystem(dir), before)
}

// fileSystem names the file system of dir, and the options that matter.
func fileSystem(dir string) string {
	var st unix.Stat_t
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || unix.Stat(dir, &st) != nil {
		return "an unknown file system"
	}
	device := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	for line := range strings.SplitSeq(string(text), "\n") {
		// proc_pid_mountinfo(5): id parent device root point options … - type source options
		f := strings.Fields(line)
		if _, after, ok := strings.Cut(line, " - "); ok && len(f) > 2 && f[2] == device {
			g := strings.Fields(after)
			if len(g) > 2 && strings.Contains(","+g[2]+",", ",discard,") {
				return g[0] + " with discard"
			}
			return g[0]
		}
	}
	return "an unknown file system"
}
