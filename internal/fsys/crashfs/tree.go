package crashfs

import (
	"cmp"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"paperpath/internal/fsys"
)

func (fs *FS) now() time.Time {
	if fs.Now != nil {
		return fs.Now()
	}
	return time.Unix(1_780_000_000, 0).Add(time.Duration(len(fs.log)) * time.Millisecond)
}

func (fs *FS) newNode(mode uint32) *node {
	n := &node{mode: mode, birth: mode, mtime: fs.now()}
	n.btime, n.ctime = n.mtime, n.mtime
	if mode&syscall.S_IFMT == syscall.S_IFDIR {
		n.entries = map[string]*node{}
	}
	if fs.Reuse {
		for n.ino = 1; fs.numbers[n.ino]; n.ino++ {
		}
	} else {
		n.ino = fs.lastIno + 1
	}
	fs.lastIno = max(fs.lastIno, n.ino)
	fs.numbers[n.ino] = true
	return n
}

// release gives a number back when nothing refers to the node any more.
func (fs *FS) release(n *node) {
	if n.links == 0 && n.open == 0 {
		delete(fs.numbers, n.ino)
	}
}

// find walks to the directory that holds name. base is "." for the root.
func (fs *FS) find(name string) (dir *node, base string, err error) {
	if name == "" {
		return nil, "", syscall.ENOENT
	}
	dir = fs.root
	rest := strings.TrimPrefix(path.Clean("/"+name), "/")
	for {
		first, more, found := strings.Cut(rest, "/")
		if len(first) > 255 {
			return nil, "", syscall.ENAMETOOLONG
		}
		if !found {
			return dir, first, nil
		}
		next := dir.entries[first]
		if next == nil {
			return nil, "", syscall.ENOENT
		}
		if !next.isDir() {
			return nil, "", syscall.ENOTDIR
		}
		dir, rest = next, more
	}
}

// lookup finds an existing file or directory.
func (fs *FS) lookup(name string) (*node, error) {
	dir, base, err := fs.find(name)
	if err != nil {
		return nil, err
	}
	if base == "" {
		return fs.root, nil
	}
	n := dir.entries[base]
	if n == nil {
		return nil, syscall.ENOENT
	}
	if strings.HasSuffix(name, "/") && !n.isDir() {
		return nil, syscall.ENOTDIR
	}
	return n, nil
}

// setEntry changes one name; target nil removes it.
func (fs *FS) setEntry(dir *node, name string, target *node) {
	if old := dir.entries[name]; old != nil {
		old.links--
		old.ctime = fs.now()
		fs.release(old)
	}
	if target == nil {
		delete(dir.entries, name)
	} else {
		dir.entries[name] = target
		target.links++
		target.ctime = fs.now()
	}
	dir.mtime = fs.now()
	fs.change(change{kind: entryChange, node: dir, name: name, target: target})
}

// change logs what the current call did.
func (fs *FS) change(c change) {
	c.call, c.when, c.synced = len(fs.log)-1, fs.now(), never
	fs.changes = append(fs.changes, &c)
}

func (fs *FS) Open(name string, flags int, perm uint32) (fsys.File, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.plain(Call{Op: "open", Name: name}); err != nil {
		return nil, err
	}
	n, err := fs.lookup(name)
	switch {
	case err == nil && flags&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		return nil, syscall.EEXIST
	case err == syscall.ENOENT && flags&os.O_CREATE != 0:
		dir, base, err := fs.find(name)
		if err != nil {
			return nil, err
		}
		n = fs.newNode(syscall.S_IFREG | perm&0o7777)
		fs.setEntry(dir, base, n)
	case err != nil:
		return nil, err
	case n.isDir() && flags&(os.O_WRONLY|os.O_RDWR|os.O_CREATE) != 0:
		return nil, syscall.EISDIR
	case !n.isDir() && flags&syscall.O_DIRECTORY != 0:
		return nil, syscall.ENOTDIR
	}
	if flags&os.O_TRUNC != 0 && len(n.data) > 0 {
		fs.truncate(n, 0)
	}
	n.open++
	return &file{fs: fs, node: n, name: name, flags: flags}, nil
}

func (fs *FS) Link(old, new string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.plain(Call{Op: "link", Name: old, Name2: new}); err != nil {
		return err
	}
	n, err := fs.lookup(old)
	if err != nil {
		return err
	}
	dir, base, err := fs.find(new)
	if err != nil {
		return err
	}
	if base == "" || dir.entries[base] != nil {
		return syscall.EEXIST
	}
	if n.isDir() {
		return syscall.EPERM
	}
	fs.setEntry(dir, base, n)
	return nil
}

func (fs *FS) Rename(old, new string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.plain(Call{Op: "rename", Name: old, Name2: new}); err != nil {
		return err
	}
	from, oldBase, err := fs.find(old)
	if err != nil {
		return err
	}
	to, newBase, err := fs.find(new)
	if err != nil {
		return err
	}
	n, err := fs.lookup(old)
	if err != nil {
		return err
	}
	if oldBase == "" || newBase == "" {
		return syscall.EBUSY
	}
	if strings.HasPrefix(path.Clean("/"+new), path.Clean("/"+old)+"/") {
		return syscall.EINVAL // a directory into itself
	}
	if there := to.entries[newBase]; there != nil {
		switch {
		case there == n:
			return nil // two names of one file: rename(2) does nothing
		case there.isDir() && !n.isDir():
			return syscall.EISDIR
		case !there.isDir() && n.isDir():
			return syscall.ENOTDIR
		case len(there.entries) > 0:
			return syscall.ENOTEMPTY
		}
	}
	fs.setEntry(to, newBase, n)
	fs.setEntry(from, oldBase, nil)
	return nil
}

func (fs *FS) Remove(name string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.plain(Call{Op: "remove", Name: name}); err != nil {
		return err
	}
	n, err := fs.lookup(name)
	if err != nil {
		return err
	}
	if n.isDir() {
		return syscall.EISDIR
	}
	dir, base, _ := fs.find(name)
	fs.setEntry(dir, base, nil)
	return nil
}

func (fs *FS) Mkdir(name string, perm uint32) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.plain(Call{Op: "mkdir", Name: name}); err != nil {
		return err
	}
	dir, base, err := fs.find(name)
	if err != nil {
		return err
	}
	if base == "" || dir.entries[base] != nil {
		return syscall.EEXIST
	}
	fs.setEntry(dir, base, fs.newNode(syscall.S_IFDIR|perm&0o7777))
	return nil
}

func (fs *FS) Stat(name string) (fsys.Info, error)  { return fs.stat("stat", name) }
func (fs *FS) Lstat(name string) (fsys.Info, error) { return fs.stat("lstat", name) }

func (fs *FS) stat(op, name string) (fsys.Info, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.plain(Call{Op: op, Name: name}); err != nil {
		return fsys.Info{}, err
	}
	n, err := fs.lookup(name)
	if err != nil {
		return fsys.Info{}, err
	}
	return n.info(), nil
}

func (n *node) info() fsys.Info {
	return fsys.Info{
		Ino: n.ino, Dev: 1, Mode: n.mode, Nlink: uint64(n.links), Size: int64(len(n.data)),
		UID: uint32(os.Getuid()), GID: uint32(os.Getgid()),
		Atime: n.mtime, Mtime: n.mtime, Ctime: n.ctime,
	}
}

func (fs *FS) List(name string) ([]string, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.plain(Call{Op: "list", Name: name}); err != nil {
		return nil, err
	}
	n, err := fs.lookup(name)
	if err != nil {
		return nil, err
	}
	if !n.isDir() {
		return nil, syscall.ENOTDIR
	}
	return slices.Collect(maps.Keys(n.entries)), nil
}

func (fs *FS) Chmod(name string, perm uint32) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.plain(Call{Op: "chmod", Name: name}); err != nil {
		return err
	}
	n, err := fs.lookup(name)
	if err == nil {
		fs.chmod(n, perm)
	}
	return err
}

func (fs *FS) SetTimes(name string, t time.Time) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.plain(Call{Op: "settimes", Name: name}); err != nil {
		return err
	}
	n, err := fs.lookup(name)
	if err != nil {
		return err
	}
	n.mtime, n.ctime = t, fs.now()
	fs.change(change{kind: timeChange, node: n, mtime: t})
	return nil
}

func (fs *FS) SyncDir(name string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	c := Call{Op: "syncdir", Name: name}
	fault := fs.plain(c)
	n, err := fs.lookup(name)
	if err == nil && !n.isDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return cmp.Or(fault, err)
	}
	return fs.sync(n, c, fault)
}

func (fs *FS) chmod(n *node, perm uint32) {
	n.mode = n.mode&syscall.S_IFMT | perm&0o7777
	n.ctime = fs.now()
	fs.change(change{kind: modeChange, node: n, mode: n.mode})
}

// sync makes the changes of one file or directory durable.
func (fs *FS) sync(n *node, c Call, fault error) error {
	c.N = len(fs.log) - 1
	if fault == nil && fs.Lie != nil && fs.Lie(c) {
		return nil
	}
	for _, ch := range fs.changes {
		switch {
		case ch.node != n || ch.synced != never:
		case fault != nil:
			ch.synced = forgotten
		default:
			ch.synced = c.N
		}
	}
	if fault == nil {
		fs.syncs = append(fs.syncs, c.N)
	}
	return fault
}

var _ fsys.FS = (*FS)(nil)
