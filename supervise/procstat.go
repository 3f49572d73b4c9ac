package supervise

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"time"

	"paperpath/internal/fsys"
)

// procStat is what /proc/PID/stat says of a process.
type procStat struct {
	zombie bool
	parent int
	began  time.Duration // since the system booted, to a hundredth of a second
}

var errProcess = errors.New("bad /proc/PID/stat")

func readProcess(pid int) (procStat, error) {
	b, err := fsys.ReadFile(fsys.OS{}, "/proc/"+strconv.Itoa(pid)+"/stat", 4096)
	if err != nil {
		return procStat{}, err
	}
	return parseStat(b)
}

// tick is the unit in which the kernel tells start times: USER_HZ is 100 on
// every system that Go runs on.
const tick = time.Second / 100

// parseStat reads proc(5)'s line: pid (name) state ppid … with the start time
// as field 22. The name may hold anything, parentheses too.
func parseStat(b []byte) (p procStat, err error) {
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 {
		return p, errProcess
	}
	p.zombie = fields[0][0] == 'Z' || fields[0][0] == 'X'
	p.parent, err = strconv.Atoi(string(fields[1]))
	if err != nil {
		return p, errProcess
	}
	ticks, err := strconv.ParseUint(string(fields[19]), 10, 63)
	if err != nil || ticks > uint64(1<<63-1)/uint64(tick) {
		return p, errProcess
	}
	p.began = time.Duration(ticks) * tick
	return p, nil
}

// beganToday is when the process began, by today's clock.
func (p procStat) beganToday() time.Time { return time.Now().Add(p.began - sinceBoot()) }

// beganWithin reports whether the process was forked within d after the instant t
// since the system booted.
func (p procStat) beganWithin(t, d time.Duration) bool { return t-2*tick <= p.began && p.began <= t+d }

// orphaned reports whether the process has been given to somebody who takes
// orphans.
func (p procStat) orphaned() bool {
	return p.parent == 1 || p.parent == os.Getpid() || isAncestor(p.parent)
}

// isAncestor reports whether this process descends from pid.
func isAncestor(pid int) bool { return pid != os.Getpid() && descends(os.Getpid(), pid) }

// descends reports whether pid is ancestor or descends from it.
func descends(pid, ancestor int) bool {
	for pid > 0 {
		if pid == ancestor {
			return true
		}
		p, err := readProcess(pid)
		if err != nil || p.parent == pid {
			return false
		}
		pid = p.parent
	}
	return false
}
