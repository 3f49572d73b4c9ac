// Package procfs reads the information about processes in proc(5), and opens the
// pipes of other processes through it.
//
//	/proc/PID/stat        "PID (name) STATE PARENT … THREADS 0 START …", 22 fields and more
//	/proc/PID/status      "Uid:\tREAL\tEFFECTIVE\tSAVED\t…", "Gid:\t…"
//	/proc/PID/comm        the name and a newline
//	/proc/PID/environ     "NAME=VALUE\0…"
//	/proc/PID/cwd         a link to the current directory
//	/proc/PID/fd/N        a link to the file open as descriptor N: "pipe:[INODE]"
//
// All of it may change between two reads, and the links are followed with the
// rights of the reader: a file of an unprivileged process must never be opened by
// that name (see OpenPipe).
package procfs

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/sys"
)

// Stat is the part of /proc/PID/stat that we use.
type Stat struct {
	Zombie bool // all threads have ended (if only the first one has, others may go on)
	Parent int
	Began  time.Duration // since the system booted, to a hundredth of a second

	headless bool // the first thread has ended, others have not (thread)
}

// Tick is the unit of start times in /proc: USER_HZ is 100 on every system that Go
// runs on.
const Tick = time.Second / 100

var errFormat = errors.New("unknown format of /proc")

func file(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

const maxFile = 16 << 10

func read(pid int, name string) ([]byte, error) {
	return fsys.ReadFile(fsys.OS{}, file(pid, name), maxFile)
}

// Read reads /proc/PID/stat. Gone reports whether its error means that there is no
// such process.
func Read(pid int) (Stat, error) {
	b, err := read(pid, "stat")
	if err != nil {
		return Stat{}, err
	}
	return parseStat(b)
}

// thread returns the directory below /proc of a thread through which the open files
// of a process can be seen. Normally that is the process's own directory, which is
// its first thread's. But while another thread (in Go that can be any) executes a
// program, and after the first thread has ended, the first thread has no files.
func thread(pid int) string {
	dir := file(pid, "")
	if s, err := Read(pid); err != nil || !s.headless {
		return dir
	}
	threads, _ := numbers(dir + "task")
	for _, tid := range threads {
		other := dir + "task/" + strconv.Itoa(tid) + "/"
		b, err := fsys.ReadFile(fsys.OS{}, other+"stat", maxFile)
		if err != nil {
			continue
		}
		if s, err := parseStat(b); tid != pid && err == nil && !s.Zombie && !s.headless {
			return other
		}
	}
	return dir
}

// look calls do with a directory below /proc through which the process can be seen:
// its own, and if do fails, that of a thread that has files; again if that thread may
// have ended in the meantime. If root may not see it, do has the rights of the
// process's own user.
func look(pid int, do func(dir string) error) (err error) {
	dir := file(pid, "")
	for range 3 {
		err = do(dir)
		if errors.Is(err, unix.EACCES) && os.Geteuid() == 0 {
			err = asOwner(pid, func() error { return do(dir) })
		}
		if err == nil {
			break
		}
		other := thread(pid)
		if other == dir {
			break
		}
		dir = other
	}
	return err
}

// asOwner calls do with the file system rights of a process. The open files of a
// process are visible to its user, and to others only with CAP_SYS_PTRACE (ptrace(2),
// PTRACE_MODE_READ_FSCREDS), which root lacks in most containers.
func asOwner(pid int, do func() error) error {
	b, err := read(pid, "status")
	if err != nil {
		return err
	}
	uids, err := parseIDs(b, "Uid:")
	if err != nil {
		return err
	}
	gids, err := parseIDs(b, "Gid:")
	if err != nil {
		return err
	}
	// These IDs are set for this thread only.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	unix.Setfsgid(gids.Effective)
	defer unix.Setfsgid(os.Getegid())
	unix.Setfsuid(uids.Effective)
	defer unix.Setfsuid(os.Geteuid())
	return do()
}

// Gone reports whether err, from reading about a process, means that there is no
// process with that number, or none that this process may see.
func Gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) }

// parseStat reads the line of /proc/PID/stat. The name may contain any characters,
// even parentheses.
func parseStat(b []byte) (s Stat, err error) {
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 {
		return s, errFormat
	}
	ended, threads := fields[0][0] == 'Z' || fields[0][0] == 'X', string(fields[17])
	s.headless = ended && threads != "0" && threads != "1"
	s.Zombie = ended && !s.headless
	s.Parent, err = strconv.Atoi(string(fields[1]))
	if err != nil {
		return s, errFormat
	}
	ticks, err := strconv.ParseUint(string(fields[19]), 10, 63)
	if err != nil || ticks > uint64(1<<63-1)/uint64(Tick) {
		return s, errFormat
	}
	s.Began = time.Duration(ticks) * Tick
	return s, nil
}

// IDs are the user or group IDs that a process runs with.
type IDs struct{ Real, Effective, Saved int }

// ReadUIDs reads the user IDs from /proc/PID/status.
func ReadUIDs(pid int) (IDs, error) {
	b, err := read(pid, "status")
	if err != nil {
		return IDs{}, err
	}
	return parseIDs(b, "Uid:")
}

func parseIDs(b []byte, key string) (u IDs, err error) {
	for line := range bytes.Lines(b) {
		list, ok := bytes.CutPrefix(line, []byte(key))
		if !ok {
			continue
		}
		fields := bytes.Fields(list)
		if len(fields) < 3 {
			break
		}
		for i, id := range []*int{&u.Real, &u.Effective, &u.Saved} {
			if *id, err = strconv.Atoi(string(fields[i])); err != nil {
				return IDs{}, errFormat
			}
		}
		return u, nil
	}
	return IDs{}, errFormat
}

// Name returns the name of a process, which it may have chosen itself; "" if there
// is no such process.
func Name(pid int) string {
	b, err := read(pid, "comm")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSuffix(b, []byte("\n")))
}

// Environ returns the environment that a process was started with, at most max bytes,
// as NUL-terminated strings.
func Environ(pid int, max int64) (environ []byte, err error) {
	err = look(pid, func(dir string) (err error) {
		environ, err = fsys.ReadFile(fsys.OS{}, dir+"environ", max)
		return err
	})
	return environ, err
}

// Dir returns device and inode of the current directory of a process.
func Dir(pid int) (dev, ino uint64, err error) {
	var st unix.Stat_t
	err = look(pid, func(dir string) error { return unix.Stat(dir+"cwd", &st) })
	return uint64(st.Dev), st.Ino, err
}

// Processes returns the numbers of all processes.
func Processes() ([]int, error) { return numbers("/proc") }

// Descriptors returns the numbers of the open descriptors of a process.
func Descriptors(pid int) (fds []int, err error) {
	err = look(pid, func(dir string) (err error) {
		fds, err = numbers(dir + "fd")
		if err == nil && len(fds) == 0 {
			err = errNoFiles
		}
		return err
	})
	if err == errNoFiles {
		err = nil
	}
	return fds, err
}

// errNoFiles makes look try again when a thread without descriptors has ended.
var errNoFiles = errors.New("no descriptors")

func numbers(dir string) ([]int, error) {
	names, err := fsys.OS{}.List(dir)
	if err != nil {
		return nil, err
	}
	var found []int
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			found = append(found, n)
		}
	}
	return found, nil
}

// Descriptor returns device and inode of the file that is descriptor fd of a
// process, and the contents of its file in /proc/PID/fdinfo.
func Descriptor(pid, fd int) (dev, ino uint64, info []byte, err error) {
	var st unix.Stat_t
	if err := unix.Stat(file(pid, "fd/"+strconv.Itoa(fd)), &st); err != nil {
		return 0, 0, nil, err
	}
	info, err = read(pid, "fdinfo/"+strconv.Itoa(fd))
	return uint64(st.Dev), st.Ino, info, err
}

// Pipe returns the inode of the pipe that is descriptor fd of a process.
func Pipe(pid, fd int) (inode uint64, ok bool) {
	look(pid, func(dir string) error {
		goal, err := os.Readlink(dir + "fd/" + strconv.Itoa(fd))
		if err == nil {
			inode, ok = parsePipe(goal)
		}
		return err
	})
	return inode, ok
}

func parsePipe(goal string) (inode uint64, ok bool) {
	const before, after = "pipe:[", "]"
	if len(goal) < len(before)+len(after) || goal[:len(before)] != before || goal[len(goal)-1:] != after {
		return 0, false
	}
	inode, err := strconv.ParseUint(goal[len(before):len(goal)-1], 10, 64)
	return inode, err == nil
}

// ErrNotPipe is the error for a descriptor that is not a pipe.
var ErrNotPipe = errors.New("not a pipe")

// OpenPipe returns an O_PATH descriptor for the pipe that is descriptor fd of a
// process, and its inode. Reopen opens the ends of the pipe.
//
// The process can replace its descriptor by another file at any time, even by one
// that it may not open itself, and opening the name under /proc uses the rights of
// this process. So the name is followed only once, by an open(2) that opens no file
// (O_PATH), and the result, which nobody else can change, is examined.
func OpenPipe(pid, fd int) (pipe *sys.FD, inode uint64, err error) {
	err = look(pid, func(dir string) (err error) {
		pipe, err = sys.Open(dir+"fd/"+strconv.Itoa(fd), unix.O_PATH, 0)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	var st unix.Stat_t
	var fs unix.Statfs_t
	if err = unix.Fstat(int(pipe.Fd()), &st); err == nil {
		err = unix.Fstatfs(int(pipe.Fd()), &fs)
	}
	// A fifo with a name in a file system was not made by a supervisor.
	if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFIFO || fs.Type != unix.PIPEFS_MAGIC) {
		err = ErrNotPipe
	}
	if err != nil {
		pipe.Close()
		return nil, 0, err
	}
	return pipe, st.Ino, nil
}

// Reopen opens the file of an O_PATH descriptor of this process.
func Reopen(held *sys.FD, flags int) (*sys.FD, error) {
	return sys.Open("/proc/self/fd/"+strconv.Itoa(int(held.Fd())), flags, 0)
}
