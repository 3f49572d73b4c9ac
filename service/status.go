package service

import (
	"encoding/binary"
	"errors"
	"time"

	"paperpath/internal/procfs"
	"paperpath/internal/tai"
)

const (
	classicLen  = 18 // what C daemontools writes, and the least that can be read
	bootlessLen = 72 // what earlier versions of this house wrote
	statusLen   = 88
)

// Status is what supervise/status tells.
type Status struct {
	Stamp  time.Time // when PID changed last
	PID    int       // 0: the service is down
	Paused bool
	Want   byte // Up, Down, or 0: whatever it does, it is not started again

	// What a supervise of daemontools does not tell; ParseStatus derives the
	// phase then, and leaves the rest zero.
	Phase     Phase
	Ready     time.Time // when it said that it is ready; zero: it has not
	Due       time.Time // when it is started next; zero: not by the clock
	Last      Ending    // of run
	Restarts  uint32    // how often run was started again because it had ended
	FinishPID int       // of ./finish; 0: it does not run
	LogPipe   uint64    // the pipe's inode; 0: there is none

	// Forked is when the process was forked, since the system booted; 0 if
	// not known. With PhaseStarting and no PID it is a start that was about to
	// be made.
	Forked time.Duration

	// Exit: it was told to exit. What it is wanted for is no business of the next
	// supervisor then.
	Exit bool
	Boot procfs.Boot // when all this was so; zero: not known. Announce sets it.
}

// What byte 21 says. Versions that did not know the boot have written 0; should
// one of them write over a longer file, what is behind its status is not its own.
const (
	toldNothing = 1
	toldToExit  = 2
)

// Phase says where a service is between down and up.
type Phase byte

// The phases. Those that daemontools-encore has too have its numbers.
const (
	PhaseDown      Phase = 0
	PhaseStarting  Phase = 1 // runs, and will say when it is ready
	PhaseUp        Phase = 3 // runs, and is ready if it says such things
	PhaseStopping  Phase = 4 // runs, and was told to end
	PhaseFailed    Phase = 5 // down, and not started again by itself
	PhaseFinishing Phase = 6 // down; ./finish runs
	PhaseWaiting   Phase = 7 // down, for other services to come up
	PhaseDelayed   Phase = 8 // down, until Due
)

var phases = [...]string{"down", "starting", "", "up", "stopping", "failed", "finishing", "waiting", "delayed"}

// String returns the phase in a word: "ready" is an "up" with a Ready time.
func (p Phase) String() string {
	if int(p) < len(phases) && phases[p] != "" {
		return phases[p]
	}
	return "unknown"
}

// Ending is how a process ended. The zero Ending is not known.
type Ending struct {
	Known  bool
	Code   int // exit code, if Signal is 0
	Signal int
}

// ErrFormat is the error for a status of the wrong length.
var ErrFormat = errors.New("bad format")

// Up reports whether the service is what it is wanted for: running, ready if it
// is one that says so, and not about to end. (One that is told to end before it
// was ready is stopping, too.)
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

// ParseStatus reads a status, of this house or of daemontools.
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
		case s.PID != 0 && s.Want == Down: // it has had its TERM
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

// label reads a label. Nanoseconds that are none count as 0: the seconds
// before them are all that svstat ever looks at.
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
