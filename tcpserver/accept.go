package tcpserver

import (
	"math"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/dnsq"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/tcp"
	"paperpath/tcprules"
	"paperpath/tcpserver/inside"
)

// server is a listening server.
type server struct {
	settings
	env      *proc.Env
	files    [8]proc.File // for the programs; the connection becomes 0 and 1
	clients  []int        // listening sockets
	resolver *dnsq.Resolver
	db       *tcprules.Database // if hasRules
	argv     []string           // of the program
	inside   *inside.Table      // programs to run as functions; nil: none

	accepters  int    // goroutines that accept
	relayFiles uint64 // descriptors that the programs inside take for a connection

	usage   usage   // for limits
	counted counted // for -S

	mu        sync.Mutex
	room      sync.Cond        // for another connection, or there will be none
	stopped   bool             // accept nobody any more
	told      bool             // programs were told to end
	count     uint64           // of connections, those being prepared included
	reserved  uint64           // room for those that are about to be accepted
	preparing uint64           // connections on the way to their program
	last      int              // number given to a connection without a process
	streams   map[*stream]bool // connections of programs inside
	children  map[int]*serving // by process
	strays    map[int]stray    // ended before they were in children
	spawned   uint64           // processes that were to be created so far
	starting  int              // processes that are being created
	born      sync.Cond        // somebody is in children
	complaint time.Time        // the last one about what clients wait for
	maxFiles  uint64           // descriptors for connections
	gates     []*gate
}

// newServer returns a server for the clients of l.
func newServer(set *settings, env *proc.Env, files [8]proc.File, clients []int, argv []string) *server {
	s := &server{
		settings: *set,
		env:      env,
		files:    files,
		clients:  clients,
		resolver: dnsq.New(env.Vars),
		argv:     argv,
		maxFiles: maxFiles(),
		streams:  make(map[*stream]bool),
		children: make(map[int]*serving),
		strays:   make(map[int]stray),
		counted:  counted{refused: make(map[string]uint64)},
	}
	s.room.L, s.born.L = &s.mu, &s.mu
	if s.hasRules {
		s.db = openRules(env, s.rules)
	}
	s.accepters = 1
	if s.direct() {
		// Each creates its processes itself: handing connections to other
		// goroutines costs a tenth of the throughput. Creating one keeps a
		// processor busy.
		s.accepters = min(runtime.GOMAXPROCS(0), maxAccepters, int(min(s.maxFiles/filesEach, maxAccepters)))
	}
	if s.settings.inside {
		s.relayFiles = inside.Files(argv)
		s.maxFiles = max(s.maxFiles, filesEach+s.relayFiles)
	}
	return s
}

// maxAccepters bounds the processes that are created at a time.
const maxAccepters = 16

// serve accepts connections until stop, and waits for those that are being
// served then. ready is called when it accepts.
func (s *server) serve(ready func()) error {
	touchPoller()
	s.mu.Lock()
	s.logStatus()
	s.mu.Unlock()
	if !s.settings.inside {
		go s.reap()
	}
	for range s.accepters {
		g, err := newGate(s.clients, unix.EPOLLEXCLUSIVE, s.settings.inside)
		if err != nil {
			return strerr.Unable("wait for", "connections", err)
		}
		s.mu.Lock()
		s.gates = append(s.gates, g)
		s.mu.Unlock()
	}
	failed := make(chan error, s.accepters)
	for _, g := range s.gates {
		go func() { failed <- s.accept(g) }()
	}
	ready()
	for range s.gates {
		if err := <-failed; err != nil {
			return err
		}
	}
	for _, fd := range s.clients {
		unix.Close(fd)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.count > 0 {
		s.room.Wait()
	}
	return nil
}

// stop makes serve accept nobody any more.
func (s *server) stop() {
	s.mu.Lock()
	s.stopped = true
	s.room.Broadcast()
	gates := s.gates
	s.mu.Unlock()
	for _, g := range gates {
		g.stop()
	}
}

// touchPoller makes the runtime open the descriptors it needs for timers and
// sockets. Later, with every descriptor taken by a flood of connections, that
// would end the process.
func touchPoller() { time.Sleep(time.Nanosecond) }

// filesEach is how many descriptors a connection may take before its program runs:
// its socket, one for questions, and two while the process is created.
const filesEach = 4

// maxFiles returns how many descriptors the connections may take together; the
// others wait in the backlog. (The C program forks at once and leaves all that to
// the child.) The rest is for the server's own, and for files that programs inside
// open now and then.
func maxFiles() uint64 {
	const own = 16
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return filesEach
	}
	l.Cur = min(l.Cur, math.MaxInt32)
	return max(l.Cur-min(l.Cur, own+l.Cur/8), filesEach)
}

// filesWithAnother returns how many descriptors the connections may have taken, with one
// connection more. The caller holds mu.
func (s *server) filesWithAnother() uint64 {
	n := (filesEach + s.relayFiles) * (s.preparing + s.reserved + 1)
	if s.settings.inside {
		n += (1+s.relayFiles)*uint64(len(s.streams)) + uint64(len(s.children))
	}
	return n
}

const (
	acceptPause = 250 * time.Millisecond // when connections cannot be accepted
	acceptQuiet = time.Minute            // between complaints about that
)

func (s *server) accept(g *gate) error {
	for s.reserve() {
		fd, sa, err := g.accept(s.settings.inside)
		var remote netip.AddrPort
		if err == nil {
			if remote, err = tcp.AddrPort(sa); err != nil {
				unix.Close(fd)
			}
		}
		switch err {
		case nil:
		case errStopped:
			s.unreserve()
			return nil
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			// The client waits in the backlog. C would spin here.
			s.mu.Lock()
			s.counted.acceptErrors++
			s.mu.Unlock()
			s.complain(strerr.Unable("accept", "connection", err))
			s.unreserve()
			time.Sleep(acceptPause)
			continue
		case unix.EINVAL: // the socket was shut
			s.unreserve()
			return nil
		case unix.EBADF, unix.ENOTSOCK, unix.EOPNOTSUPP, unix.EFAULT:
			return strerr.Unable("accept", "connection", err)
		default:
			s.unreserve()
			continue // ECONNABORTED, EPROTO, …: that client's trouble (accept(2))
		}
		s.mu.Lock()
		s.reserved--
		s.count++
		s.preparing++
		s.counted.accepted++
		s.logStatus()
		s.mu.Unlock()
		if s.direct() {
			s.connect(fd, remote)
		} else {
			go s.connect(fd, remote)
		}
	}
	return nil
}

// reserve waits until there is room for another connection. It returns false
// after stop.
func (s *server) reserve() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.stopped && (s.count+s.reserved >= s.limit || s.filesWithAnother() > s.maxFiles) {
		s.room.Wait()
	}
	if s.stopped {
		return false
	}
	s.reserved++
	return true
}

func (s *server) unreserve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved--
	s.roomy()
}

// roomy tells who waits for it that there is room: an accepter, and at the end
// whoever waits for the last connection. The caller holds mu.
func (s *server) roomy() {
	if s.stopped {
		s.room.Broadcast()
	} else {
		s.room.Signal()
	}
}

// complain says, now and then, why clients have to wait.
func (s *server) complain(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.complaint) > acceptQuiet {
		s.complaint = time.Now()
		s.env.Warn(err)
	}
}

// connect sees to one connection, as far as the server does.
func (s *server) connect(fd int, remote netip.AddrPort) {
	c := &connection{server: s, fd: fd}
	c.began = time.Now()
	pid := c.serve(remote)
	// The program has the connection now, or the client is to see its end. Its
	// place is free only after that.
	s.mu.Lock()
	delete(s.streams, c.stream) // or interrupt could meet somebody else's descriptor
	s.mu.Unlock()
	c.close()
	s.mu.Lock()
	if !c.ran {
		s.preparing--
	}
	s.roomy()
	if pid == 0 {
		s.release(&c.serving)
	}
	s.mu.Unlock()
	if pid > 0 && s.settings.inside {
		s.wait(pid, &c.serving)
	}
}

// release counts a connection off. The caller holds mu.
func (s *server) release(c *serving) {
	s.usage.release(c.held)
	s.count--
	s.roomy()
	s.logStatus()
}
