package multilog

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
)

// An input is stdin and the two signals that are obeyed between reads only:
// ALRM asks for a rotation; after TERM what remains is read byte by byte up to
// the end of the line, so that stdin is left at the first byte that somebody
// else is to process (flushread in multilog.c).
type input struct {
	file proc.File
	fd   *sys.FD // the same; nil if there is no descriptor, and no signals
	wake *sys.FD // becomes readable with each signal

	stop func()

	term, alarm atomic.Bool
	midLine     bool // the last byte read was not a line feed
}

func openInput(file proc.File) (*input, error) {
	in := &input{file: file, stop: func() {}}
	fd, ok := file.(*sys.FD)
	if !ok {
		return in, nil
	}
	r, w, err := sys.Pipe()
	if err != nil {
		return nil, err
	}
	in.fd, in.wake = fd, r
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGALRM)
	go func() {
		for s := range signals {
			if s == syscall.SIGTERM {
				in.term.Store(true)
			} else {
				in.alarm.Store(true)
			}
			w.Write([]byte{0})
		}
		w.Close()
	}()
	in.stop = func() {
		signal.Stop(signals)
		close(signals)
		r.Close()
	}
	return in, nil
}

// read fills buf from stdin. rotate: ALRM came, and nothing was read. more is
// false at the end of the input, for which a read error counts too.
func (in *input) read(buf []byte) (n int, rotate, more bool) {
	for {
		if in.alarm.Swap(false) {
			return 0, true, true
		}
		if in.term.Load() {
			if !in.midLine {
				return 0, false, false
			}
			buf = buf[:1]
		}
		if in.fd == nil {
			break
		}
		// Wait for both: a signal that comes just before the read must not
		// find us blocked in it.
		signalled, _, err := sys.WaitReadable(in.wake, in.fd)
		if err != nil {
			return 0, false, false
		}
		if !signalled {
			break
		}
		var seen [64]byte
		in.wake.Read(seen[:])
	}
	n, err := in.file.Read(buf)
	if n == 0 || err != nil {
		return 0, false, false
	}
	in.midLine = buf[n-1] != '\n'
	return n, false, true
}
