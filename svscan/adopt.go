package svscan

import (
	"bytes"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/sys"
	"paperpath/service"
)

// inheritedPipe returns both ends of the log pipe of a service that was started
// by an svscan that is no more; nil if there is none. The service writes to that
// pipe as long as it lives, so the next logger must read that one: the reading
// end of a new pipe would get nothing, and the service an error.
//
// The pipe is found where the supervises have it: descriptor 1 of that of the
// service, descriptor 0 of that of the logger. Opening it through /proc gives
// another descriptor for the same pipe.
//
// Any user can have a process that is called supervise and stands in the
// directory. Only one that is this user's and has the lock is believed.
func inheritedPipe(dir *service.Dir) (from, to *sys.FD) {
	if dir.Locked() {
		if from, to = pipeOf(dir, "1"); from != nil {
			return from, to
		}
	}
	if log, err := dir.Sub("log"); err == nil {
		defer log.Close()
		if log.Locked() {
			return pipeOf(log, "0")
		}
	}
	return nil, nil
}

// pipeOf opens the pipe that is descriptor fd of the supervise of dir.
func pipeOf(dir *service.Dir, fd string) (from, to *sys.FD) {
	dev, ino, err := dir.ID()
	if err != nil {
		return nil, nil
	}
	names, err := fsys.OS{}.List("/proc")
	if err != nil {
		return nil, nil
	}
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		process := "/proc/" + name
		var cwd unix.Stat_t
		if unix.Stat(process+"/cwd", &cwd) != nil || cwd.Ino != ino || uint64(cwd.Dev) != dev {
			continue
		}
		if !holdsLock(dir, process) {
			continue
		}
		if comm, err := fsys.ReadFile(fsys.OS{}, process+"/comm", 64); err != nil || !bytes.Equal(comm, []byte("supervise\n")) {
			continue
		}
		if goal, err := os.Readlink(process + "/fd/" + fd); err != nil || !strings.HasPrefix(goal, "pipe:") {
			continue
		}
		if from, to = openPipe(process + "/fd/" + fd); from != nil {
			return from, to
		}
	}
	return nil, nil
}

// holdsLock reports whether process, a directory below /proc, runs with our
// rights and holds the lock of dir's supervise. Rights alone say little, as
// anybody can start a setuid program with any descriptors.
func holdsLock(dir *service.Dir, process string) bool {
	var st unix.Stat_t
	// The owner of /proc/PID itself is always the process's effective uid.
	if unix.Stat(process, &st) != nil || int(st.Uid) != os.Geteuid() {
		return false
	}
	dev, ino, err := dir.LockID()
	if err != nil {
		return false
	}
	fds, err := fsys.OS{}.List(process + "/fd")
	if err != nil {
		return false
	}
	for _, fd := range fds {
		if unix.Stat(process+"/fd/"+fd, &st) != nil || uint64(st.Dev) != dev || st.Ino != ino {
			continue
		}
		// proc(5): "lock:	1: FLOCK  ADVISORY  WRITE …" is a lock by way of this
		// descriptor.
		info, err := fsys.ReadFile(fsys.OS{}, process+"/fdinfo/"+fd, 4096)
		if err == nil && bytes.Contains(info, []byte(" FLOCK ")) && bytes.Contains(info, []byte(" WRITE ")) {
			return true
		}
	}
	return false
}

func openPipe(name string) (from, to *sys.FD) {
	from, err := sys.Open(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil
	}
	to, err = sys.Open(name, unix.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		from.Close()
		return nil, nil
	}
	// The children, which get them, expect them to block.
	unix.SetNonblock(int(from.Fd()), false)
	unix.SetNonblock(int(to.Fd()), false)
	return from, to
}
