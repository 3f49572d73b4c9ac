package multilog

import (
	"time"

	"paperpath/internal/tai"
)

// A clock gives every line a label of its own though it is read only once for
// all the lines of one read: each is a nanosecond later than the one before.
// Sorted by label, lines of several logs keep their order.
type clock struct {
	last  time.Time
	label [tai.LabelLen + 1]byte // of last, and a space
}

// jitter is how far behind its own labels the clock may be without having been
// set back.
const jitter = time.Millisecond

// read makes the time the next line's.
func (c *clock) read() {
	now := time.Now()
	if ahead := c.last.Sub(now); ahead >= 0 && ahead < jitter {
		now = c.last.Add(1)
	}
	c.set(now)
}

func (c *clock) set(now time.Time) {
	c.last = now
	tai.Append(c.label[:0], now)
	c.label[tai.LabelLen] = ' '
}

// tick makes it the following line's.
func (c *clock) tick() {
	c.last = c.last.Add(1)
	switch last := &c.label[tai.LabelLen-1]; *last {
	case '9':
		*last = 'a'
	case 'f':
		c.set(c.last)
	default:
		*last++
		// 999999999 is 3b9ac9ff: the last nanosecond of a second ends in f.
	}
}
