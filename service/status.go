package service

import (
	"encoding/binary"
	"errors"
	"time"

	"paperpath/internal/procfs"
	"paperpath/internal/tai"
)

const (
	classicLen  = 18 // the status of C daemontools; a shorter one is broken
	bootlessLen = 72 // the status of earlier versions of this package
	statusLen   = 88
)

// Status is the contents of supervise/status.
type Status struct {
	Stamp  time.Time // when PID changed last
	PID    int       // 0: the service is down
	Paused bool
	Want   byte // Up, Down, or 0: it is not started again when it ends

	// The supervise of daemontools does not write these fields. ParseStatus then
	// derives the phase, and leaves the rest zero.
	Phase     Phase
	Ready     time.Time // when it announced that it is ready; zero: it has not
	Due       time.Time // when it is started next; zero: not at a fixed time
	Last      Ending    // of run
	Restarts  uint32    // how often run was started again because it had ended
	FinishPID int       // of ./finish; 0: it is not running
	LogPipe   uint64    // the pipe's inode; 0: there is none

	// Forked is when the process was forked, since the system booted; 0 if
	// not known. With PhaseStarting and no PID, a start was about to be made.
	Forked time.Duration

	// Exit: supervise was told to exit. The next one does not take over Want then.
	Exit bool
	Boot procfs.Boot // the boot in which this was written; zero: not known. Announce sets it.
}

// Values of byte 21. Earlier versions, which did not record the boot, wrote 0. If
// one of them overwrites a longer file, the bytes after its status are not its own.
const (
	toldNothing = 1
	toldToExit  = 2
)

// Phase is the state of a service, in more detail than up or down.
type Phase byte

// The phases. Those that daemontools-encore has too have its numbers.
const (
	PhaseDown      Phase = 0
	PhaseStarting  Phase = 1 // runs, and will announce when it is ready
	PhaseUp        Phase = 3 // runs, and is ready if it announces readiness
	PhaseStopping  Phase = 4 // runs, and was told to end
	PhaseFailed    Phase = 5 // down, and not started again automatically
	PhaseFinishing Phase = 6 // down; ./finish runs
	PhaseWaiting   Phase = 7 // down, for other services to come up
	PhaseDelayed   Phase = 8 // down, until Due
)

var phases = [...]string{"down", "starting", "", "up", "stopping", "failed", "finishing", "waiting", "delayed"}

// String returns the phase in a word. (There is no "ready": that is "up" with a
// Ready time.)
func (p Phase) String() string {
	if int(p) < len(phases) && phases[p] != "" {
		return phases[p]
	}
	return "unknown"
}

// Ending is how a process ended. The zero Ending means that it is not known.
type Ending struct {
	Known  bool
	Code   int // exit code, if Signal is 0
	Signal int
}

// ErrFormat is the error for a status that is too short.
var ErrFormat = errors.New("bad format")

// Up reports whether the service is usable: running, ready if it announces
// readiness, and not about to end. (A service that is told to end before it was
// ready is stopping, too.)
func (s *Status) Up() bool {
	return s.PID != 0 && s.Phase != PhaseStarting && s.Phase != PhaseStopping
}

// Append appends the bytes of supervise/status.
func (s *Status) Append(dst []byte) []byte {
	dst = appendLabel(dst, s.Stamp)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(s.PID))
	var paused byte
	if s.Paused && s.PID != 0 {
		paused = 1
	}
	dst = append(dst, paused, s.Want, byte(s.Phase))
	switch {
	case !s.Last.Known:
		dst = append(dst, 0, 0)
	case s.Last.Signal != 0:
		dst = append(dst, 2, byte(s.Last.Signal))
	default:
		dst = append(dst, 1, byte(s.Last.Code))
	}
	told := byte(toldNothing)
	if s.Exit {
		told = toldToExit
	}
	dst = append(dst, told, 0, 0)
	dst = appendTime(dst, s.Ready)
	dst = appendTime(dst, s.Due)
	dst = binary.LittleEndian.AppendUint32(dst, s.Restarts)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(s.FinishPID))
	dst = binary.LittleEndian.AppendUint64(dst, s.LogPipe)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.Forked))
	dst = binary.LittleEndian.AppendUint64(dst, s.Boot.ID)
	return binary.LittleEndian.AppendUint64(dst, uint64(s.Boot.Init))
}

func appendLabel(dst []byte, t time.Time) []byte {
	var label [12]byte
	tai.Pack(&label, t)
	return append(dst, label[:]...)
}

// appendTime is appendLabel, but the zero time is twelve zeros.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, make([]byte, 12)...)
	}
	return appendLabel(dst, t)
}

// ParseStatus reads a status, ours or that of daemontools.
func ParseStatus(b []byte) (Status, error) {
	if len(b) < classicLen {
		return Status{}, ErrFormat
	}
	s := Status{
		Stamp:  label(b),
		PID:    int(binary.LittleEndian.Uint32(b[12:])),
		Paused: b[16] != 0,
		Want:   b[17],
	}
	if len(b) < bootlessLen {
		switch {
		case s.PID != 0 && s.Want == Down: // it has been sent TERM
			s.Phase = PhaseStopping
		case s.PID != 0:
			s.Phase = PhaseUp
		}
		return s, nil
	}
	s.Phase = Phase(b[18])
	switch b[19] {
	case 1:
		s.Last = Ending{Known: true, Code: int(b[20])}
	case 2:
		s.Last = Ending{Known: true, Signal: int(b[20])}
	}
	s.Ready = timeAt(b[24:36])
	s.Due = timeAt(b[36:48])
	s.Restarts = binary.LittleEndian.Uint32(b[48:])
	s.FinishPID = int(binary.LittleEndian.Uint32(b[52:]))
	s.LogPipe = binary.LittleEndian.Uint64(b[56:])
	s.Forked = time.Duration(binary.LittleEndian.Uint64(b[64:]))
	if len(b) >= statusLen && b[21] != 0 {
		s.Exit = b[21] == toldToExit
		s.Boot.ID = binary.LittleEndian.Uint64(b[72:])
		s.Boot.Init = time.Duration(binary.LittleEndian.Uint64(b[80:]))
	}
	return s, nil
}

// label reads a label. Invalid nanoseconds count as 0: svstat looks only at the
// seconds before them.
func label(b []byte) time.Time {
	stamp, ok := tai.Unpack(b)
	if !ok {
		stamp = time.Unix(int64(binary.BigEndian.Uint64(b)-tai.Offset), 0)
	}
	return stamp
}

func timeAt(b []byte) time.Time {
	if binary.BigEndian.Uint64(b) == 0 {
		return time.Time{}
	}
	return label(b)
}
