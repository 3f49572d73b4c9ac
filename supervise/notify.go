package supervise

import (
	"bytes"
	"encoding/hex"
	"strings"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/procfs"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// A service announces that it is ready in one of two ways: by a newline on the
// descriptor that notification-fd names, as with s6, or by READY=1 in a datagram
// to NOTIFY_SOCKET, as sd_notify(3) does.

// newline reads the pipe of notification-fd. Anything but a newline is ignored.
func (k *Keeper) newline() {
	var b [512]byte
	n, err := k.ready.TryRead(b[:])
	if err == unix.EAGAIN {
		return
	}
	ready := bytes.IndexByte(b[:n], '\n') >= 0
	if ready || err != nil {
		k.closeReady()
	}
	if ready {
		k.service.Ready()
		k.settle()
	}
}

func (k *Keeper) closeReady() {
	if k.ready != nil {
		k.host.loop.Remove(k.ready)
		k.ready.Close()
		k.ready = nil
	}
}

// notifySocket is a service's NOTIFY_SOCKET. It must be reachable for a service that
// has dropped its privileges and may not enter supervise/. So the address is an
// abstract one, which nobody can guess before it exists, and the kernel reports who
// sends.
type notifySocket struct {
	fd   *sys.FD
	name string // "@…"
}

func (s *notifySocket) close(h *Host) {
	if s != nil {
		h.loop.Remove(s.fd)
		s.fd.Close()
	}
}

// listen returns vars with NOTIFY_SOCKET. The first call makes the socket.
func (k *Keeper) listen(vars proc.Vars) (proc.Vars, error) {
	if k.socket == nil {
		var b [16]byte
		if _, err := unix.Getrandom(b[:], 0); err != nil {
			return nil, err
		}
		if err := k.bind("@paperpath/" + hex.EncodeToString(b[:])); err != nil {
			return nil, err
		}
	}
	vars = vars.Clone()
	vars.Set("NOTIFY_SOCKET", k.socket.name)
	return vars, nil
}

func (k *Keeper) bind(name string) error {
	n, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	s := &notifySocket{sys.NewFD(n), name}
	if err = unix.SetsockoptInt(n, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err == nil {
		if err = unix.Bind(n, &unix.SockaddrUnix{Name: name}); err == nil {
			err = k.host.loop.Add(s.fd, k.datagram)
		}
	}
	if err != nil {
		s.fd.Close()
		return err
	}
	k.socket = s
	return nil
}

// rebind makes the socket again that an adopted service has in its environment.
func (k *Keeper) rebind(pid int) {
	environ, err := procfs.Environ(pid, 1<<20)
	if err != nil {
		return
	}
	for v := range strings.SplitSeq(string(environ), "\x00") {
		if name, ok := strings.CutPrefix(v, "NOTIFY_SOCKET="); ok && strings.HasPrefix(name, "@paperpath/") {
			if err := k.bind(name); err != nil {
				k.host.warn(strerr.Unable("bind the notification socket of", k.Name, err))
			}
		}
	}
}

// datagram reads one message. It leaves room only for the sender's credentials: the
// kernel closes descriptors that come along.
func (k *Keeper) datagram() {
	var b [4096]byte
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	n, oobn, _, _, err := unix.Recvmsg(int(k.socket.fd.Fd()), b[:], oob, 0)
	if err != nil || k.run.pid == 0 || !k.sentByService(oob[:oobn]) {
		return
	}
	for line := range strings.Lines(string(b[:n])) {
		switch strings.TrimSuffix(line, "\n") {
		case "READY=1":
			k.service.Ready()
		case "STOPPING=1":
			k.service.Stopping()
		}
	}
	k.settle()
}

// sentByService reports whether the sender is, or was, the service's process or
// one below it: systemd-notify(1) is a child of the script that runs it.
func (k *Keeper) sentByService(oob []byte) bool {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) != 1 {
		return false
	}
	sender, err := unix.ParseUnixCredentials(&messages[0])
	if err != nil {
		return false
	}
	if descends(int(sender.Pid), k.run.pid) {
		return true
	}
	// systemd-notify may have ended before its message is read, and it is not known
	// any more whose child it was. It is enough that it had the service's user, who
	// could make the service itself send the message.
	return unix.Kill(int(sender.Pid), 0) == unix.ESRCH && sameUser(sender.Uid, k.run.pid)
}

// sameUser reports whether the process pid runs with the rights of uid.
func sameUser(uid uint32, pid int) bool {
	u, err := procfs.ReadUIDs(pid)
	return err == nil && u.Effective == int(uid)
}
