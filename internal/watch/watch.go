// Package watch reports at once when names in a directory are made, removed or
// replaced. It is the only importer of github.com/fsnotify/fsnotify.
//
//	kernel ──inotify──> fsnotify ──> pending {directory, name} ──> Changes
//	                                    └── one byte in a pipe ──> FD: readable
//	      if reading fails: the end of the pipe ──> FD: readable for good, Ended
//
// A report is a reason to look, not the truth itself: several changes of a name
// count as one, a name may be back by the time the report is read, and events that
// the kernel dropped for lack of room are reported only as lost. So a caller first
// adds the watch, then looks, and looks again after each report. If there can be no
// watch (no inotify, or no instance left for the user), New or Add returns an error,
// and the caller looks from time to time instead.
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

// Change is a name in a directory that was made, removed or replaced.
type Change struct {
	Dir  string // as it was given to Add
	Name string // in Dir; "" if Dir itself was removed or renamed, and must be added again to be watched
}

// maxPending bounds the number of changes between two calls of Changes. Beyond it
// they are only reported as lost.
const maxPending = 4096

// Watcher watches directories. Several goroutines may call its methods, but must not
// read FD: Changes does that.
type Watcher struct {
	events  *fsnotify.Watcher
	r, w    *sys.FD
	stopped chan struct{} // closed when collect has returned

	mu      sync.Mutex
	dirs    map[string]string // the arguments of Add, by their names in events
	pending map[Change]bool
	lost    bool
	told    bool // a byte is in the pipe
	ended   bool // there will be no more events
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
	unix.SetNonblock(int(r.Fd()), true) // Changes does not block
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

// spare checks that there are descriptors for inotify and for the runtime's poller,
// which fsnotify causes to start: without one for the poller, the runtime would end
// the process instead of returning an error.
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

// FD is readable when Changes has something to return.
func (x *Watcher) FD() *sys.FD { return x.r }

// Add starts watching the directory dir. Reports use this name: a second name of the
// same directory (a link, "./" before it) is not told apart from the first. Changes
// before Add returns may be missed, later ones are not.
func (x *Watcher) Add(dir string) error {
	if dir == "" {
		return unix.ENOENT
	}
	// Because of the slash, a file is an error; fsnotify would watch it.
	var st unix.Stat_t
	if err := unix.Stat(dir+"/", &st); err != nil {
		return err
	}
	// Set before the first event can come. The lock must not be held while fsnotify
	// is called, which may wait for collect.
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

// Remove stops watching dir. Changes seen before may still be reported.
func (x *Watcher) Remove(dir string) {
	x.mu.Lock()
	delete(x.dirs, filepath.Clean(dir))
	x.mu.Unlock()
	x.events.Remove(dir) // an error means that it is not watched
}

// Changes returns the changes since the last call, in no order, and makes FD
// unreadable. It does not block. If lost is true, other changes were missed, and the
// caller must look at everything.
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

// Ended reports whether the Watcher has stopped by itself, because the kernel's
// events could not be read. FD stays readable. Another Watcher may do better.
func (x *Watcher) Ended() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ended
}

// Close stops the Watcher. When it returns, its goroutines and descriptors are gone.
func (x *Watcher) Close() error {
	err := x.events.Close()
	<-x.stopped
	x.mu.Lock()
	defer x.mu.Unlock()
	x.r.Close()
	return err
}

// collect receives fsnotify's events until that is closed.
func (x *Watcher) collect() {
	defer x.end()
	errs := x.events.Errors
	for {
		select {
		case e, ok := <-x.events.Events:
			if !ok {
				return
			}
			// Writes, and changes of mode and time, replace no name.
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
				x.events.Close() // otherwise fsnotify would go on trying
			}
		}
	}
}

// unreadable reports whether an error comes from reading events, and is permanent.
// Others are an overflow, or a watch that ended before it was removed.
func unreadable(err error) bool {
	var path *fs.PathError
	return errors.As(err, &path)
}

// changed records an event. Its path is that of a watched directory followed by a
// slash and a name, or that of a watched directory itself, or both.
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

// end closes the writing end, which makes FD readable for good.
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
