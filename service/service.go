// Package service owns the files by which a service is watched and told what
// to do, and the programs that an administrator does it with: svc, svok and
// svstat.
//
//	DIR/run                what supervise starts, in DIR
//	DIR/down               if it exists, the service starts down
//	DIR/log/               the service's logger, a service of its own
//	DIR/supervise/lock     flock(2)ed by the supervise of DIR
//	DIR/supervise/control  fifo: letters for supervise, one order each
//	DIR/supervise/ok       fifo: has a reader while supervise runs
//	DIR/supervise/status   18 bytes, replaced by rename:
//
//	 0        8      12      16 17 18
//	+--------+-------+-------+--+--+
//	| TAI s  | ns    | pid   |p |w |    p: 1 if paused
//	+--------+-------+-------+--+--+    w: 'u', 'd', or 0 for once
//	 big-endian       little-endian
//
// The label is the instant at which pid last changed; pid 0 is down.
package service

import (
	"encoding/binary"
	"errors"
	"time"

	"paperpath/internal/tai"
)

// The orders that supervise takes, letter by letter (supervise(8)).
const (
	Up        = 'u'
	Down      = 'd'
	Once      = 'o'
	Pause     = 'p'
	Continue  = 'c'
	Hangup    = 'h'
	Alarm     = 'a'
	Interrupt = 'i'
	Terminate = 't'
	Kill      = 'k'
	Exit      = 'x'
)

// StatusLen is the length of supervise/status.
const StatusLen = 18

// Status is what supervise/status tells.
type Status struct {
	Stamp  time.Time // when PID changed last
	PID    int       // 0: the service is down
	Paused bool
	Want   byte // Up, Down, or 0: whatever it does, it is not started again
}

// ErrFormat is the error for a status of the wrong length.
var ErrFormat = errors.New("bad format")

// Append appends the 18 bytes.
func (s *Status) Append(dst []byte) []byte {
	var label [12]byte
	tai.Pack(&label, s.Stamp)
	dst = append(dst, label[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(s.PID))
	var paused byte
	if s.Paused && s.PID != 0 {
		paused = 1
	}
	return append(dst, paused, s.Want)
}

// ParseStatus reads the 18 bytes. Nanoseconds that are none count as 0: the
// seconds before them are all that svstat ever looks at.
func ParseStatus(b []byte) (Status, error) {
	if len(b) < StatusLen {
		return Status{}, ErrFormat
	}
	stamp, ok := tai.Unpack(b)
	if !ok {
		stamp = time.Unix(int64(binary.BigEndian.Uint64(b)-tai.Offset), 0)
	}
	return Status{
		Stamp:  stamp,
		PID:    int(binary.LittleEndian.Uint32(b[12:])),
		Paused: b[16] != 0,
		Want:   b[17],
	}, nil
}
