package tcpserver

import (
	"bufio"
	"context"
	"errors"
	"math"
	"net"
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
)

// listen is all that the server does with the rights of its caller. It returns
// the listening socket.
func listen(env *proc.Env, set *settings, resolver *dnsq.Resolver, host, service string) (int, error) {
	port, ok := lookupPort(service)
	if !ok {
		return -1, errors.New("unable to figure out port number for " + strerr.Clean(service))
	}
	ip, err := lookupHost(resolver, host)
	if err != nil {
		return -1, err
	}
	fd, local, err := bind(netip.AddrPortFrom(ip, port), set.backlog)
	if err != nil {
		return -1, err
	}
	if err := drop(set.uid, set.gid); err != nil {
		return -1, err
	}
	if set.printPort {
		env.Files[1].Write([]byte(strconv.Itoa(int(local.Port())) + "\n"))
	}
	return fd, release(env)
}

func bind(addr netip.AddrPort, backlog uint64) (fd int, local netip.AddrPort, err error) {
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	// Not through package net, which would make it a multipath TCP socket:
	// landlock's rules do not reach those.
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, local, strerr.Unable("create", "socket", err)
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if family == unix.AF_INET6 {
		// "::" is everything, IPv4 too, whatever the system's default.
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	if err = unix.Bind(fd, sockaddr(addr)); err != nil {
		return -1, local, strerr.Unable("bind", "", err)
	}
	if local, err = localAddr(fd); err != nil {
		return -1, local, strerr.Unable("get", "local address", err)
	}
	if err = unix.Listen(fd, int(min(backlog, math.MaxInt32))); err != nil {
		return -1, local, strerr.Unable("listen", "", err)
	}
	return fd, local, nil
}

// drop gives up the rights that were needed to bind, for good.
func drop(uid, gid int) error {
	if gid != 0 {
		err := syscall.Setgroups([]int{gid})
		if err == nil {
			err = syscall.Setgid(gid)
		}
		if err != nil {
			return strerr.Unable("set", "gid", err)
		}
	}
	if uid != 0 {
		if err := syscall.Setuid(uid); err != nil {
			return strerr.Unable("set", "uid", err)
		}
		if syscall.Setuid(0) == nil {
			return errors.New("unable to set uid: root came back")
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

// account returns the user id for -u: a number, or, ours, a name. Nothing at
// all is 0, "stay who you are", as in C; a name that is not known is not.
func account(arg string) (int, error) {
	if n, ok := id(arg); ok {
		return n, nil
	}
	a, err := sys.LookupAccount(arg)
	if err != nil {
		return 0, strerr.Unable("figure out", "uid of "+arg, err)
	}
	return a.UID, nil
}

// group is account for -g.
func group(arg string) (int, error) {
	if n, ok := id(arg); ok {
		return n, nil
	}
	n, err := sys.LookupGroup(arg)
	if err != nil {
		return 0, strerr.Unable("figure out", "gid of "+arg, err)
	}
	return n, nil
}

func id(arg string) (n int, ok bool) {
	if arg == "" {
		return 0, true
	}
	u, err := strconv.ParseUint(arg, 10, 32)
	return int(u), err == nil
}

// lookupPort understands a number and a name of /etc/services.
func lookupPort(service string) (port uint16, ok bool) {
	if strings.Trim(service, "0123456789") == "" {
		n := number(service)
		return uint16(n), n <= math.MaxUint16
	}
	f, err := os.Open("/etc/services")
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		text, _, _ := strings.Cut(s.Text(), "#")
		words := strings.Fields(text) // name port/protocol alias…
		if len(words) < 2 {
			continue
		}
		n, protocol, _ := strings.Cut(words[1], "/")
		words[1] = words[0]
		for _, name := range words[1:] {
			if name == service && protocol == "tcp" {
				u, err := strconv.ParseUint(n, 10, 16)
				return uint16(u), err == nil
			}
		}
	}
	return 0, false
}

// lookupHost understands an address, in brackets or not, and a name.
func lookupHost(resolver *dnsq.Resolver, host string) (netip.Addr, error) {
	none := errors.New("no IP address for " + strerr.Clean(host))
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	switch {
	case host == "", host == "0":
		return netip.IPv4Unspecified(), nil
	case host == "localhost": // RFC 6761 section 6.3: needs no DNS
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	case strings.Trim(bare, "0123456789.") == "":
		if ip, ok := parseIPv4(bare); ok {
			return ip, nil
		}
		return netip.Addr{}, none
	case strings.IndexByte(bare, ':') >= 0:
		ip, err := netip.ParseAddr(bare)
		if err != nil {
			return netip.Addr{}, none
		}
		return ip, nil
	}
	ctx := context.Background()
	ips, err := resolver.A(ctx, host)
	if errors.Is(err, dnsq.ErrNone) {
		ips, err = resolver.AAAA(ctx, host)
	}
	switch {
	case errors.Is(err, dnsq.ErrNone):
		return netip.Addr{}, none
	case err != nil:
		return netip.Addr{}, errors.New("temporarily unable to figure out IP address for " + strerr.Clean(host) + ": " + strerr.Text(err))
	case len(ips) == 0:
		return netip.Addr{}, none
	}
	return ips[0], nil
}

// parseIPv4 takes leading zeros for decimal, as djb's ip4_scan does:
// 127.000.000.001.
func parseIPv4(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	var b [4]byte
	if len(parts) != len(b) {
		return netip.Addr{}, false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 8)
		if err != nil {
			return netip.Addr{}, false
		}
		b[i] = byte(n)
	}
	return netip.AddrFrom4(b), true
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	if zone := a.Addr().Zone(); zone != "" {
		if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
			sa.ZoneId = uint32(n)
		} else if i, err := net.InterfaceByName(zone); err == nil {
			sa.ZoneId = uint32(i.Index)
		}
	}
	return sa
}

// addrPort is the inverse. The zone of a link-local address is its number.
func addrPort(sa unix.Sockaddr) (netip.AddrPort, bool) {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), true
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 {
			ip = ip.WithZone(strconv.FormatUint(uint64(sa.ZoneId), 10))
		}
		return netip.AddrPortFrom(ip, uint16(sa.Port)), true
	}
	return netip.AddrPort{}, false
}

func localAddr(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	a, ok := addrPort(sa)
	if !ok {
		return a, unix.EAFNOSUPPORT
	}
	return a, nil
}
