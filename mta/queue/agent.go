package queue

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/mta/queue/answer"
	"paperpath/mta/queue/resident"
)

// errForeign means that bin/qmail-queue is not ours.
var errForeign = errors.New("not a resident qmail-queue")

// agent is a qmail-queue that stays. One message at a time has it.
type agent struct {
	pool  *Pool
	file  file // what it was started from
	child *child.Process
	conn  *os.File
	w     *resident.Writer
	since time.Time // when it became idle
}

// greets reports whether a new process says what it should.
func (a *agent) greets() bool {
	a.conn.SetReadDeadline(time.Now().Add(greetingTime))
	b := make([]byte, len(resident.Greeting))
	_, err := io.ReadFull(a.conn, b)
	a.conn.SetReadDeadline(time.Time{})
	return err == nil && string(b) == resident.Greeting
}

// waits reports whether the process is still there and silent, as it should be.
func (a *agent) waits() bool {
	var err error
	a.control(func(fd int) {
		_, _, err = unix.Recvfrom(fd, make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	return err == unix.EAGAIN
}

func (a *agent) control(f func(fd int)) {
	if raw, err := a.conn.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { f(int(fd)) })
	}
}

// close lets the process end.
func (a *agent) close() {
	a.conn.Close()
	go a.child.Await()
}

func (a *agent) PID() int { return a.child.PID }

func (a *agent) Write(b []byte) (int, error) { return a.w.Write(b) }

func (a *agent) EndMessage() error { return a.w.End() }

// Close gets the answer. A message whose agent dies is not given to another:
// it may be queued already, and the client's client is to decide.
func (a *agent) Close(failed bool) string {
	if !failed {
		failed = a.w.End() != nil || a.w.Flush() != nil
	}
	if failed && !a.w.Sent() {
		a.pool.put(a) // it knows nothing of this message
		return answer.Text(answer.Read)
	}
	if failed {
		a.control(func(fd int) { unix.Shutdown(fd, unix.SHUT_WR) })
	}
	status := make([]byte, 1)
	if _, err := io.ReadFull(a.conn, status); err != nil {
		a.close()
		return crashed
	}
	if status[0] == answer.Queued && !failed {
		a.pool.put(a)
	} else {
		a.close()
	}
	return verdict(int(status[0]), "", failed)
}
