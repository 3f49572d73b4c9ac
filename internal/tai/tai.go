// Package tai owns TAI64N labels, external form:
//
//	@ 16 hex digits of seconds, 8 hex digits of nanoseconds
//
// and the packed form of 12 bytes that supervise/status begins with. Seconds
// count from 2^62 and, as daemontools has it, run a fixed ten seconds ahead of
// Unix time: its programs know no leap second table (tai_now, "+10").
package tai

import (
	"encoding/binary"
	"encoding/hex"
	"time"
)

// Offset is what daemontools adds to Unix seconds.
const Offset = 1<<62 + 10

// LabelLen is the length of a label with its @.
const LabelLen = 25

// Append appends the label of t.
func Append(dst []byte, t time.Time) []byte {
	var p [12]byte
	Pack(&p, t)
	dst = append(dst, '@')
	return hex.AppendEncode(dst, p[:])
}

// Pack writes the packed form of t.
func Pack(p *[12]byte, t time.Time) {
	binary.BigEndian.PutUint64(p[:8], uint64(t.Unix())+Offset)
	binary.BigEndian.PutUint32(p[8:], uint32(t.Nanosecond()))
}

// Unpack reads the packed form. A nanosecond count of more than 999999999
// makes no time: ok is false.
func Unpack(p []byte) (t time.Time, ok bool) {
	if len(p) < 12 {
		return time.Time{}, false
	}
	ns := binary.BigEndian.Uint32(p[8:12])
	if ns > 999999999 {
		return time.Time{}, false
	}
	return time.Unix(int64(binary.BigEndian.Uint64(p[:8])-Offset), int64(ns)), true
}
