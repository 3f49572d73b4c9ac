package send

import (
	"sync"

	"paperpath/internal/fsys"
)

// mailbox is an unbounded queue between goroutines: putting never waits, so
// that nothing stands still because something else does.
type mailbox[T any] struct {
	mu    sync.Mutex
	items []T
	ready chan struct{} // holds a token when there may be items
}

func newMailbox[T any]() *mailbox[T] {
	return &mailbox[T]{ready: make(chan struct{}, 1)}
}

func (m *mailbox[T]) put(items ...T) {
	m.mu.Lock()
	m.items = append(m.items, items...)
	m.mu.Unlock()
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

// take returns everything that is there.
func (m *mailbox[T]) take() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	items := m.items
	m.items = nil
	return items
}

// maxSyncs is how many synchronisations run at the same time. Those of one
// file system share its journal's commits.
const maxSyncs = 32

// parallel calls f(0) … f(n-1), several at a time, and returns when all did.
func parallel(n int, f func(i int)) {
	if n == 1 {
		f(0)
		return
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxSyncs)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			f(i)
			<-slots
		})
	}
	wg.Wait()
}

// syncDirs synchronises directories and returns those that failed.
func syncDirs(fs fsys.FS, dirs map[string]bool) map[string]error {
	names := make([]string, 0, len(dirs))
	for d := range dirs {
		names = append(names, d)
	}
	errs := make([]error, len(names))
	parallel(len(names), func(i int) { errs[i] = fs.SyncDir(names[i]) })
	failed := map[string]error{}
	for i, err := range errs {
		if err != nil {
			failed[names[i]] = err
		}
	}
	return failed
}
