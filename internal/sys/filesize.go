package sys

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// CatchSIGXFSZ makes a write beyond RLIMIT_FSIZE an error, EFBIG, where the Go
// runtime would end the process with a trace. Programs that this one executes
// get the default back. Without a limit there is nothing to catch.
func CatchSIGXFSZ() {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_FSIZE, &limit) == nil && limit.Cur == unix.RLIM_INFINITY {
		return
	}
	signal.Notify(make(chan os.Signal, 1), unix.SIGXFSZ)
}
