package sys

import (
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refuse makes the kernel refuse a system call to the calling thread, as the
// seccomp profile of a container does. The thread must end with the goroutine.
func refuse(call uint32) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: call},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
}

// Descriptors are marked with close_range(2); where that cannot be had by what
// /proc lists, and else one after the other. Those below the number are left alone.
func TestCloseOnExecFrom(t *testing.T) {
	for _, refused := range [][]uint32{{}, {unix.SYS_CLOSE_RANGE}, {unix.SYS_CLOSE_RANGE, unix.SYS_OPENAT}} {
		below, above := inherited(t), inherited(t)
		var err error
		done := make(chan bool)
		go func() {
			defer close(done)
			runtime.LockOSThread() // and never unlocked: the thread ends
			for _, call := range refused {
				if err = refuse(call); err != nil {
					return
				}
			}
			if len(refused) > 0 && unix.CloseRange(1<<20, 1<<20, 0) != unix.EPERM {
				t.Error("close_range is not refused")
			}
			CloseOnExecFrom(uint(above))
		}()
		<-done
		if err != nil {
			t.Skipf("no seccomp filter to be had: %v", err)
		}
		if !Inherits(below) || Inherits(above) {
			t.Errorf("%d calls refused: children inherit %d: %v; %d: %v, which they are not to",
				len(refused), below, Inherits(below), above, Inherits(above))
		}
	}
}

// inherited returns a descriptor that children inherit.
func inherited(t *testing.T) int {
	t.Helper()
	fd, err := unix.Open("/", unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}
