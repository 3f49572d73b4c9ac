package supervise

import (
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
)

// DropWriter is standard error for a process that must never block on its log,
// because a log that hangs must not hang the services. A message that cannot be
// written at once is dropped; the number of dropped messages is reported as soon as
// writing is possible again.
type DropWriter struct {
	proc.File

	program string
	out     proc.File // where messages are written

	mu      sync.Mutex
	dropped int
}

// NewDropWriter returns a DropWriter to f for the program of that name.
func NewDropWriter(f proc.File, program string) *DropWriter {
	w := &DropWriter{File: f, program: program, out: f}
	if own, err := nonblocking(f); err == nil {
		w.out = own
	}
	return w
}

// nonblocking opens f again, without blocking, if it is a pipe or a terminal.
//
// A deadline for f itself is not enough: the services have f as their descriptor 2,
// and may fill the pipe between the poll(2) that found room and the write(2). Nor can
// f be made non-blocking, because they share that flag. Other files need none of
// this: a socket has no such gap, a regular file no slow reader.
func nonblocking(f proc.File) (*sys.FD, error) {
	n, ok := proc.Descriptor(f)
	if !ok {
		return nil, unix.EBADF
	}
	var st unix.Stat_t
	if err := unix.Fstat(n, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO && !sys.IsTerminal(n) {
		return nil, unix.ENOTSUP
	}
	return sys.Open("/proc/self/fd/"+strconv.Itoa(n), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
}

// Write writes all of b, at once or not at all, and never fails.
func (w *DropWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dropped > 0 {
		if !w.write([]byte(w.program + ": warning: " + strconv.Itoa(w.dropped) + " messages were lost, nobody read them\n")) {
			w.dropped++
			return len(b), nil
		}
		w.dropped = 0
	}
	if !w.write(b) {
		w.dropped++
	}
	return len(b), nil
}

func (w *DropWriter) write(b []byte) bool {
	w.out.SetWriteDeadline(time.Now())
	n, err := w.out.Write(b)
	w.out.SetWriteDeadline(time.Time{})
	return n > 0 || err == nil
}
