package tcpserver

import (
	"errors"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/dnsq"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/tcpserver/inside"
)

// server is a listening server.
type server struct {
	settings
	env      *proc.Env
	files    [8]proc.File // for the programs; the connection becomes 0 and 1
	listener int
	resolver *dnsq.Resolver
	argv     []string      // of the program
	inside   *inside.Table // programs to run as functions; nil: none

	// mu is also held while a process is created, until it is in children:
	// the reaper must not see it before that, nor take from ForkExec the one
	// that could not be executed.
	mu          sync.Mutex
	room        sync.Cond // for another connection
	count       uint64    // of connections, those being prepared included
	preparing   uint64    // connections that this process still holds
	maxPrepared uint64
	children    map[int]int // process → number in the log
	last        int         // number given to a connection without a process
}

// serve accepts connections until the listening socket is shut, and waits for
// those that are being served then.
func (s *server) serve() error {
	s.room.L = &s.mu
	s.maxPrepared = maxPrepared()
	s.children = make(map[int]int)
	touchPoller()
	s.mu.Lock()
	s.status()
	s.mu.Unlock()
	go s.reap()
	if err := s.accept(); err != nil {
		return err
	}
	unix.Close(s.listener)
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.count > 0 {
		s.room.Wait()
	}
	return nil
}

// touchPoller makes the runtime open the descriptors it needs for timers and
// sockets. Later, with every descriptor taken by a flood of connections, that
// would end the process.
func touchPoller() { time.Sleep(time.Nanosecond) }

// maxPrepared returns how many connections may be looked up at a time: each
// holds its socket, one for questions, and two descriptors while the process
// is created. The others wait in the backlog. (The C program forks at once and
// leaves all that to the child.)
func maxPrepared() uint64 {
	const each, spare = 4, 16
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil || l.Cur < spare+each {
		return 1
	}
	return (l.Cur - spare) / each
}

const (
	acceptPause = 250 * time.Millisecond // when connections cannot be accepted
	acceptQuiet = time.Minute            // between complaints about that
)

func (s *server) accept() error {
	var complained time.Time
	for {
		s.mu.Lock()
		for s.count >= s.limit || s.preparing >= s.maxPrepared {
			s.room.Wait()
		}
		s.mu.Unlock()

		fd, sa, err := unix.Accept4(s.listener, unix.SOCK_CLOEXEC)
		switch err {
		case nil:
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			// The client waits in the backlog. C would spin here.
			if time.Since(complained) > acceptQuiet {
				s.env.Warn(strerr.Unable("accept", "connection", err))
				complained = time.Now()
			}
			time.Sleep(acceptPause)
			continue
		case unix.EINVAL: // shut
			return nil
		case unix.EBADF, unix.ENOTSOCK, unix.EOPNOTSUPP, unix.EFAULT:
			return strerr.Unable("accept", "connection", err)
		default:
			continue // ECONNABORTED, EPROTO, …: that client's trouble (accept(2))
		}
		remote, ok := addrPort(sa)
		if !ok {
			unix.Close(fd)
			continue
		}
		s.mu.Lock()
		s.count++
		s.preparing++
		s.status()
		s.mu.Unlock()
		go s.connect(fd, remote)
	}
}

// connect sees to one connection, as far as the server does.
func (s *server) connect(fd int, remote netip.AddrPort) {
	c := &connection{server: s, fd: fd}
	// The program has the connection now, or the client is to see its end. Its
	// place is free only after that.
	started := c.serve(remote)
	c.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.preparing--
	s.room.Signal()
	if !started {
		s.release()
	}
}

// reap waits for the programs.
func (s *server) reap() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	for {
		s.reapAll()
		<-ended
	}
}

func (s *server) reapAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inside != nil {
		// The programs inside have children too, whom they wait for.
		for pid := range s.children {
			s.reapOne(pid)
		}
		return
	}
	for s.reapOne(-1) {
	}
}

// reapOne waits for process pid, or any for -1, if it has ended. The caller
// holds mu.
func (s *server) reapOne(pid int) bool {
	var ws syscall.WaitStatus
	pid, err := syscall.Wait4(pid, &ws, syscall.WNOHANG, nil)
	if err == syscall.EINTR {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	// It may be a child of the program that this process was before.
	if number, ok := s.children[pid]; ok {
		delete(s.children, pid)
		s.logEnd(number, int(ws))
		s.release()
	}
	return true
}

// release counts a connection off. The caller holds mu.
func (s *server) release() {
	s.count--
	s.room.Signal()
	s.status()
}

// status logs how many connections there are. The caller holds mu.
func (s *server) status() {
	s.log("status: " + strconv.FormatUint(s.count, 10) + "/" + strconv.FormatUint(s.limit, 10))
}

func (s *server) logEnd(pid, status int) {
	s.log("end " + strconv.Itoa(pid) + " status " + strconv.Itoa(status))
}

func (s *server) log(text string) {
	if s.verbosity >= 2 {
		s.env.Say(text)
	}
}

// warnDrop says why a connection is closed.
func (s *server) warnDrop(err error) {
	s.env.Warn(errors.New("dropping connection, " + err.Error()))
}
