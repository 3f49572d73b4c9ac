package fsys

import "sync"

// Together lets those who sync one directory at the same time share the work,
// as databases share the sync of a log (group commit):
//
//	A links, asks   |--- sync for A ---|
//	B links, asks      waits           |--- sync for B and C ---|
//	C links, asks          waits       |
//
// A sync that is under way may have passed by the entry of somebody who comes
// now; only one that starts later counts for him. So a success means what it
// means without: everything that was in the directory before the call is
// durable.
//
// The zero Together is ready for use, by many goroutines.
type Together struct {
	mu   sync.Mutex
	dirs map[string]*sharedDir
}

// sharedDir is a directory that somebody is syncing.
type sharedDir struct {
	users   int        // calls that have not returned
	turn    sync.Mutex // held during a sync
	waiting *group     // those for whom the next sync counts
}

// group is who shares one sync.
type group struct {
	done chan struct{} // closed when err is known
	err  error
}

// FS returns fs with a SyncDir that is shared with every other tree of t.
// root tells trees apart: name N in it is always the same as N in another tree
// with this root.
func (t *Together) FS(fs FS, root string) FS { return togetherFS{fs, t, root} }

type togetherFS struct {
	FS
	t    *Together
	root string
}

func (fs togetherFS) SyncDir(name string) error {
	return fs.t.sync(fs.root+"\x00"+name, func() error { return fs.FS.SyncDir(name) })
}

func (t *Together) sync(key string, syncDir func() error) error {
	t.mu.Lock()
	d := t.dirs[key]
	if d == nil {
		d = &sharedDir{}
		if t.dirs == nil {
			t.dirs = map[string]*sharedDir{}
		}
		t.dirs[key] = d
	}
	d.users++
	g := d.waiting
	first := g == nil
	if first {
		g = &group{done: make(chan struct{})}
		d.waiting = g
	}
	t.mu.Unlock()

	if first { // the first of a group does the work
		d.turn.Lock()
		t.mu.Lock()
		d.waiting = nil // from here on it is too late to join
		t.mu.Unlock()
		g.err = syncDir()
		d.turn.Unlock()
		close(g.done)
	}
	<-g.done

	t.mu.Lock()
	if d.users--; d.users == 0 {
		delete(t.dirs, key)
	}
	t.mu.Unlock()
	return g.err
}
