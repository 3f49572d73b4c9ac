package multilog

import (
	"io"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
)

const (
	// bufferSize is how much is read at once: what a pipe holds.
	bufferSize = 64 << 10
	// unkeptSize is the same for logs without a journal: a kill between the read
	// and the write costs no more.
	unkeptSize = 1 << 10
	// pipeSize is what a pipe is given room for when its writer fills it all
	// the time: writer and reader then wait for each other less often.
	pipeSize = 256 << 10
)

// An input is stdin and the two signals that are obeyed between reads only:
// ALRM asks for a rotation; after TERM what remains is read byte by byte up to
// the end of the line, so that stdin is left at the first byte that somebody
// else is to process (flushread in multilog.c).
type input struct {
	file    proc.File
	fd      *sys.FD // the same; nil if there is no descriptor, and no signals
	signals *sys.Caught
	poll    [2]unix.PollFd // signals and fd

	term, alarm bool
	midLine     bool // the last byte read was not a line feed
	busy        bool // the last read filled the buffer
	widened     bool // the pipe has more room than it was made with

	err error // why it ends, if not because of its end
}

func openInput(file proc.File) (*input, error) {
	in := &input{file: file}
	fd, ok := file.(*sys.FD)
	if !ok {
		return in, nil
	}
	signals, err := sys.Catch(unix.SIGTERM, unix.SIGALRM)
	if err != nil {
		return nil, err
	}
	in.fd, in.signals = fd, signals
	in.poll = [2]unix.PollFd{
		{Fd: int32(signals.R.Fd()), Events: unix.POLLIN},
		{Fd: int32(fd.Fd()), Events: unix.POLLIN},
	}
	return in, nil
}

func (in *input) close() {
	if in.signals != nil {
		in.signals.Close()
	}
}

// A next is what there is to be done.
type next int

const (
	bytesCame next = iota
	rotateNow      // ALRM came, and nothing was read
	inputEnds      // the end, TERM at the end of a line, or an error
	idleNow        // after a flood: nothing is there to be read just now
)

// read fills buf from stdin.
func (in *input) read(buf []byte) (int, next) {
	for {
		if in.alarm {
			in.alarm = false
			return 0, rotateNow
		}
		if in.term {
			if !in.midLine {
				return 0, inputEnds
			}
			buf = buf[:1]
		}
		if in.fd == nil {
			break
		}
		// Wait for both: a signal that comes just before the read must not
		// find us blocked in it.
		wait := -1
		if in.busy {
			wait = 0
		}
		ready, err := unix.Poll(in.poll[:], wait)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			in.err = err
			return 0, inputEnds
		case ready == 0:
			in.busy = false
			return 0, idleNow
		case in.poll[0].Revents != 0:
			in.note()
			continue
		}
		break
	}
	n, err := in.file.Read(buf)
	if err != nil && err != io.EOF {
		in.err = err
	}
	if n == 0 || err != nil {
		return 0, inputEnds
	}
	in.midLine = buf[n-1] != '\n'
	if full := n == len(buf) && n >= bufferSize/2; full && in.busy && !in.widened {
		// Whoever lacks the right to so much, or has no pipe, goes on as before.
		unix.FcntlInt(in.fd.Fd(), unix.F_SETPIPE_SZ, pipeSize)
		in.widened = true
	} else if full {
		in.busy = in.fd != nil
	}
	return n, bytesCame
}

// note reads which signals came.
func (in *input) note() {
	var came [64]byte
	n, _ := in.signals.R.Read(came[:])
	for _, sig := range came[:n] {
		switch unix.Signal(sig) {
		case unix.SIGTERM:
			in.term = true
		case unix.SIGALRM:
			in.alarm = true
		}
	}
}
