package swap

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"paperpath/test/nameserver"
)

// zone is the world's. 127.0.0.2 is the other host (remote.sh), nobody listens
// on 127.0.0.3, and 127.0.0.4 takes no connection any more.
const zone = `
localhost. 60 IN A 127.0.0.1
1.0.0.127.in-addr.arpa. 60 IN PTR localhost.
swap.test. 60 IN A 127.0.0.1
remote.test. 60 IN MX 10 mx.remote.test.
remote.test. 60 IN MX 20 dead.test.
mx.remote.test. 60 IN A 127.0.0.2
2.0.0.127.in-addr.arpa. 60 IN PTR mx.remote.test.
alias.remote.test. 60 IN CNAME mx.remote.test.
cname.remote.test. 60 IN CNAME remote.test.
dead.test. 60 IN A 127.0.0.3
deaf.test. 60 IN A 127.0.0.4
5.0.0.127.rbl.test. 60 IN TXT "listed, see http://rbl.test/"
5.0.0.127.rbl.test. 60 IN A 127.0.0.2
`

// A world is what lies outside the scenario's processes.
type world struct {
	dns    *nameserver.Server
	syslog net.PacketConn
	deaf   []int // descriptors
}

func serve() (*world, error) {
	w := &world{}
	var err error
	if w.dns, err = nameserver.Start("127.0.0.1:53", zone, io.Discard); err != nil {
		return nil, err
	}
	if w.syslog, err = net.ListenPacket("unixgram", "/dev/log"); err != nil {
		return nil, err
	}
	if err := os.Chmod("/dev/log", 0o666); err != nil {
		return nil, err
	}
	file, err := os.Create(place + "/log/syslog")
	if err != nil {
		return nil, err
	}
	go func() {
		line := make([]byte, 4096)
		for {
			n, _, err := w.syslog.ReadFrom(line)
			if err != nil {
				return
			}
			file.Write(append(line[:n:n], '\n'))
		}
	}()
	return w, w.beDeaf([4]byte{127, 0, 0, 4}, 25)
}

// beDeaf makes a port whose connections time out: its queue is full.
func (w *world) beDeaf(ip [4]byte, port int) error {
	address := &unix.SockaddrInet4{Port: port, Addr: ip}
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	w.deaf = append(w.deaf, l)
	if err := errors.Join(unix.Bind(l, address), unix.Listen(l, 0)); err != nil {
		return err
	}
	for range 4 {
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		w.deaf = append(w.deaf, c)
		if err := unix.Connect(c, address); err != nil && err != unix.EINPROGRESS {
			return err
		}
	}
	return nil
}

func (w *world) close() {
	w.dns.Close()
	w.syslog.Close()
	for _, fd := range w.deaf {
		syscall.Close(fd)
	}
}

// loopback brings the only interface up.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}
