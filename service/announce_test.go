package service

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/test/refuse"
)

// The status is replaced, the first time and later, even where two files cannot
// exchange their names.
func TestAnnounce(t *testing.T) {
	for _, refused := range [][]uint32{{}, {unix.SYS_RENAMEAT2}} {
		base, owner := supervised(t)
		dir, err := Open(&proc.Env{Dir: base}, "s")
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		err = refuse.In(refused, func() {
			for n := range int64(4) {
				want := Status{Stamp: at(n), PID: int(n), Want: Up, Phase: PhaseUp}
				if err := owner.Announce(want); err != nil {
					t.Error(err)
				}
				if got, err := dir.Status(); err != nil || got.PID != want.PID || !got.Stamp.Equal(want.Stamp) {
					t.Errorf("number %d: %+v, %v", n, got, err)
				}
			}
		})
		if err != nil {
			t.Skipf("no seccomp filter to be had: %v", err)
		}
		// Which of the two ways it was.
		_, err = os.Stat(filepath.Join(base, "s/supervise/status.new"))
		if exchanged := err == nil; exchanged != (len(refused) == 0) {
			t.Errorf("refused %v: exchanged %v", refused, exchanged)
		}
	}
}
