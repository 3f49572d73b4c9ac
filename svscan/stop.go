package svscan

import "time"

const (
	stopInterval = 100 * time.Millisecond // between two looks at what still runs
	logGrace     = 10 * time.Second       // for a logger to read its pipe to the end
)

// stop does the next step of an orderly end and reports whether there is none
// left. The service first: it is told to go down, and its supervise to exit
// then. When that one is gone nobody writes to the pipe any more; svscan lets
// go of it, and the logger reads what is left and ends by itself.
func (v *entry) stop(s *scanner, now time.Time) (done bool) {
	if !v.main.gone(s, now) {
		v.main.tell(s, now, "dx")
		return false
	}
	v.closePipe()
	if v.log.dir == nil || v.log.gone(s, now) {
		return true
	}
	orders := v.log.told
	switch {
	case orders == "":
		orders = "dx"
		if status, err := v.log.dir.Status(); err == nil && status.PID != 0 {
			orders = "cox" // go on, to your own end, and not again
		}
	case now.Sub(v.log.toldAt) > logGrace:
		orders = "dx" // somebody else holds the pipe open
	}
	v.log.tell(s, now, orders)
	return false
}
