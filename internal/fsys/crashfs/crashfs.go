// Package crashfs is a file system in memory for tests that cut the power,
// fill the disk and break the calls of the code under test. It implements
// [fsys.FS], remembers every change and which of them a sync has made
// durable, and shows what a cut could have left:
//
//	fs := crashfs.New("tmp", "new")      // durable, like the ground
//	err := deliver(fs)                   // the code under test
//	done := fs.Calls()                   // its promise begins here
//	for c := range fs.Crashes(crashfs.Strict, 50, seed) {
//		if c.At >= done && err == nil && !present(c.FS) {
//			t.Fatalf("%v: acknowledged and gone\n%s", c, c.FS.Dump())
//		}
//	}
//
// A state is an FS of its own, everything in it durable, in which recovery can
// run and the power fail again. A process killed with nothing lost is the
// state of a cut that kept everything, which is always among them.
//
// Faults are a function that sees each call first:
//
//	fs.Fault = crashfs.FailNth(n, syscall.ENOSPC)   // once
//	fs.Fault = crashfs.FailFrom(n, syscall.EIO)     // and ever after
//	fs.Fault = crashfs.FailNth(n, crashfs.Short(syscall.ENOSPC))
//
// A sync that failed leaves what it should have saved unsaved for good, even
// if a later sync succeeds, as kernels do. Permissions are kept but not
// enforced; there are no symbolic links and no fifos.
package crashfs

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// FS is a file system in memory. Set its fields before use.
type FS struct {
	// Fault sees every call before it happens; an error makes the call fail
	// with it and do nothing. See also Short.
	Fault func(Call) error
	// Lie tells which syncs report success and do nothing: a test of a test.
	Lie func(Call) bool
	// Reuse hands out the lowest inode number that no file has, as ext4
	// likes to. Otherwise numbers are never used twice.
	Reuse bool
	// Now is the clock for file times. The default begins in 2026 and
	// advances a millisecond a call.
	Now func() time.Time

	mu      sync.Mutex
	root    *node
	base    map[*node]*node // every node's state when the log began: all durable
	log     []Call
	changes []*change
	syncs   []int // calls that were successful syncs
	lastIno uint64
	numbers map[uint64]bool // in use, if Reuse
}

// Call is one call of the code under test.
type Call struct {
	N           int    // 0 is the first since New or Settle
	Op          string // "open", "link", "write", "sync", "syncdir" …, the method in lower case
	Name, Name2 string
	Size        int // bytes to read or write
}

func (c Call) String() string {
	s := fmt.Sprintf("#%d %s %s", c.N, c.Op, c.Name)
	if c.Name2 != "" {
		s += " " + c.Name2
	}
	if c.Size > 0 {
		s += fmt.Sprintf(" (%d bytes)", c.Size)
	}
	return s
}

// node is an inode. Changes refer to nodes, so a name that survives a cut
// finds the file it named, whoever has the number by then.
type node struct {
	ino     uint64
	mode    uint32
	data    []byte
	entries map[string]*node // of a directory; nil for files
	links   int
	open    int
	birth   uint32 // mode when created
	btime   time.Time
	mtime   time.Time
	ctime   time.Time
}

func (n *node) isDir() bool { return n.entries != nil }

// New returns a file system that holds the named directories.
func New(dirs ...string) *FS {
	fs := &FS{numbers: map[uint64]bool{}}
	fs.root = fs.newNode(syscall.S_IFDIR | 0o755)
	fs.root.links = 1
	for _, dir := range dirs {
		made := ""
		for part := range strings.SplitSeq(dir, "/") {
			made = path.Join(made, part)
			if err := fs.Mkdir(made, 0o755); err != nil && err != syscall.EEXIST {
				panic("crashfs: " + made + ": " + err.Error()) // the test's mistake
			}
		}
	}
	fs.Settle()
	return fs
}

// Settle makes everything durable and begins a new log.
func (fs *FS) Settle() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.base = map[*node]*node{}
	fs.freeze(fs.root)
	fs.log, fs.changes, fs.syncs = nil, nil, nil
}

func (fs *FS) freeze(n *node) {
	if fs.base[n] != nil {
		return
	}
	fs.base[n] = n.copy()
	for _, child := range n.entries {
		fs.freeze(child)
	}
}

// copy returns a node of its own with the same contents. Its entries still
// refer to the nodes of n.
func (n *node) copy() *node {
	c := *n
	c.data, c.entries = slices.Clone(n.data), maps.Clone(n.entries)
	return &c
}

// Calls returns how many calls were made since New or Settle.
func (fs *FS) Calls() int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return len(fs.log)
}

// Log returns the calls made since New or Settle.
func (fs *FS) Log() []Call {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return slices.Clone(fs.log)
}

// Dump draws the tree for a failure message, a line per name.
func (fs *FS) Dump() string {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	var b strings.Builder
	var walk func(name string, n *node)
	walk = func(name string, n *node) {
		for _, entry := range slices.Sorted(maps.Keys(n.entries)) {
			child, name := n.entries[entry], path.Join(name, entry)
			if child.isDir() {
				walk(name, child)
				continue
			}
			fmt.Fprintf(&b, "%s ino=%d mode=%o size=%d %.60q\n", name, child.ino, child.mode&0o7777, len(child.data), child.data)
		}
	}
	walk("", fs.root)
	return b.String()
}

// FailNth makes call n fail with err.
func FailNth(n int, err error) func(Call) error {
	return func(c Call) error {
		if c.N == n {
			return err
		}
		return nil
	}
}

// FailFrom makes call n and all later ones fail with err.
func FailFrom(n int, err error) func(Call) error {
	return func(c Call) error {
		if c.N >= n {
			return err
		}
		return nil
	}
}

// Short is a fault for writes: half of the bytes are written before err. Other
// calls fail with err.
func Short(err syscall.Errno) error { return short{err} }

type short struct{ syscall.Errno }

func (s short) Unwrap() error { return s.Errno }

// call logs a call and asks for its fault.
func (fs *FS) call(c Call) error {
	c.N = len(fs.log)
	fs.log = append(fs.log, c)
	if fs.Fault == nil {
		return nil
	}
	return fs.Fault(c)
}

// plain is call for everything that cannot be short.
func (fs *FS) plain(c Call) error {
	return plain(fs.call(c))
}

func plain(err error) error {
	if s, ok := err.(short); ok {
		return s.Errno
	}
	return err
}
