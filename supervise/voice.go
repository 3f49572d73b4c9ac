package supervise

import (
	"strconv"
	"sync"
	"time"

	"paperpath/internal/proc"
)

// Heard is descriptor 2 of a process that has something better to do than to wait
// for whoever reads it: a log that hangs must not hang the services. What cannot
// be written at once is lost; how much, is said as soon as it can be.
type Heard struct {
	proc.File
	Name string // of the program

	mu   sync.Mutex
	lost int
}

// Write writes all of b, at once or not at all, and never fails.
func (h *Heard) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost > 0 {
		if !h.write([]byte(h.Name + ": warning: " + strconv.Itoa(h.lost) + " messages were lost, nobody read them\n")) {
			h.lost++
			return len(b), nil
		}
		h.lost = 0
	}
	if !h.write(b) {
		h.lost++
	}
	return len(b), nil
}

func (h *Heard) write(b []byte) bool {
	h.SetWriteDeadline(time.Now())
	n, err := h.File.Write(b)
	h.SetWriteDeadline(time.Time{})
	return n > 0 || err == nil
}
