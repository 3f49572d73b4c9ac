package sys

import (
	"testing"

	"golang.org/x/sys/unix"

	"paperpath/test/refuse"
)

// Descriptors are marked with close_range(2); where that cannot be had by what
// /proc lists, and else one after the other. Those below the number are left alone.
func TestCloseOnExecFrom(t *testing.T) {
	for _, refused := range [][]uint32{{}, {unix.SYS_CLOSE_RANGE}, {unix.SYS_CLOSE_RANGE, unix.SYS_OPENAT}} {
		below, above := inherited(t), inherited(t)
		err := refuse.In(refused, func() {
			if len(refused) > 0 && unix.CloseRange(1<<20, 1<<20, 0) != unix.EPERM {
				t.Error("close_range is not refused")
			}
			CloseOnExecFrom(uint(above))
		})
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
