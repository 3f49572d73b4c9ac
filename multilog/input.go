package multilog

import (
	"io"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
)

const (
	// bufferSize is how much is read at once: the capacity of a pipe.
	bufferSize = 64 << 10
	// unkeptSize is the same for logs without a journal: a kill between a read
	// and the write that follows loses no more than this.
	unkeptSize = 1 << 10
	// pipeSize is the capacity given to a pipe whose writer keeps it full:
	// writer and reader then wait for each other less often.
	pipeSize = 256 << 10
)

// An input is stdin and the two signals that are obeyed between reads only.
// ALRM asks for a rotation. After TERM the rest of the line is read byte by byte,
// so that the next process to read stdin starts at the first byte of the next
// line (flushread in multilog.c).
type input struct {
	file    proc.File
	fd      *sys.FD // file, if it is a descriptor; nil otherwise, and signals is nil too
	signals *sys.Caught
	poll    [2]unix.PollFd // signals and fd

	term, alarm bool
	midLine     bool // the last byte read was not a line feed
	busy        bool // the last read filled the buffer
	widened     bool // the pipe's capacity has been raised, or that was refused

	err error // why reading stopped, if not at end of file
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

// A next says what the caller has to do.
type next int

const (
	bytesCame next = iota
	rotateNow      // ALRM came, and nothing was read
	inputEnds      // end of file, TERM at the end of a line, or an error
	idleNow        // after a flood, stdin has nothing to read for the moment
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
		// Wait for both: otherwise a signal that arrives just before the read
		// would not be seen until the read returns.
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
		// If stdin is no pipe, or the user may not have that much, this fails
		// and everything goes on as before.
		unix.FcntlInt(in.fd.Fd(), unix.F_SETPIPE_SZ, pipeSize)
		in.widened = true
	} else if full {
		in.busy = in.fd != nil
	}
	return n, bytesCame
}

// note records which signals came.
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
