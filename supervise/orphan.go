package supervise

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/sys"
	"paperpath/service"
)

// An orphan is the running service of a supervise that was killed. Starting the
// service beside it would make two of them, on one queue or one socket; so the
// next supervise takes it over. It is nobody's child here: it is watched and
// signalled through a pidfd, which, unlike a number, never comes to mean
// another process.
type orphan struct{ fd *sys.FD }

func (o *orphan) signal(sig syscall.Signal) {
	unix.PidfdSendSignal(int(o.fd.Fd()), sig, nil, 0)
}

// ended reports whether the process is no more, or only a zombie.
func (o *orphan) ended() bool {
	ready, err := sys.Poll(time.Now(), o.fd)
	return err == nil && ready[0]
}

func (o *orphan) close() { o.fd.Close() }

// adopt takes the process of the last status over, if it is certain that it is
// the service. If anything speaks against it, or cannot be found out, the
// service is started anew, as the C program does it always.
func (w *world) adopt(dir *service.Dir, last service.Status) bool {
	if last.PID <= 1 || last.PID == os.Getpid() {
		return false
	}
	fd, err := unix.PidfdOpen(last.PID, 0)
	if err != nil {
		return false // it has ended, or the kernel (before 5.3) has no pidfds
	}
	o := &orphan{sys.NewFD(fd)}
	unix.CloseOnExec(fd)
	// What /proc says between the opening and ended() is about this process.
	if !ours(dir, last) || o.ended() {
		o.close()
		return false
	}
	w.orphan, w.pid = o, last.PID
	return true
}

// Orphaned reports whether the process of last is a service that its supervise
// left behind, and that the next one will take over.
func Orphaned(dir *service.Dir, last service.Status) bool {
	return last.PID > 1 && ours(dir, last)
}

// ours reports whether the process of last is what a supervise of dir started.
//
// Its parent must be init, or an ancestor of this process that adopts orphans.
// Then either it began when the status says it did (the label is made just
// after the fork), or, should the clock have been set since, it still stands in
// the service's directory.
func ours(dir *service.Dir, last service.Status) bool {
	p, err := readProcess(last.PID)
	if err != nil || p.zombie || !(p.parent == 1 || isAncestor(p.parent)) || isAncestor(last.PID) {
		return false
	}
	// Nobody else can have had the number between the fork and the label, and
	// for a while afterwards nobody gets it again. A busy system makes the label
	// late; a correction of the clock moves it.
	late := last.Stamp.Sub(p.began)
	if -2*time.Second <= late && late <= 30*time.Second {
		return true
	}
	var cwd unix.Stat_t
	if unix.Stat("/proc/"+strconv.Itoa(last.PID)+"/cwd", &cwd) != nil {
		return false
	}
	dev, ino, err := dir.ID()
	return err == nil && uint64(cwd.Dev) == dev && cwd.Ino == ino
}

// process is what /proc/PID/stat says of a process.
type process struct {
	zombie bool
	parent int
	began  time.Time // to a hundredth of a second, by today's clock
}

var errProcess = errors.New("bad /proc/PID/stat")

func readProcess(pid int) (process, error) {
	b, err := fsys.ReadFile(fsys.OS{}, "/proc/"+strconv.Itoa(pid)+"/stat", 4096)
	if err != nil {
		return process{}, err
	}
	p, ticks, err := parseStat(b)
	if err != nil {
		return process{}, err
	}
	var sinceBoot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &sinceBoot); err != nil {
		return process{}, err
	}
	// USER_HZ, in which the kernel counts here, is 100 on every system that Go
	// runs on.
	age := time.Duration(sinceBoot.Nano()) - time.Duration(ticks)*(time.Second/100)
	p.began = time.Now().Add(-age)
	return p, nil
}

// parseStat reads proc(5)'s line: pid (name) state ppid … with the start time
// as field 22. The name may hold anything, parentheses too.
func parseStat(b []byte) (p process, ticks uint64, err error) {
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 {
		return p, 0, errProcess
	}
	p.zombie = fields[0][0] == 'Z' || fields[0][0] == 'X'
	p.parent, err = strconv.Atoi(string(fields[1]))
	if err != nil {
		return p, 0, errProcess
	}
	ticks, err = strconv.ParseUint(string(fields[19]), 10, 63)
	if err != nil || ticks > uint64(1<<63-1)/uint64(time.Second/100) {
		return p, 0, errProcess
	}
	return p, ticks, nil
}

// isAncestor reports whether this process descends from pid.
func isAncestor(pid int) bool {
	for p := os.Getppid(); p > 0; {
		if p == pid {
			return true
		}
		next, err := readProcess(p)
		if err != nil || next.parent == p {
			return false
		}
		p = next.parent
	}
	return false
}
