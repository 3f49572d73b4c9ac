package limit

import (
	"runtime"
	"runtime/debug"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// become sets soft limits, never above the hard ones, and executes a file. Under
// some of them this program itself cannot live: from the first limit on there is
// no more memory to be had, not a stack that grows nor the little that
// syscall.Exec allocates. So everything is made ready before, and what follows
// are system calls alone. If the file cannot be executed, the limits are taken
// back, so that this can be told.
func become(file string, argv, vars []string, l Limits) error {
	if len(l) == 0 {
		return syscall.Exec(file, argv, vars)
	}
	path, err := syscall.BytePtrFromString(file)
	if err != nil {
		return err
	}
	args, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return err
	}
	env, err := syscall.SlicePtrFromStrings(vars)
	if err != nil {
		return err
	}
	// The Go runtime has raised the limit of descriptors for itself. Only
	// syscall.Exec knows what it was; it sets that first and fails then.
	syscall.Exec("", nil, nil)

	before := make([]unix.Rlimit, len(l))
	after := make([]unix.Rlimit, len(l))
	for i := range l {
		if err := unix.Getrlimit(l[i].Resource, &before[i]); err != nil {
			return err
		}
		after[i] = unix.Rlimit{Cur: min(l[i].Value, before[i].Max), Max: before[i].Max}
	}
	// Nor may anything else in this process want memory: no collection, and no
	// other thread that runs Go code. (At the start of a program the runtime is
	// still busy with such.)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for i := range l {
		// A soft limit below the hard one is never refused.
		syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, uintptr(l[i].Resource), uintptr(unsafe.Pointer(&after[i])), 0, 0, 0)
	}
	_, _, errno := syscall.RawSyscall(unix.SYS_EXECVE,
		uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(&args[0])), uintptr(unsafe.Pointer(&env[0])))
	for i := range l {
		syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, uintptr(l[i].Resource), uintptr(unsafe.Pointer(&before[i])), 0, 0, 0)
	}
	return errno
}
