package tcpserver

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// counted is what a server has counted since it started. s.mu protects it.
type counted struct {
	accepted     uint64
	served       uint64 // came to their program
	denied       uint64
	refused      map[string]uint64 // by the limit's variable
	dropped      uint64
	acceptErrors uint64
}

// serveStatus tells whoever connects to the socket of -S the counters, in the text
// format that Prometheus and its relatives read, behind a line for people:
//
//	# tcpserver: status: 3/40
//	# HELP tcpserver_connections Connections being served.
//	# TYPE tcpserver_connections gauge
//	tcpserver_connections 3
func (s *server) serveStatus(socket int) {
	for {
		fd, _, err := unix.Accept4(socket, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		switch err {
		case nil:
		case unix.EBADF, unix.ENOTSOCK, unix.EINVAL, unix.EOPNOTSUPP:
			return
		case unix.EAGAIN: // somebody else's socket, who had it not blocking
			unix.SetNonblock(socket, false)
			continue
		default:
			time.Sleep(acceptPause)
			continue
		}
		// A new connection has room for all of it.
		unix.Write(fd, []byte(s.metrics()))
		unix.Close(fd)
	}
}

func (s *server) metrics() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &s.counted
	var b strings.Builder
	head := func(name, kind, help string) {
		b.WriteString("# HELP tcpserver_" + name + " " + help + "\n# TYPE tcpserver_" + name + " " + kind + "\n")
	}
	value := func(name string, v uint64) {
		b.WriteString("tcpserver_" + name + " " + strconv.FormatUint(v, 10) + "\n")
	}
	one := func(name, kind, help string, v uint64) {
		head(name, kind, help)
		value(name, v)
	}
	b.WriteString("# tcpserver: status: " + s.statusLine() + "\n")
	one("connections", "gauge", "Connections being served.", s.count)
	one("connections_limit", "gauge", "The most that are served at a time (-c).", s.limit)
	one("accepted_total", "counter", "Connections accepted.", n.accepted)
	one("served_total", "counter", "Connections that came to their program.", n.served)
	one("denied_total", "counter", "Connections that a rule denied.", n.denied)
	head("refused_total", "counter", "Connections that exceeded a limit.")
	for _, l := range limits {
		value(`refused_total{limit="`+l.variable+`"}`, n.refused[l.variable])
	}
	one("dropped_total", "counter", "Connections given up for a failure.", n.dropped)
	one("accept_errors_total", "counter", "Times that no connection could be accepted.", n.acceptErrors)
	return b.String()
}
