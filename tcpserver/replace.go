package tcpserver

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/internal/tcp"
)

// With -K a server is replaced without a client noticing: the next one gets the
// listening sockets themselves, with whoever is waiting in their backlogs. The
// two meet at a socket in the file system:
//
//	next server                     running server, or keeper
//	connects                        who is it? root or the server's own user
//	                       ◀─────   a byte; descriptors: this very socket, the
//	                                clients' sockets
//	accepts clients, says  ─────▶   a byte
//	                                ends as after TERM
//
// A server that gets TERM before there is a next one (a supervisor stops the old
// one first) leaves a keeper behind, a process that does nothing but that for a
// while.
const (
	keeperName        = "tcpserver-keeper" // argv[0]
	keeperReplacement = 8                  // descriptor of the socket
	keeperClients     = 9                  // and of the first of the others
	keeperPatience    = time.Minute

	maxSockets     = 64
	replaceTimeout = 30 * time.Second // for the other side to do its part
)

// taken is the server before, which has handed its sockets over.
type taken struct{ fd int }

// confirm tells it that its clients are served.
func (t *taken) confirm() {
	if t != nil {
		unix.Write(t.fd, []byte{0})
		unix.Close(t.fd)
	}
}

// takeOver asks the server at the socket name for its sockets, if there is one
// and they are for these addresses.
func (l *sockets) takeOver(name string, addresses []netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	fds, err := ask(fd, name)
	if err == nil && len(fds) > 1 && wanted(fds[1:], addresses) {
		l.replacement, l.clients = fds[0], fds[1:]
		l.shared = true
		l.taken = &taken{fd}
		return nil
	}
	for _, f := range fds {
		unix.Close(f)
	}
	unix.Close(fd)
	if err == unix.ENOENT || err == unix.ECONNREFUSED {
		return nil // nobody is there, or not any more
	}
	return err
}

func ask(fd int, name string) (fds []int, err error) {
	err = uninterrupted(func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: name}) })
	if err != nil {
		return nil, err
	}
	timeout := unix.NsecToTimeval(replaceTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return nil, err
	}
	rights := make([]byte, unix.CmsgSpace(4*maxSockets))
	var n, flags int
	err = uninterrupted(func() error {
		_, n, flags, _, err = unix.Recvmsg(fd, make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case n == 0:
		return nil, errRefused
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil {
		return nil, err
	}
	for i := range messages {
		some, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return fds, err
		}
		fds = append(fds, some...)
	}
	if flags&unix.MSG_CTRUNC != 0 {
		return fds, errTruncated
	}
	return fds, nil
}

// Why the server before does not help, although it is there. The next one goes on
// without, and will tell that the address is in use, if it is.
var (
	errRefused   = errors.New("it does not hand its sockets over: it is ending, or another user's")
	errTruncated = errors.New("not all of its sockets came")
)

// wanted reports whether fds listen on the addresses, port 0 being any.
func wanted(fds []int, addresses []netip.AddrPort) bool {
	if len(fds) != len(addresses) {
		return false
	}
	for i, fd := range fds {
		local, err := tcp.Local(fd)
		if err != nil || listening(fd) != nil {
			return false
		}
		want := addresses[i]
		if want.Port() == 0 {
			local = netip.AddrPortFrom(local.Addr(), 0)
		}
		if local != netip.AddrPortFrom(want.Addr().Unmap(), want.Port()) {
			return false
		}
	}
	return true
}

// handOver returns a channel that is closed when a next server has taken the
// sockets over.
func (l *sockets) handOver() (done <-chan struct{}, err error) {
	if l.next, err = newGate([]int{l.replacement}, 0, false); err != nil {
		return nil, strerr.Unable("wait for", "the next server", err)
	}
	handed := make(chan struct{})
	go func() {
		for {
			fd, _, err := l.next.accept(false)
			switch err {
			case nil:
			case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
				time.Sleep(acceptPause)
				continue
			case errStopped, unix.EBADF, unix.EINVAL, unix.ENOTSOCK:
				return // there will be none
			default:
				continue
			}
			ok := l.handTo(fd)
			unix.Close(fd)
			if ok {
				close(handed)
				return
			}
		}
	}()
	return handed, nil
}

func (l *sockets) handTo(fd int) bool {
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || peer.Uid != 0 && int(peer.Uid) != unix.Geteuid() {
		return false
	}
	timeout := unix.NsecToTimeval(replaceTimeout.Nanoseconds())
	if unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout) != nil {
		return false
	}
	rights := unix.UnixRights(slices.Concat([]int{l.replacement}, l.clients)...)
	err = uninterrupted(func() error { return unix.Sendmsg(fd, []byte{0}, rights, nil, unix.MSG_NOSIGNAL) })
	if err != nil {
		return false
	}
	// Without an answer the next server has failed, and this one goes on.
	var n int
	err = uninterrupted(func() error {
		n, err = unix.Read(fd, make([]byte, 1))
		return err
	})
	return n == 1 && err == nil
}

// uninterrupted repeats a call that a signal interrupted: on a socket with a
// timeout the kernel does not, and the Go runtime sends itself signals.
func uninterrupted(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// leaveKeeper starts the keeper.
func (l *sockets) leaveKeeper(env *proc.Env) error {
	// From now on the next server is the keeper's: this one may live for long,
	// with -T, and has no clients' sockets soon.
	l.next.stop()
	self, err := child.Self()
	if err != nil {
		return strerr.Unable("find", "own program", err)
	}
	// Nothing else: whoever waits for the end of our output is not to wait for
	// the keeper.
	fds := slices.Repeat([]int{-1}, keeperReplacement)
	_, err = child.Start(&child.Command{
		Argv:  append([]string{keeperName}, env.Args[1:]...),
		Path:  self,
		Vars:  env.Vars,
		Dir:   env.Dir,
		Files: slices.Concat(fds, []int{l.replacement}, l.clients),
	})
	if err != nil {
		return strerr.Unable("fork", "", err)
	}
	return nil
}

// keep is what a keeper does.
func keep() error {
	l := &sockets{replacement: keeperReplacement, clients: inherited(keeperClients)}
	sys.CloseOnExecFrom(3)
	handed, err := l.handOver()
	if err != nil {
		return err
	}
	select {
	case <-handed:
	case <-time.After(keeperPatience):
	}
	return nil
}

// inherited returns the descriptors from first on that this process was given.
func inherited(first int) (fds []int) {
	for fd := first; sys.Inherits(fd); fd++ {
		fds = append(fds, fd)
	}
	return fds
}
