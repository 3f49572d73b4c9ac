package install

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"paperpath/internal/hier"
)

// Below another root directory, whose owner is at work in it, what root gives a
// setuid bit and another owner is the file that root has written.
func TestReplaceGivesAwayNothingElse(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir, theirs := t.TempDir(), filepath.Join(t.TempDir(), "theirs")
	var stop atomic.Bool
	var all sync.WaitGroup
	all.Go(func() {
		for !stop.Load() {
			names, _ := filepath.Glob(dir + "/.instpackage-*")
			for _, name := range names {
				os.WriteFile(theirs, []byte("theirs"), 0o600)
				os.Chown(theirs, 65534, 65534)
				os.Rename(theirs, name)
			}
		}
	})
	defer all.Wait()
	defer stop.Store(true)
	x := &installer{root: dir, ids: newIDs(dir)}
	it := &item{Entry: hier.Entry{Kind: 's', Mode: 0o4755, Owner: "root:root", Path: "/program"}}
	long := make([]byte, 4<<20)
	for range 150 {
		x.replace(it, dir+"/program", long) // or not: whose directory it is can prevent it
		var st unix.Stat_t
		if err := unix.Lstat(dir+"/program", &st); err == nil && st.Size < int64(len(long)) && (st.Uid == 0 || st.Mode&unix.S_ISUID != 0) {
			t.Fatalf("theirs has uid %d and mode %o", st.Uid, st.Mode)
		}
	}
}
