package send

import (
	"math"

	"paperpath/mta/queue/store"
)

// Times are Unix seconds: those of the clock on the wall, because a message's
// age must outlive the process. tick says what happens when it jumps.

const (
	sleepTodo    = 1500  // todo/ is looked at this often, trigger or not
	sleepSysfail = 123   // until the next try after trouble with a file
	sleepCleanup = 76431 // between two looks for messages that nobody owns
)

// skip is how far an attempt lies from the next on the scale of square roots.
var skip = [channels]int64{local: 10, remote: 20}

// nextRetry is the quadratic schedule: attempts are at birth, birth+skip²,
// birth+(2·skip)² and so on, whenever the last one was really made. A birth in
// the future is the work of a wrong clock and counts as now.
func nextRetry(birth, now int64, c channel) int64 {
	birth = min(birth, now)
	n := squareRoot(now-birth) + skip[c]
	return birth + n*n
}

// squareRoot is the largest r with r*r <= x.
func squareRoot(x int64) int64 {
	r := int64(math.Sqrt(float64(x)))
	for r*r > x {
		r--
	}
	for (r+1)*(r+1) <= x {
		r++
	}
	return r
}

// entry is a message and when it is due: 16 bytes for each message and
// channel, all that a queue of a million keeps in memory.
type entry struct {
	due int64
	id  store.ID
}

// dueHeap is a heap with the entry that is due first at its root. (Not
// container/heap: that allocates for each entry.)
type dueHeap []entry

func (h *dueHeap) push(e entry) {
	*h = append(*h, e)
	s := *h
	for i := len(s) - 1; i > 0; {
		parent := (i - 1) / 2
		if s[parent].due <= s[i].due {
			break
		}
		s[parent], s[i] = s[i], s[parent]
		i = parent
	}
}

// first returns when the first entry is due.
func (h dueHeap) first() (due int64, ok bool) {
	if len(h) == 0 {
		return 0, false
	}
	return h[0].due, true
}

// popDue takes the first entry if it is due.
func (h *dueHeap) popDue(now int64) (entry, bool) {
	if due, ok := h.first(); !ok || due > now {
		return entry{}, false
	}
	return h.pop(), true
}

func (h *dueHeap) pop() entry {
	s := *h
	top := s[0]
	last := len(s) - 1
	s[0] = s[last]
	s = s[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && s[child+1].due < s[child].due {
			child++
		}
		if s[i].due <= s[child].due {
			break
		}
		s[i], s[child] = s[child], s[i]
		i = child
	}
	*h = s
	return top
}

// allDue makes every entry due at now, which is a heap in any order.
func (h dueHeap) allDue(now int64) {
	for i := range h {
		h[i].due = now
	}
}
