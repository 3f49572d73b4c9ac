package tcpserver

import (
	"syscall"
	"time"
)

// lastPatience is for programs that were told to end.
const lastPatience = 3 * time.Second

// How long a server that ends waits for connections that have not come to their
// program: a supervisor that sent TERM waits for it, and one that was replaced
// keeps nobody waiting.
const (
	settleTime         = 5 * time.Second
	settleTimeReplaced = time.Minute
)

// settle accepts nobody any more and returns when every connection has come to
// its program, or the time is over. (The C program has created a process for
// each by then.)
func (s *server) settle(most time.Duration) {
	s.stop()
	late := false
	timer := time.AfterFunc(most, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.room.Broadcast()
	})
	defer timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.preparing+s.reserved > 0 && !late {
		s.room.Wait()
	}
}

// finish lets the connections that are being served end, for as long as -T says,
// ends the others, and returns when the server may. done says that serve has
// returned.
func (s *server) finish(done <-chan error) {
	s.stop()
	deadline := time.NewTimer(s.patience)
	defer deadline.Stop()
	select {
	case <-done:
		return
	case <-deadline.C:
	}
	s.interrupt()
	select {
	case <-done:
	case <-time.After(lastPatience):
	}
}

// interrupt tells every program to end, those included that are being started:
// one may serve its client before register knows of it.
func (s *server) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = true
	for pid := range s.children {
		endProcess(pid)
	}
	for stream := range s.streams {
		stream.end()
	}
}

func endProcess(pid int) { syscall.Kill(pid, syscall.SIGTERM) }

// end tells a function to end, by the end of its connection.
func (s *stream) end() { syscall.Shutdown(s.fd, syscall.SHUT_RDWR) }
