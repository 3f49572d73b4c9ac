package tcpserver

import (
	"errors"
	"math"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"paperpath/internal/dnsq"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/internal/tcp"
)

// sockets are what a server listens on.
type sockets struct {
	clients     []int // where the clients come; not blocking
	status      int   // -S; -1: none
	replacement int   // -K, not blocking; -1: none
	next        *gate // where handOver waits for the next server

	// shared: others have the clients' sockets too, and must not find them
	// shut.
	shared bool
	taken  *taken // from the server before, which waits to be told; nil: not
}

// listen is all that the server does with the rights of its caller.
func listen(env *proc.Env, set *settings, resolver *dnsq.Resolver, host, service string) (*sockets, error) {
	l := &sockets{status: -1, replacement: -1}
	if err := l.open(env, set, resolver, host, service); err != nil {
		return nil, err
	}
	for _, fd := range l.clients {
		// The descriptor may be shared with a server that is ending; whoever
		// is there first gets the client, and the other one must not wait.
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, strerr.Unable("listen", "", err)
		}
	}
	if l.replacement >= 0 {
		if err := unix.SetNonblock(l.replacement, true); err != nil {
			return nil, strerr.Unable("listen on", set.replacement, err)
		}
	}
	if err := drop(set.uid, set.gid); err != nil {
		return nil, err
	}
	if set.printPort {
		local, err := tcp.Local(l.clients[0])
		if err != nil {
			return nil, strerr.Unable("get", "local address", err)
		}
		env.Files[1].Write([]byte(strconv.Itoa(int(local.Port())) + "\n"))
	}
	return l, release(env)
}

// open gets the sockets: from the caller, from the server before, or new ones.
func (l *sockets) open(env *proc.Env, set *settings, resolver *dnsq.Resolver, host, service string) error {
	port, ok := tcp.Port(service)
	if !ok {
		return errors.New("unable to figure out port number for " + strerr.Clean(service))
	}
	if err := l.activated(env); err != nil {
		return err
	}
	var addresses []netip.AddrPort
	if len(l.clients) == 0 {
		for one := range strings.SplitSeq(host, ",") {
			ip, err := lookupHost(env.Vars, resolver, one)
			if err != nil {
				return err
			}
			addresses = append(addresses, netip.AddrPortFrom(ip, port))
		}
	}
	if set.replacement != "" && len(addresses) > 0 {
		err := l.takeOver(set.replacement, addresses)
		if err != nil {
			err = strerr.Unable("take over from", set.replacement, err)
		}
		switch {
		case errors.Is(err, errRefused), errors.Is(err, errTruncated):
			env.Warn(err)
		case err != nil:
			return err
		}
	}
	if len(l.clients) == 0 {
		for _, a := range addresses {
			fd, err := bind(a, set.backlog)
			if err != nil {
				return err
			}
			l.clients = append(l.clients, fd)
		}
	}
	var err error
	if set.status != "" && l.status < 0 {
		// Anybody may know how busy the server is; who shall not, is kept
		// out by the directory.
		if l.status, err = listenUnix(set.status, 0o666); err != nil {
			return strerr.Unable("listen on", set.status, err)
		}
	}
	if set.replacement != "" && l.replacement < 0 {
		if l.replacement, err = listenUnix(set.replacement, 0o600); err != nil {
			return strerr.Unable("listen on", set.replacement, err)
		}
	}
	return nil
}

func bind(addr netip.AddrPort, backlog uint64) (fd int, err error) {
	fd, err = tcp.Socket(addr.Addr())
	if err != nil {
		return -1, strerr.Unable("create", "socket", err)
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if addr.Addr().Is6() {
		// "::" is everything, IPv4 too, whatever the system's default.
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	if err = tcp.Bind(fd, addr); err != nil {
		err = strerr.Unable("bind", "", err)
	} else if err = unix.Listen(fd, int(min(backlog, math.MaxInt32))); err != nil {
		err = strerr.Unable("listen", "", err)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// listenUnix makes a socket under a name in the file system, in place of one
// that an earlier server left there.
func listenUnix(name string, mode uint32) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	// Made aside and renamed: there is no moment without, and none with the
	// wrong mode.
	aside := name + "." + strconv.Itoa(os.Getpid())
	unix.Unlink(aside) // of a process with the same number that was killed here
	if err = bindUnix(fd, aside, mode); err == nil {
		if err = unix.Listen(fd, unixBacklog); err == nil {
			err = unix.Rename(aside, name)
		}
		if err != nil {
			unix.Unlink(aside)
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

const unixBacklog = 16

// bindUnix names a socket. bind(2) gives the file the socket's own mode, less the
// umask: a chmod by name could, done by root in somebody's directory, meet another
// file. Nothing else of this process makes files meanwhile.
func bindUnix(fd int, name string, mode uint32) error {
	if err := unix.Fchmod(fd, mode); err != nil {
		return err
	}
	defer syscall.Umask(syscall.Umask(0))
	return unix.Bind(fd, &unix.SockaddrUnix{Name: name})
}

// drop gives up the rights that were needed to bind, for good.
func drop(uid, gid int) error {
	if gid != 0 {
		if err := sys.BecomeGroup(gid); err != nil {
			return strerr.Unable("set", "gid", err)
		}
	}
	if uid != 0 {
		if err := sys.BecomeUser(uid); err != nil {
			return strerr.Unable("set", "uid", err)
		}
	}
	return nil
}

// release lets go of the descriptors 0 and 1: somebody may wait for their
// end. They stay taken, by /dev/null, so that nothing else gets these numbers.
func release(env *proc.Env) error {
	null, err := sys.Open("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return strerr.Unable("open", "/dev/null", err)
	}
	defer null.Close()
	for _, f := range env.Files[:2] {
		if fd, ok := proc.Descriptor(f); ok {
			if err := unix.Dup3(int(null.Fd()), fd, unix.O_CLOEXEC); err != nil {
				return strerr.Unable("release", "descriptor "+strconv.Itoa(fd), err)
			}
		}
	}
	return nil
}
