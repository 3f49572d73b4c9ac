package tai

import "time"

// A Clock labels the lines of a stream, each with a label of its own though the
// time is read only once for all that came together: every line is a nanosecond
// later than the one before it. Sorted by label, the lines of several logs keep
// their order.
type Clock struct {
	// Label is the next line's, with a space behind it.
	Label [LabelLen + 1]byte

	time time.Time
}

// jitter is how far behind its own labels a clock may be without having been
// set back.
const jitter = time.Millisecond

// Read makes the present the next line's time.
func (c *Clock) Read() { c.read(time.Now()) }

func (c *Clock) read(now time.Time) {
	if ahead := c.time.Sub(now); ahead >= 0 && ahead < jitter {
		now = c.time.Add(1)
	}
	c.set(now)
}

func (c *Clock) set(now time.Time) {
	c.time = now
	Append(c.Label[:0], now)
	c.Label[LabelLen] = ' '
}

// Tick goes on to the following line's.
func (c *Clock) Tick() {
	c.time = c.time.Add(1)
	switch last := &c.Label[LabelLen-1]; *last {
	case '9':
		*last = 'a'
	case 'f': // so ends the last nanosecond of a second, too: 3b9ac9ff
		c.set(c.time)
	default:
		*last++
	}
}
