package procfs

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
)

// Boot identifies one run of the system. The zero Boot means that it is not known.
type Boot struct {
	// ID is the beginning of the kernel's boot_id. Process numbers, inodes of pipes
	// and times since the boot are comparable only if it is the same.
	ID uint64

	// Init is when process 1 began, since the system booted. A container has a
	// process 1 of its own, and a new one each time it is started.
	Init time.Duration
}

// ThisBoot returns the Boot of the running system.
var ThisBoot = sync.OnceValue(func() (b Boot) {
	text, err := fsys.ReadFile(fsys.OS{}, "/proc/sys/kernel/random/boot_id", 64)
	if err == nil {
		b.ID = parseBootID(string(text))
	}
	if init, err := Read(1); err == nil {
		b.Init = init.Began
	}
	return b
})

// parseBootID reads the first 8 bytes of a UUID; 0 if it is not valid.
func parseBootID(text string) uint64 {
	id, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(text), "-", ""))
	if err != nil || len(id) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(id)
}

// SinceBoot returns the time since the system booted, including the time that it was
// suspended: the clock of Stat.Began.
func SinceBoot() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
