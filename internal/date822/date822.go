// Package date822 writes dates as qmail writes them in Received and Date
// fields: "21 Nov 2026 09:07:03 -0000", always UTC, without a weekday
// (date822fmt.c; RFC 5322 section 3.3 allows both).
package date822

import "time"

// Append appends the date of t, without a line end.
func Append(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "2 Jan 2006 15:04:05 -0000")
}

// AppendIn appends the date of t in a zone, as the date-localtime patch writes
// it: "21 Nov 2026 10:07:03 +0100". Without a zone it is Append.
func AppendIn(dst []byte, t time.Time, zone *time.Location) []byte {
	if zone == nil {
		return Append(dst, t)
	}
	return t.In(zone).AppendFormat(dst, "2 Jan 2006 15:04:05 -0700")
}

// String returns the date of t.
func String(t time.Time) string { return string(Append(nil, t)) }
