package tcpserver

import (
	"syscall"

	"paperpath/internal/child"
)

// Without -i one thread waits for all processes: that is quicker than a signal
// and its handler. It may see one end before the goroutine that created it knows
// its number:
//
//	spawning    from here on that may be
//	            (the process is created, may end, may be waited for: a stray)
//	register    it is in children; if it is a stray, it has ended
//
// A stray from before spawning is somebody else's, with the same number: a child
// of the program that this process was before, or one that could not execute
// its program and that child.Start reports.
type stray struct {
	status  syscall.WaitStatus
	spawned uint64 // s.spawned when it was found
}

func (s *server) spawning() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spawned++
	s.starting++
	return s.spawned
}

func (s *server) notSpawned() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.created()
}

// created notes that a process is no longer being created. The caller holds mu.
func (s *server) created() {
	if s.starting--; s.starting == 0 {
		clear(s.strays)
	}
}

// register notes that process pid, the one that spawning gave this number, has
// the connection.
func (s *server) register(pid int, number uint64, c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.pid = pid
	c.announce(pid)
	if !s.settings.inside {
		if stray, ok := s.strays[pid]; ok && stray.spawned >= number {
			delete(s.strays, pid)
			s.ended(&c.serving, stray.status)
		} else {
			own := c.serving
			s.children[pid] = &own
			s.born.Signal()
		}
	} else {
		s.children[pid] = &c.serving
	}
	if s.told && s.children[pid] != nil {
		endProcess(pid)
	}
	s.created()
}

// reap waits for the programs.
func (s *server) reap() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.children) == 0 {
			s.born.Wait()
		}
		s.mu.Unlock()
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		s.mu.Lock()
		if err != nil {
			continue // EINTR
		}
		if c, ok := s.children[pid]; ok {
			delete(s.children, pid)
			s.ended(c, ws)
		} else if s.starting > 0 {
			s.strays[pid] = stray{ws, s.spawned}
		}
	}
}

// wait waits for one process: programs inside have children too, whom they wait
// for.
func (s *server) wait(pid int, c *serving) {
	status, _ := (&child.Process{PID: pid}).Await()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.children[pid] == c { // or the number is another's already
		delete(s.children, pid)
	}
	s.ended(c, syscall.WaitStatus(status))
}

// ended counts off the connection of a process. The caller holds mu.
func (s *server) ended(c *serving, ws syscall.WaitStatus) {
	s.logEnd(c, int(ws))
	s.release(c)
}
