package maildir

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/fsys/crashfs"
)

// slowSync is a tree whose syncs of directories take some time after they have
// looked: who puts something in there meanwhile must not rely on them.
type slowSync struct{ *crashfs.FS }

func (fs slowSync) SyncDir(name string) error {
	err := fs.FS.SyncDir(name)
	time.Sleep(5 * time.Millisecond)
	return err
}

// Deliveries that share syncs: whichever cut comes, what was reported before it
// is in new/, and nothing else but whole messages.
func TestCutsTogether(t *testing.T) {
	const deliveries = 6
	tree := ground()
	var together fsys.Together
	type delivered struct {
		at   int // calls made when it was reported
		text string
	}
	results := make(chan delivered, deliveries)
	var all sync.WaitGroup
	for i := range deliveries {
		all.Go(func() {
			time.Sleep(time.Duration(i) * time.Millisecond)
			text := strconv.Itoa(i) + " " + body
			fs := together.FS(slowSync{tree}, "home") // as every delivery has its own
			if err := Deliver(fs, "Maildir/", []byte(head), strings.NewReader(text)); err != nil {
				t.Error(err)
			}
			results <- delivered{tree.Calls(), head + text}
		})
	}
	all.Wait()
	close(results)
	var promised []delivered
	valid := map[string]bool{}
	for r := range results {
		promised = append(promised, r)
		valid[r.text] = true
	}
	states := 0
	for at := range tree.Calls() + 1 {
		for c := range tree.CrashesAt(at, crashfs.Strict, 20, uint64(at)) {
			states++
			there := map[string]bool{}
			for _, name := range names(t, c.FS, "Maildir/new") {
				text, err := fsys.ReadFile(c.FS, "Maildir/new/"+name, 1<<20)
				if err != nil || !valid[string(text)] {
					t.Fatalf("%v: %q in new/, %v", c, text, err)
				}
				there[string(text)] = true
			}
			for _, r := range promised {
				if r.at <= at && !there[r.text] {
					t.Fatalf("%v: reported and gone: %q", c, r.text)
				}
			}
		}
	}
	if states < 100 {
		t.Errorf("only %d states", states)
	}
}
