package supervise

import (
	"errors"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/procfs"
	"paperpath/service"
)

// predecessor is a supervisor that has ended. A service that it left running must
// not be started again, and no other process must be taken for that service.
//
// Its last status names a process. Numbers are used again, so more is required:
//
//	another boot               the process is a stranger
//	this boot                  it is the service if it was forked when the status says
//	boot not known (an earlier version, or a C supervise): the same if the status
//	                           has that time; and the process began, by the time of
//	                           day, when the label says, or its current directory is
//	                           the service's, or it has the log pipe
//
// A status may have been written by another user, because supervise/ may have been
// given to one who is to control the service. Such a status may name only processes
// that this user could signal himself (believed).
//
// A result of false means that the service does not run and can be started. If that
// cannot be found out, the result is an error.
type predecessor struct {
	dir   *service.Dir
	last  service.Status
	taken map[int]*Keeper // processes that this supervisor keeps already
	logFD int             // the service's descriptor for the log pipe, if it has one
}

var (
	errNoProc   = errors.New("there is no /proc to tell whether its process runs")
	errHidden   = errors.New("/proc hides whether its process runs")
	errUnproven = errors.New("others can write supervise/status, and the process in it is not theirs")
)

// left reports whether the process pid, which the status names, is the one that the
// predecessor started.
func (p *predecessor) left(pid int) (bool, error) {
	if pid <= 1 || pid > math.MaxInt32 || pid == os.Getpid() || p.taken[pid] != nil || p.otherBoot() {
		return false, nil
	}
	if unix.Kill(pid, 0) == unix.ESRCH {
		return false, nil
	}
	s, err := procfs.Read(pid)
	switch {
	case procfs.Gone(err):
		return false, p.unseen(pid)
	case err != nil:
		return false, err
	case s.Zombie || isAncestor(pid) || !p.started(pid, s):
		return false, nil
	}
	return p.believed(pid)
}

// otherBoot reports whether the system has been booted since the status was written.
func (p *predecessor) otherBoot() bool {
	return p.bootKnown() && p.last.Boot.ID != procfs.ThisBoot().ID
}

func (p *predecessor) bootKnown() bool { return p.last.Boot.ID != 0 && procfs.ThisBoot().ID != 0 }

// unseen returns the error for a process that exists but is not in /proc. It may
// have ended just now, or belong to another user and be hidden from us (hidepid): no
// error. But a process that we may signal can be the service, hidden because its
// program may not be read; and where there is no /proc, any process can. Then it is an
// error, unless the status is older than the boot.
func (p *predecessor) unseen(pid int) error {
	_, err := procfs.Read(os.Getpid())
	switch {
	case err == nil:
		if unix.Kill(pid, 0) != nil {
			return nil
		}
		err = errHidden
	case procfs.Gone(err):
		err = errNoProc
	default:
		return err
	}
	up := procfs.SinceBoot()
	if p.last.Forked > up || p.last.Stamp.Before(time.Now().Add(-up-time.Minute)) {
		return nil
	}
	return err
}

// started reports whether the process began at the time in the status.
func (p *predecessor) started(pid int, s procfs.Stat) bool {
	if p.last.Forked != 0 && (p.bootKnown() || pid == p.last.PID) {
		// The instant is the kernel's own. Earlier versions noted when they were
		// about to fork.
		within := 2 * procfs.Tick
		if !p.bootKnown() {
			within = time.Second
		}
		if !beganWithin(s, p.last.Forked, within) {
			return false
		}
		if p.bootKnown() {
			return true
		}
	} else if !orphaned(s) {
		return false
	}
	// The label is made just after the fork. On a busy system it is late; a
	// correction of the clock moves it.
	late := p.last.Stamp.Sub(beganToday(s))
	return -2*time.Second <= late && late <= 30*time.Second || standsIn(p.dir, pid) || p.hasLogPipe(pid)
}

// trusted reports whether only this process's user, or root, can have written the
// status. writer is the user who can have written it.
func (p *predecessor) trusted() (ok bool, writer int, err error) {
	writer, err = p.dir.Writer()
	return err == nil && (writer == 0 || writer == os.Geteuid()), writer, err
}

// believed reports whether the status may name the process pid.
func (p *predecessor) believed(pid int) (bool, error) {
	ok, writer, err := p.trusted()
	if ok || err != nil {
		return ok, err
	}
	u, err := procfs.ReadUIDs(pid)
	switch {
	case procfs.Gone(err):
		return false, nil
	case err != nil:
		return false, err
	case writer != service.Several && (u.Real == writer || u.Saved == writer): // kill(2)
		return true, nil
	}
	return false, errUnproven
}

// beganToday returns when a process began, by the present time of day.
func beganToday(s procfs.Stat) time.Time { return time.Now().Add(s.Began - procfs.SinceBoot()) }

// beganWithin reports whether a process was forked within d after the instant t
// since the system booted.
func beganWithin(s procfs.Stat, t, d time.Duration) bool {
	return t-2*procfs.Tick <= s.Began && s.Began <= t+d
}

// standsIn reports whether a process has dir as its current directory.
func standsIn(dir *service.Dir, pid int) bool {
	dev, ino, err := dir.ID()
	if err != nil {
		return false
	}
	d, i, err := procfs.Dir(pid)
	return err == nil && d == dev && i == ino
}

// hasLogPipe reports whether a process has the log pipe as descriptor logFD.
func (p *predecessor) hasLogPipe(pid int) bool {
	inode, ok := procfs.Pipe(pid, p.logFD)
	return ok && inode == p.last.LogPipe
}

// orphaned reports whether the parent of a process is one that adopts orphans.
func orphaned(s procfs.Stat) bool {
	return s.Parent == 1 || s.Parent == os.Getpid() || isAncestor(s.Parent)
}

// isAncestor reports whether this process descends from pid.
func isAncestor(pid int) bool { return pid != os.Getpid() && descends(os.Getpid(), pid) }

// descends reports whether pid is ancestor or descends from it.
func descends(pid, ancestor int) bool {
	for pid > 0 {
		if pid == ancestor {
			return true
		}
		s, err := procfs.Read(pid)
		if err != nil || s.Parent == pid {
			return false
		}
		pid = s.Parent
	}
	return false
}

// aboutToStart reports whether the predecessor was killed while it started the
// service: then its process, if there is one, is not in the status.
func (p *predecessor) aboutToStart() bool {
	restarted := p.bootKnown() && p.last.Boot != procfs.ThisBoot() // the system, or the container
	return p.last.PID == 0 && p.last.Phase == service.PhaseStarting && !restarted
}

// startWithin is the longest time between the announcement of a fork and the fork.
// Writing the announcement to the disk may take a while.
const startWithin = time.Minute

// findStarted looks for the process that was about to be started; 0 if there is
// none. It is a process that began at that time, whose parent adopts orphans, and
// whose current directory is the service's, or which has the service's end of the
// log pipe. If there are several, the first one started the others.
func (p *predecessor) findStarted() (found int, first procfs.Stat, err error) {
	for range 5 {
		if found, first, err = p.look(); found != 0 || err != nil {
			break
		}
		time.Sleep(10 * time.Millisecond) // the process may be between fork and chdir
	}
	return found, first, err
}

func (p *predecessor) look() (found int, first procfs.Stat, err error) {
	pids, err := procfs.Processes()
	if err != nil {
		if procfs.Gone(err) {
			err = nil // without /proc nothing can be found
		}
		return 0, first, err
	}
	stands := false
	for _, pid := range pids {
		if p.taken[pid] != nil {
			continue
		}
		s, err := procfs.Read(pid)
		if err != nil {
			if procfs.Gone(err) {
				continue
			}
			return 0, first, err
		}
		if s.Zombie || !beganWithin(s, p.last.Forked, startWithin) || !orphaned(s) {
			continue
		}
		here := standsIn(p.dir, pid)
		if !here && (stands || p.last.LogPipe == 0 || !p.hasLogPipe(pid)) {
			continue
		}
		if found == 0 || here && !stands || s.Began < first.Began {
			found, first, stands = pid, s, here
		}
	}
	if found != 0 {
		if ok, err := p.believed(found); !ok {
			return 0, first, err
		}
	}
	return found, first, nil
}

// Orphan returns the process of a service that its supervisor left behind, and that
// the next one will take over; 0 if there is none. last is that supervisor's status,
// logFD the service's descriptor for the log pipe.
func (h *Host) Orphan(dir *service.Dir, last service.Status, logFD int) (pid int, err error) {
	p := predecessor{dir, last, h.children, logFD}
	if p.aboutToStart() {
		pid, _, err = p.findStarted()
	} else {
		if pid = last.PID; pid == 0 {
			pid = last.FinishPID
		}
		var ok bool
		if ok, err = p.left(pid); !ok {
			pid = 0
		}
	}
	if errors.Is(err, errUnproven) {
		err = nil
	}
	return pid, err
}

// Orphaned reports whether a service has an Orphan, or cannot be examined only for
// lack of descriptors or memory.
func (h *Host) Orphaned(dir *service.Dir, last service.Status) bool {
	pid, err := h.Orphan(dir, last, noLogFD)
	return pid != 0 || child.Exhausted(err)
}

const noLogFD = -1
