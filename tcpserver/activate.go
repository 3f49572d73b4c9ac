package tcpserver

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/tcp"
)

// A supervisor may open the sockets itself and hand them over at the start
// (sd_listen_fds(3), systemd.socket(5)):
//
//	LISTEN_PID      this process; somebody else's are not ours
//	LISTEN_FDS      how many there are, from descriptor 3 on
//	LISTEN_FDNAMES  their names, between colons
//
// The one named "status" takes the place of -S; all others are for clients.
const firstActivated = 3

// activated takes the sockets that were handed over, and the variables out of the
// programs' environment.
func (l *sockets) activated(env *proc.Env) error {
	pid, count := env.Vars.Value("LISTEN_PID"), env.Vars.Value("LISTEN_FDS")
	names := strings.Split(env.Vars.Value("LISTEN_FDNAMES"), ":")
	if pid != strconv.Itoa(os.Getpid()) {
		return nil
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		env.Vars.Unset(name)
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 {
		return errors.New("unable to understand $LISTEN_FDS: " + strerr.Clean(count))
	}
	for i := range n {
		fd := firstActivated + i
		unix.CloseOnExec(fd)
		if i < len(names) && names[i] == "status" {
			if l.status >= 0 {
				return errors.New("unable to use $LISTEN_FDNAMES: there are several sockets for the status")
			}
			if err := accepts(fd); err != nil {
				return strerr.Unable("use", "descriptor "+strconv.Itoa(fd), err)
			}
			l.status = fd
			continue
		}
		if err := listening(fd); err != nil {
			return strerr.Unable("use", "descriptor "+strconv.Itoa(fd), err)
		}
		l.clients = append(l.clients, fd)
	}
	l.shared = len(l.clients) > 0
	return nil
}

// listening makes sure that fd is a TCP socket that accepts connections.
func listening(fd int) error {
	if err := accepts(fd); err != nil {
		return err
	}
	_, err := tcp.Local(fd) // of a family that is known
	return err
}

// accepts makes sure that fd is a socket that accepts connections.
func accepts(fd int) error {
	for option, want := range map[int]int{unix.SO_TYPE: unix.SOCK_STREAM, unix.SO_ACCEPTCONN: 1} {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		if err != nil {
			return err
		}
		if got != want {
			return errors.New("it does not accept connections")
		}
	}
	return nil
}
