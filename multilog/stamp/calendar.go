package stamp

import (
	"math"
	"strconv"
	"time"
)

// A calendar turns Unix seconds into "1999-08-23 21:03:43" in a zone. Looking a
// time up takes long, so it remembers the minute.
type calendar struct {
	zone     *time.Location
	from, to int64  // the minute, or what of it lies within one of the zone's offsets
	zero     int64  // its second 0
	text     []byte // "1999-08-23 21:03:"
}

// yearSeconds is a year's length to within what is needed here.
const yearSeconds = 365.2425 * 86400

// append appends the time. ok is false for one that no calendar knows: a year
// must fit a C int, and negative ones look as strange as ever.
func (c *calendar) append(dst []byte, secs int64) (newDst []byte, ok bool) {
	if secs < c.from || secs >= c.to {
		if math.Abs(float64(secs)) > (math.MaxInt32-1)*yearSeconds {
			return dst, false
		}
		c.turn(secs)
	}
	second := byte(secs - c.zero)
	return append(append(dst, c.text...), '0'+second/10, '0'+second%10), true
}

// turn makes it the minute of secs.
func (c *calendar) turn(secs int64) {
	t := time.Unix(secs, 0).In(c.zone)
	c.zero = secs - int64(t.Second())
	c.from, c.to = c.zero, c.zero+60
	// Offsets of former times are not whole minutes.
	begin, end := t.ZoneBounds()
	if !begin.IsZero() {
		c.from = max(c.from, begin.Unix())
	}
	if !end.IsZero() {
		c.to = min(c.to, end.Unix())
	}
	year, month, day := t.Date()
	dst := strconv.AppendUint(c.text[:0], uint64(int64(year)), 10)
	dst = appendPadded(append(dst, '-'), uint64(month), 2)
	dst = appendPadded(append(dst, '-'), uint64(day), 2)
	dst = appendPadded(append(dst, ' '), uint64(t.Hour()), 2)
	dst = appendPadded(append(dst, ':'), uint64(t.Minute()), 2)
	c.text = append(dst, ':')
}

// appendPadded appends n with at least width digits.
func appendPadded(dst []byte, n uint64, width int) []byte {
	var digits [20]byte
	text := strconv.AppendUint(digits[:0], n, 10)
	for range width - len(text) {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}
