// Package refuse makes the kernel refuse system calls to a test, as it does when
// it is older than they are, or as the seccomp profile of a container does.
package refuse

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// In calls f in a thread of its own, for which each of the system calls with these
// numbers fails with EPERM. An error means that this cannot be done here.
func In(calls []uint32, f func()) error {
	ended := make(chan error, 1)
	go func() {
		// Never unlocked: the thread, with its filters, ends with the goroutine.
		runtime.LockOSThread()
		for _, call := range calls {
			if err := filter(call); err != nil {
				ended <- err
				return
			}
		}
		f()
		ended <- nil
	}()
	return <-ended
}

func filter(call uint32) error {
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
