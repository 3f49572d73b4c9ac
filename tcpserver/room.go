package tcpserver

import (
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"paperpath/internal/decimal"
	"paperpath/internal/fsys"
)

// room returns how many threads and processes more there may be: what is left of
// RLIMIT_NPROC and of the control groups' pids.max. root is where /proc and /sys are.
func room(root string) uint64 {
	return min(roomOfUser(root), roomInGroups(root))
}

// fewProcesses is a limit from which on what the user has already does not count:
// to look for it takes longer, the more processes there are.
const fewProcesses = 1 << 10

// roomOfUser is for a user other than root, whom the limit does not bind. For root
// it is the whole limit, that of the user whose rights the server will take.
func roomOfUser(root string) uint64 {
	var most unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &most); err != nil {
		return math.MaxUint64
	}
	uid := os.Getuid()
	if uid == 0 || most.Cur >= fewProcesses {
		return most.Cur
	}
	has := threadsOf(root, uid)
	return most.Cur - min(has, most.Cur)
}

// threadsOf counts the threads of a user, those that can be seen.
func threadsOf(root string, uid int) (n uint64) {
	names, err := fsys.OS{}.List(root + "/proc")
	if err != nil {
		return 0
	}
	for _, name := range names {
		if _, err := strconv.ParseUint(name, 10, 32); err != nil {
			continue
		}
		status := lines(root + "/proc/" + name + "/status") // none: it has ended
		if slices.ContainsFunc(status, func(l string) bool { return strings.HasPrefix(l, "Uid:\t"+strconv.Itoa(uid)+"\t") }) {
			n += threadsIn(status)
		}
	}
	return n
}

// threadsIn returns the number of threads that a status file of proc(5) tells.
func threadsIn(status []string) uint64 {
	for _, line := range status {
		if text, ok := strings.CutPrefix(line, "Threads:\t"); ok {
			n, _ := decimal.Prefix(text)
			return n
		}
	}
	return 0
}

// roomInGroups looks at the control group of this process and at those around it
// (cgroups(7)):
//
//	0::/a/b            /sys/fs/cgroup/a/b, /sys/fs/cgroup/a, /sys/fs/cgroup
//	8:pids:/a/b        version 1: the same in /sys/fs/cgroup/pids
//
// In a container the outermost that can be seen is the container's own.
func roomInGroups(root string) uint64 {
	least := uint64(math.MaxUint64)
	for _, line := range lines(root + "/proc/self/cgroup") {
		number, rest, _ := strings.Cut(line, ":")
		controllers, group, ok := strings.Cut(rest, ":")
		mount := root + "/sys/fs/cgroup"
		switch {
		case !ok:
			continue
		case slices.Contains(strings.Split(controllers, ","), "pids"):
			mount += "/pids"
		case number != "0":
			continue
		}
		for group = path.Clean("/" + group); ; group = path.Dir(group) {
			dir := path.Join(mount, group)
			most, limited := number64(dir + "/pids.max") // or "max"
			has, known := number64(dir + "/pids.current")
			if limited && known {
				least = min(least, most-min(has, most))
			}
			if group == "/" {
				break
			}
		}
	}
	return least
}

// number64 returns the number in a file of one line.
func number64(name string) (uint64, bool) {
	text := lines(name)
	if len(text) == 0 {
		return 0, false
	}
	n, digits := decimal.Prefix(text[0])
	return n, digits > 0
}

// lines returns the lines of a file of the kernel's; none if there is no such file.
func lines(name string) []string {
	const most = 64 << 10
	b, err := fsys.ReadFile(fsys.OS{}, name, most)
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}
