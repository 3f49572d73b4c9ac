package filter

import (
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
)

// tap sees and may change what passes a relay. Its methods are called from two
// goroutines, one for each direction.
type tap interface {
	fromClient(out, in []byte) []byte // appends to out what the program is to read
	clientEnd()                       // the client sends nothing any more
	fromProgram(out, in []byte) []byte
	programEnd()
}

// block is read at a time: a whole number of what recordio records as one piece.
const block = 16 * recordMax

// unread reports whether nobody can read what is written to the pipe fd.
func unread(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd)}}
	for {
		_, err := unix.Poll(p, 0)
		if err != unix.EINTR {
			return err != nil || p[0].Revents != 0
		}
	}
}

// shutDown lets the client read an end. Where it is the one connection both
// ways, its input stays open.
func shutDown(f proc.File) {
	fd, ok := proc.Descriptor(f)
	if ok && unix.Shutdown(fd, unix.SHUT_WR) == unix.ENOTSOCK {
		f.Close()
	}
}

// A connection that is closed while its client still sends is reset, and the client
// loses the output that it has not read yet. So what it sends is read, for nobody,
// until it has all the output, or lingering is over. The C programs close.
const lingering = 30 * time.Second

// owed reports whether fd is a socket with output that has not reached the client.
func owed(fd int) bool {
	if !isSocket(fd) {
		return false
	}
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	return err == nil && n > 0
}

func isSocket(fd int) bool {
	_, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return err == nil
}
