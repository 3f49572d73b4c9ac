package svscan

import (
	"bytes"
	"iter"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/sys"
	"paperpath/service"
	"paperpath/supervise"
)

// logPipe returns both ends of the pipe between a service and its logger, and
// its inode.
//
// The end that the service gets is open for reading too: so it finds no broken
// pipe should svscan and the logger be killed at the same time, and what it wrote
// is there for the next logger.
func logPipe(h *supervise.Host, dir *service.Dir) (from, to *sys.FD, inode uint64, err error) {
	if from, to = inheritedPipe(h, dir); from == nil {
		if from, to, err = sys.Pipe(); err != nil {
			return nil, nil, 0, err
		}
		name := "/proc/self/fd/" + strconv.Itoa(int(to.Fd()))
		if both, err := sys.Open(name, unix.O_RDWR, 0); err == nil {
			to.Close()
			to = both
		}
	}
	var st unix.Stat_t
	if err = h.Spare(from, to); err == nil {
		err = unix.Fstat(int(from.Fd()), &st)
	}
	if err != nil {
		from.Close()
		to.Close()
		return nil, nil, 0, err
	}
	return from, to, st.Ino, nil
}

// inheritedPipe returns the log pipe of a service that was started by an svscan
// that is no more; nil if there is none. The service writes to that pipe as long
// as it lives, so the next logger must read that one: the reading end of a new
// pipe would get nothing, and the service an error.
//
// It is found where it is open: in the service, or the logger. Opening it there,
// through /proc, gives another descriptor for the same pipe. An svscan of this
// house left the inode in the status.
func inheritedPipe(h *supervise.Host, dir *service.Dir) (from, to *sys.FD) {
	log, err := dir.Sub("log")
	if err != nil {
		return nil, nil
	}
	defer log.Close()
	writer, errWriter := dir.Status()
	reader, errReader := log.Status()
	if errWriter != nil && errReader != nil {
		return nil, nil // never supervised
	}
	if writer.LogPipe != 0 || reader.LogPipe != 0 {
		// Should the two differ, one of them may be of a generation that is no
		// more. Where the service writes to is what counts.
		for _, inode := range []uint64{writer.LogPipe, reader.LogPipe} {
			if from, to = pipeOf(inode, writer, reader); from != nil {
				break
			}
		}
		return from, to
	}
	if dir.Locked() {
		if from, to = pipeOfSupervise(dir, "1"); from != nil {
			return from, to
		}
	}
	if log.Locked() {
		if from, to = pipeOfSupervise(log, "0"); from != nil {
			return from, to
		}
	}
	if h.Orphaned(log, reader) {
		if from, to = openPipe(fdOf(strconv.Itoa(reader.PID), "0")); from != nil {
			return from, to
		}
	}
	if h.Orphaned(dir, writer) {
		return openPipe(fdOf(strconv.Itoa(writer.PID), "1"))
	}
	return nil, nil
}

// pipeOf opens the pipe with this inode in one of the processes that the two
// status tell of. If one was about to be started nobody knows its number: then
// in any process.
func pipeOf(inode uint64, writer, reader service.Status) (from, to *sys.FD) {
	if inode == 0 {
		return nil, nil
	}
	var processes []string
	for _, s := range []service.Status{writer, reader} {
		for _, pid := range []int{s.PID, s.FinishPID} {
			if pid > 1 {
				processes = append(processes, strconv.Itoa(pid))
			}
		}
	}
	for _, s := range []service.Status{writer, reader} {
		if s.Phase == service.PhaseStarting && s.PID == 0 {
			all, _ := fsys.OS{}.List("/proc")
			processes = append(processes, all...)
			break
		}
	}
	goal := "pipe:[" + strconv.FormatUint(inode, 10) + "]"
	for _, process := range processes {
		if process[0] < '0' || process[0] > '9' {
			continue
		}
		fds, _ := fsys.OS{}.List("/proc/" + process + "/fd")
		for _, fd := range fds {
			if found, err := os.Readlink(fdOf(process, fd)); err == nil && found == goal {
				if from, to = openPipe(fdOf(process, fd)); from != nil {
					return from, to
				}
			}
		}
	}
	return nil, nil
}

func fdOf(process, fd string) string { return "/proc/" + process + "/fd/" + fd }

// pipeOfSupervise opens the pipe that is descriptor fd of the supervise of dir.
//
// Any user can have a process that is called supervise and stands in the
// directory. Only one that is this user's and has the lock is believed.
func pipeOfSupervise(dir *service.Dir, fd string) (from, to *sys.FD) {
	dev, ino, err := dir.ID()
	if err != nil {
		return nil, nil
	}
	for process := range processesCalled("supervise") {
		var cwd unix.Stat_t
		if unix.Stat("/proc/"+process+"/cwd", &cwd) != nil || cwd.Ino != ino || uint64(cwd.Dev) != dev {
			continue
		}
		if !holdsLock(dir, "/proc/"+process) {
			continue
		}
		if from, to = openPipe(fdOf(process, fd)); from != nil {
			return from, to
		}
	}
	return nil, nil
}

// keptBySvscan reports whether another svscan has the service.
func keptBySvscan(dir *service.Dir) bool {
	self := strconv.Itoa(os.Getpid())
	for process := range processesCalled("svscan") {
		if process != self && holdsLock(dir, "/proc/"+process) {
			return true
		}
	}
	return false
}

// processesCalled yields the numbers of the processes with a name.
func processesCalled(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		processes, _ := fsys.OS{}.List("/proc")
		for _, process := range processes {
			if process[0] < '0' || process[0] > '9' {
				continue
			}
			comm, err := fsys.ReadFile(fsys.OS{}, "/proc/"+process+"/comm", 64)
			if err == nil && string(comm) == name+"\n" && !yield(process) {
				return
			}
		}
	}
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

// openPipe opens both ends of the pipe that name, a descriptor below /proc, is.
func openPipe(name string) (from, to *sys.FD) {
	if goal, err := os.Readlink(name); err != nil || !strings.HasPrefix(goal, "pipe:") {
		return nil, nil
	}
	from, err := sys.Open(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil
	}
	to, err = sys.Open(name, unix.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		from.Close()
		return nil, nil
	}
	// The children, which get them, expect them to block.
	unix.SetNonblock(int(from.Fd()), false)
	unix.SetNonblock(int(to.Fd()), false)
	return from, to
}
