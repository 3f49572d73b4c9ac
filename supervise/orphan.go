package supervise

import (
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/sys"
	"paperpath/service"
)

// An orphan is the running service of a supervisor that was killed. Starting the
// service beside it would make two of them, on one queue or one socket; so the
// next supervisor takes it over. It is nobody's child here: it is watched and
// signalled through a pidfd, which, unlike a number, never comes to mean
// another process.

// adopt takes over what the last status tells of, if it is certain that it is
// the service, and puts into last what has been found out. If anything speaks
// against it, or cannot be found out, the service is started anew, as the C
// program does it always.
func (k *Keeper) adopt(last *service.Status) bool {
	if last.Want != service.Up && last.Want != service.Down && last.Want != 0 {
		last.Want = service.Up
	}
	if last.PID == 0 && last.Phase == service.PhaseStarting {
		var p procStat
		last.PID, p = k.findStarted(*last)
		if last.PID != 0 {
			last.Stamp, last.Due, last.Forked = p.beganToday(), time.Time{}, p.began
			last.Phase = service.PhaseUp
			if r := k.Rules(); r.NotifyFD != 0 || r.NotifySocket {
				last.Phase = service.PhaseStarting
			}
		}
	}
	switch {
	case last.PID != 0:
		last.FinishPID = 0
		if !k.watch(&k.run, last.PID, func() bool { return ours(k.Dir, *last) }) {
			return false
		}
		k.forked = last.Forked
		k.reopenReady(*last)
		return true
	case last.FinishPID != 0:
		// It began when run ended, which is the instant of the label.
		finish := service.Status{PID: last.FinishPID, Stamp: last.Stamp}
		return k.watch(&k.finish, last.FinishPID, func() bool { return ours(k.Dir, finish) })
	}
	return false
}

// watch makes p the process pid, if it is the right one.
func (k *Keeper) watch(p *process, pid int, right func() bool) bool {
	if pid <= 1 || pid == os.Getpid() || k.host.children[pid] != nil {
		return false
	}
	n, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false // it has ended, or the kernel (before 5.3) has no pidfds
	}
	fd := sys.NewFD(n)
	unix.CloseOnExec(n)
	// What /proc says between the opening and the look at the end is about
	// this process.
	if !right() || hasEnded(fd) || k.host.loop.Add(fd, func() { k.orphanEnded(pid) }) != nil {
		fd.Close()
		return false
	}
	*p = process{pid, fd}
	k.host.children[pid] = k // it may be given to us
	return true
}

func hasEnded(pidfd *sys.FD) bool {
	ready, err := sys.Poll(time.Now(), pidfd)
	return err != nil || ready[0]
}

// reopenReady makes it possible for an adopted service to say that it is ready.
func (k *Keeper) reopenReady(last service.Status) {
	if last.Phase != service.PhaseStarting {
		return
	}
	r := k.Rules()
	if r.NotifySocket {
		k.rebind(last.PID)
	}
	if r.NotifyFD == 0 {
		return
	}
	name := "/proc/" + strconv.Itoa(last.PID) + "/fd/" + strconv.Itoa(r.NotifyFD)
	var st unix.Stat_t
	if unix.Stat(name, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return // it has been there already, and closed it
	}
	if fd, err := sys.Open(name, unix.O_RDONLY|unix.O_NONBLOCK, 0); err == nil {
		k.ready = fd
		k.host.loop.Add(fd, k.newline)
	}
}

// Orphaned reports whether the process of last is a service that its supervisor
// left behind, and that the next one will take over.
func (h *Host) Orphaned(dir *service.Dir, last service.Status) bool {
	return last.PID > 1 && h.children[last.PID] == nil && ours(dir, last)
}

// ours reports whether the process of last is what a supervisor of dir started.
//
// A supervisor of this house notes the instant of the fork, on the clock that
// runs since the system booted. A process that began then is the one: nobody
// gets the number of a process again so soon. (But a reboot begins that clock
// anew: so the time of day has to agree too, or the directory.)
//
// Of a supervise of daemontools only the label is known, which it makes just
// after the fork. Then the parent must be init, or an ancestor of this process
// that adopts orphans; and either the process began when the label says so, or,
// should the clock have been set since, it still stands in the service's
// directory.
func ours(dir *service.Dir, last service.Status) bool {
	p, err := readProcess(last.PID)
	if err != nil || p.zombie || isAncestor(last.PID) {
		return false
	}
	if last.Forked != 0 {
		if !p.beganWithin(last.Forked, time.Second) {
			return false
		}
	} else if !p.orphaned() {
		return false
	}
	// Nobody else can have had the number between the fork and the label, and
	// for a while afterwards nobody gets it again. A busy system makes the label
	// late; a correction of the clock moves it.
	late := last.Stamp.Sub(p.beganToday())
	return -2*time.Second <= late && late <= 30*time.Second || standsIn(dir, last.PID)
}

// standsIn reports whether a process has dir as its current directory.
func standsIn(dir *service.Dir, pid int) bool {
	var cwd unix.Stat_t
	if unix.Stat("/proc/"+strconv.Itoa(pid)+"/cwd", &cwd) != nil {
		return false
	}
	dev, ino, err := dir.ID()
	return err == nil && uint64(cwd.Dev) == dev && cwd.Ino == ino
}

// startWithin is the longest time between a supervisor's saying that it is about
// to fork and the fork. Writing that to the disk may take a while.
const startWithin = time.Minute

// findStarted looks for the process that a supervisor was about to start when it
// was killed; 0 if there is none. It began then, its parent is who adopts
// orphans, and it stands in the directory of the service, or else has its end of
// the log pipe. If several are like that, the first one started the others.
func (k *Keeper) findStarted(last service.Status) (found int, first procStat) {
	names, err := fsys.OS{}.List("/proc")
	if err != nil {
		return 0, first
	}
	stands := false
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || k.host.children[pid] != nil {
			continue
		}
		p, err := readProcess(pid)
		if err != nil || p.zombie || !p.beganWithin(last.Forked, startWithin) || !p.orphaned() {
			continue
		}
		here := standsIn(k.Dir, pid)
		if !here && (stands || last.LogPipe == 0 || !k.hasPipe(pid, last.LogPipe)) {
			continue
		}
		if found == 0 || here && !stands || p.began < first.began {
			found, first, stands = pid, p, here
		}
	}
	return found, first
}

// hasPipe reports whether a process has the log pipe where this service has it.
func (k *Keeper) hasPipe(pid int, inode uint64) bool {
	fd := "1"
	if k.Stdin != 0 {
		fd = "0"
	}
	goal, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/fd/" + fd)
	return err == nil && goal == "pipe:["+strconv.FormatUint(inode, 10)+"]"
}
