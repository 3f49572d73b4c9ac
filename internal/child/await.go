package child

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Await is Wait for a process that has many children at a time. The runtime's
// poller does the waiting, through a pidfd, so that it takes no thread.
func (p *Process) Await() (Status, error) {
	if status, ok := p.poll(); ok {
		return status, nil
	}
	for {
		status, ended, err := p.Ended()
		if ended || err != nil {
			return status, err
		}
		time.Sleep(awaitPause)
	}
}

// awaitPause is between two looks at a process that the poller cannot wait for.
const awaitPause = 50 * time.Millisecond

func (p *Process) poll() (status Status, ended bool) {
	fd, err := unix.PidfdOpen(p.PID, unix.PIDFD_NONBLOCK)
	if err != nil {
		return 0, false // a kernel older than 5.10, or no descriptor to be had
	}
	f := os.NewFile(uintptr(fd), "process")
	defer f.Close()
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, false
	}
	var ws syscall.WaitStatus
	err = conn.Read(func(uintptr) (done bool) {
		got, err := syscall.Wait4(p.PID, &ws, syscall.WNOHANG, nil)
		ended = got == p.PID
		return ended || err != nil && err != syscall.EINTR
	})
	return Status(ws), ended && err == nil
}
