package sys

import (
	"os"
	"testing"
)

func TestCreateThreads(t *testing.T) {
	count := func() int {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Skip(err)
		}
		return len(tasks)
	}
	n := count() + 3
	CreateThreads(n)
	if got := count(); got < n {
		t.Errorf("%d threads, not %d", got, n)
	}
}
