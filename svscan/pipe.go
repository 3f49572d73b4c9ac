package svscan

import (
	"bytes"
	"iter"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/procfs"
	"paperpath/internal/sys"
	"paperpath/service"
	"paperpath/supervise"
)

// logPipe returns both ends of the pipe between a service and its logger, and
// its inode.
//
// The end that the service gets is open for reading too. So the service does not
// find a broken pipe if svscan and the logger are killed at the same time, and
// what it wrote waits for the next logger.
func logPipe(h *supervise.Host, dir *service.Dir) (from, to *sys.FD, inode uint64, err error) {
	from, to, err = inheritedPipe(h, dir)
	if err != nil {
		return nil, nil, 0, err
	}
	if from == nil {
		if from, to, err = sys.Pipe(); err != nil {
			return nil, nil, 0, err
		}
		if both, err := procfs.Reopen(to, unix.O_RDWR); err == nil {
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
// that has been killed; nil if there is none. The service writes to that pipe as
// long as it lives, so the next logger must read from it: a new pipe would stay
// empty, and the service would get an error. Therefore it is an error if it cannot
// be found out whether there is a pipe.
//
// The pipe is open in the service, or in the logger. Opening it there, through
// /proc, gives another descriptor for the same pipe. Our svscan records its inode
// in the status.
func inheritedPipe(h *supervise.Host, dir *service.Dir) (from, to *sys.FD, err error) {
	log, err := dir.Sub("log")
	if err != nil {
		return nil, nil, scarcity(err)
	}
	defer log.Close()
	writer, errWriter := dir.Status()
	reader, errReader := log.Status()
	if errWriter != nil && errReader != nil {
		return nil, nil, scarcity(errWriter) // without a status it was never supervised
	}
	main, err := h.Orphan(dir, writer, 1)
	if err != nil {
		return nil, nil, err
	}
	logger, err := h.Orphan(log, reader, 0)
	if err != nil {
		return nil, nil, err
	}
	if writer.LogPipe != 0 || reader.LogPipe != 0 {
		// If the two differ, one of them may be out of date. The pipe that the
		// service writes to counts.
		for _, inode := range []uint64{writer.LogPipe, reader.LogPipe} {
			if from, to, err = pipeOf(inode, main, logger); from != nil || err != nil {
				break
			}
		}
		return from, to, err
	}
	for _, side := range []struct {
		dir *service.Dir
		fd  int
	}{{dir, 1}, {log, 0}} {
		if side.dir.Locked() {
			if from, to, err = pipeOfSupervise(side.dir, side.fd); from != nil || err != nil {
				return from, to, err
			}
		}
	}
	if logger != 0 {
		if from, to, err = openPipe(logger, 0, 0); from != nil || err != nil {
			return from, to, err
		}
	}
	if main != 0 {
		return openPipe(main, 1, 0)
	}
	return nil, nil, nil
}

// scarcity returns err if it means only that descriptors or memory are lacking,
// otherwise nil.
func scarcity(err error) error {
	if child.Exhausted(err) {
		return err
	}
	return nil
}

// pipeOf opens the pipe with this inode in one of the processes; 0 is no process.
// Any descriptor counts, because ./run may have moved the pipe. It is an error if no
// process that may be looked at has it, and another may not be looked at.
func pipeOf(inode uint64, processes ...int) (from, to *sys.FD, err error) {
	processes = slices.DeleteFunc(processes, func(pid int) bool { return pid == 0 })
	if inode == 0 || len(processes) == 0 {
		return nil, nil, nil
	}
	var hidden error
	for range 3 {
		hidden = nil
		for _, pid := range processes {
			fds, err := procfs.Descriptors(pid)
			if scarcity(err) != nil {
				return nil, nil, err
			}
			if err != nil && !procfs.Gone(err) {
				hidden = err
			}
			for _, fd := range fds {
				if found, ok := procfs.Pipe(pid, fd); ok && found == inode {
					if from, to, err = openPipe(pid, fd, inode); from != nil || err != nil {
						return from, to, err
					}
				}
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil, nil, hidden
}

// pipeOfSupervise opens the pipe that is descriptor fd of the supervise of dir.
//
// Any user can have a process that is called supervise and has the directory as
// its current one. Only a process that runs as our user and holds the lock is
// believed.
func pipeOfSupervise(dir *service.Dir, fd int) (from, to *sys.FD, err error) {
	dev, ino, err := dir.ID()
	if err != nil {
		return nil, nil, err
	}
	for pid := range processesCalled("supervise") {
		d, i, err := procfs.Dir(pid)
		if err != nil || d != dev || i != ino || !holdsLock(dir, pid) {
			continue
		}
		if from, to, err = openPipe(pid, fd, 0); from != nil || err != nil {
			return from, to, err
		}
	}
	return nil, nil, nil
}

// keptBySvscan reports whether another svscan has the service.
func keptBySvscan(dir *service.Dir) bool {
	for pid := range processesCalled("svscan") {
		if pid != os.Getpid() && holdsLock(dir, pid) {
			return true
		}
	}
	return false
}

// processesCalled yields the numbers of the processes with this name.
func processesCalled(name string) iter.Seq[int] {
	return func(yield func(int) bool) {
		pids, _ := procfs.Processes()
		for _, pid := range pids {
			if procfs.Name(pid) == name && !yield(pid) {
				return
			}
		}
	}
}

// holdsLock reports whether a process runs with our rights and holds the lock of
// dir's supervise. Rights alone prove little: any user can start a setuid program
// with descriptors of his choice.
func holdsLock(dir *service.Dir, pid int) bool {
	if u, err := procfs.ReadUIDs(pid); err != nil || u.Effective != os.Geteuid() {
		return false
	}
	dev, ino, err := dir.LockID()
	if err != nil {
		return false
	}
	fds, err := procfs.Descriptors(pid)
	if err != nil {
		return false
	}
	for _, fd := range fds {
		d, i, info, err := procfs.Descriptor(pid, fd)
		// proc(5): "lock:	1: FLOCK  ADVISORY  WRITE …" is a lock by way of this
		// descriptor.
		if err == nil && d == dev && i == ino && bytes.Contains(info, []byte(" FLOCK ")) && bytes.Contains(info, []byte(" WRITE ")) {
			return true
		}
	}
	return false
}

// openPipe opens both ends of the pipe that is descriptor fd of a process. It
// returns nil if that is no pipe, or not the one with this inode (0: any).
func openPipe(pid, fd int, inode uint64) (from, to *sys.FD, err error) {
	pipe, found, err := procfs.OpenPipe(pid, fd)
	if err != nil {
		return nil, nil, scarcity(err)
	}
	defer pipe.Close()
	if inode != 0 && found != inode {
		return nil, nil, nil
	}
	from, err = procfs.Reopen(pipe, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, nil, scarcity(err)
	}
	to, err = procfs.Reopen(pipe, unix.O_RDWR|unix.O_NONBLOCK)
	if err != nil {
		from.Close()
		return nil, nil, scarcity(err)
	}
	// The children inherit these descriptors and expect them to block.
	unix.SetNonblock(int(from.Fd()), false)
	unix.SetNonblock(int(to.Fd()), false)
	return from, to, nil
}
