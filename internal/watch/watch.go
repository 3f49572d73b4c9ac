// Package watch tells at once that names in a directory came, went or were
// replaced. It is the only importer of github.com/fsnotify/fsnotify.
//
//	kernel ──inotify──> fsnotify ──> pending {directory, name} ──> Changes
//	                                    └── one byte in a pipe ──> FD: readable
//	      if reading fails: the end of the pipe ──> FD: readable for good, Ended
//
// What it tells is a reason to look, never the truth itself: several changes of
// a name count as one, a name may be back by the time it is read about, and
// what a kernel without room for it dropped is reported only as lost. So the
// one who watches first asks for the watch, then looks, and looks again when
// told to. Whoever cannot have a watch (no inotify, none of the user's instances
// left) gets an error from New or Add and looks from time to time instead.
package watch

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"paperpath/internal/sys"
)

// Change is a name in a directory that came, went or now means another file.
type Change struct {
	Dir  string // as it was given to Add
	Name string // in it; "" if Dir itself was removed or renamed: to be watched further it is added again
}

// maxPending bounds what is remembered between two calls of Changes. Whoever
// makes more names than that is not worth remembering one by one.
const maxPending = 4096

// Watcher watches directories. Its methods may be called by several goroutines,
// but nobody reads FD: Changes empties it.
type Watcher struct {
	events  *fsnotify.Watcher
	r, w    *sys.FD
	stopped chan struct{} // closed when collect has returned

	mu      sync.Mutex
	dirs    map[string]string // what Add was given, by how events name it
	pending map[Change]bool
	lost    bool
	told    bool // a byte is in the pipe
	ended   bool // nothing comes any more
}

// New returns a Watcher that watches nothing yet. The error is the kernel's:
// EMFILE when the user has no inotify instance left or the process no
// descriptor.
func New() (*Watcher, error) {
	if err := spare(); err != nil {
		return nil, err
	}
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, cause(err)
	}
	r, w, err := sys.Pipe()
	if err != nil {
		events.Close()
		return nil, err
	}
	unix.SetNonblock(int(r.Fd()), true) // Changes does not wait
	x := &Watcher{
		events:  events,
		r:       r,
		w:       w,
		stopped: make(chan struct{}),
		dirs:    map[string]string{},
		pending: map[Change]bool{},
	}
	go x.collect()
	return x, nil
}

// spare sees that there are descriptors for inotify and for the runtime's
// poller, which fsnotify makes begin: without one the runtime would end the
// process instead of returning an error.
func spare() error {
	for range 4 { // inotify, epoll, eventfd, and a pipe's end to be sure
		fd, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
	}
	return nil
}

// cause returns the errno in err, if there is one.
func cause(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// FD is readable when Changes has something to tell.
func (x *Watcher) FD() *sys.FD { return x.r }

// Add begins to watch the directory dir. It is known by this name: a second
// name for it (a link, "./" before it) is not told apart from the first. Changes
// before Add returned may be missing, those afterwards are not.
func (x *Watcher) Add(dir string) error {
	if dir == "" {
		return unix.ENOENT
	}
	// The slash makes what is no directory an error; fsnotify would watch a file.
	var st unix.Stat_t
	if err := unix.Stat(dir+"/", &st); err != nil {
		return err
	}
	// Known before the first event of it can come. The lock is not held over a
	// call of fsnotify, which may be waiting for collect.
	clean := filepath.Clean(dir)
	x.mu.Lock()
	x.dirs[clean] = dir
	x.mu.Unlock()
	if err := x.events.Add(dir); err != nil {
		x.mu.Lock()
		delete(x.dirs, clean)
		x.mu.Unlock()
		return cause(err)
	}
	return nil
}

// Remove stops watching dir. Changes that were seen before may still be told.
func (x *Watcher) Remove(dir string) {
	x.mu.Lock()
	delete(x.dirs, filepath.Clean(dir))
	x.mu.Unlock()
	x.events.Remove(dir) // an error means that it is not watched
}

// Changes returns what changed since it was called last, in no order, and makes
// FD unreadable. It does not wait. With lost true other changes were missed:
// everything has to be looked at.
func (x *Watcher) Changes() (changes []Change, lost bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.told {
		var b [1]byte
		x.r.TryRead(b[:])
		x.told = false
	}
	for c := range x.pending {
		changes = append(changes, c)
	}
	clear(x.pending)
	lost, x.lost = x.lost, false
	return changes, lost
}

// Ended reports whether the watching has come to its end by itself: the kernel's
// events could not be read. FD stays readable. Another Watcher may do better.
func (x *Watcher) Ended() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ended
}

// Close ends the watching. Nothing of it is left when it returns.
func (x *Watcher) Close() error {
	err := x.events.Close()
	<-x.stopped
	x.mu.Lock()
	defer x.mu.Unlock()
	x.r.Close()
	return err
}

// collect takes the events off fsnotify's hands until it is closed.
func (x *Watcher) collect() {
	defer x.end()
	errs := x.events.Errors
	for {
		select {
		case e, ok := <-x.events.Events:
			if !ok {
				return
			}
			// Writing, and changes of mode and time, replace nothing.
			if e.Op&(fsnotify.Create|fsnotify.Remove|fsnotify.Rename) != 0 {
				x.changed(e.Name, !e.Has(fsnotify.Create))
			}
		case err, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			x.miss()
			if unreadable(err) {
				x.events.Close() // fsnotify would go on trying
			}
		}
	}
}

// unreadable reports whether an error is of reading events, which does not get
// better. Others are an overflow, or a watch that ended before it was removed.
func unreadable(err error) bool {
	var path *fs.PathError
	return errors.As(err, &path)
}

// changed notes an event. Its path is that of a watched directory with a slash
// and a name behind it, or of a watched directory itself, or both.
func (x *Watcher) changed(path string, gone bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		if dir, ok := x.dirs[path[:i]]; ok {
			x.note(Change{dir, path[i+1:]})
		}
	}
	if dir, ok := x.dirs[path]; ok && gone {
		delete(x.dirs, path)
		x.note(Change{Dir: dir})
	}
}

func (x *Watcher) note(c Change) {
	if len(x.pending) >= maxPending {
		x.lost = true
	} else {
		x.pending[c] = true
	}
	x.tell()
}

func (x *Watcher) miss() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lost = true
	x.tell()
}

// end closes the writing end, so that FD tells of it.
func (x *Watcher) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lost, x.ended = true, true
	x.w.Close()
	close(x.stopped)
}

func (x *Watcher) tell() {
	if !x.told {
		x.told = true
		x.w.Write([]byte{0})
	}
}
