package smtpd

import (
	"sync"
	"syscall"
	"time"

	"paperpath/internal/fsys"
)

// keeper has the settings of a server of many clients, so that not each of
// them costs the reading of a dozen files. It looks whether anything has
// changed for each connection: a changed file counts from the next one on.
type keeper struct {
	mu      sync.Mutex
	current *kept
}

// kept is settings and what they were read from. The keeper's lock guards the
// last two.
type kept struct {
	*settings
	home  string
	files []version // nil if they are good only once
	users int       // sessions, and the keeper itself
}

// version is a file as it was before it was read.
type version struct {
	name string
	info fsys.Info
}

// settled is the age from which the time of a file's last change tells whether
// it is still the same: the next change, made right after the file was read,
// must get another time. Clocks of file systems tick every 2 seconds at worst.
const settled = 3 * time.Second

// get returns the settings of a home directory, and reports whether they were
// read for this call. Every get needs a put.
func (k *keeper) get(home string) (set *kept, fresh bool, err error) {
	fs := fsys.OS{Root: home}
	k.mu.Lock()
	set = k.current
	if set != nil {
		set.users++
	}
	k.mu.Unlock()
	if set != nil {
		if set.home == home && set.unchanged(fs) {
			return set, false, nil
		}
		k.put(set)
	}

	r := recorder{FS: fs, start: time.Now(), settled: true}
	r.record("control")
	loaded, err := load(&r)
	if err != nil {
		return nil, true, err
	}
	set = &kept{settings: loaded, home: home, users: 1}
	if !r.settled {
		return set, true, nil
	}
	set.files = r.files
	set.users++
	k.mu.Lock()
	old := k.current
	k.current = set
	k.mu.Unlock()
	if old != nil {
		k.put(old)
	}
	return set, true, nil
}

// put gives settings back.
func (k *keeper) put(set *kept) {
	k.mu.Lock()
	set.users--
	unused := set.users == 0
	k.mu.Unlock()
	if unused {
		set.close()
	}
}

// unchanged reports whether all files are as they were. That none has appeared
// is what the time of the directory's last change says.
func (set *kept) unchanged(fs fsys.FS) bool {
	for i := range set.files {
		v := &set.files[i]
		now, err := fs.Stat(v.name)
		if err != nil || !same(now, v.info) {
			return false
		}
	}
	return true
}

// same leaves the time of the last reading out, which reading changes.
func same(a, b fsys.Info) bool {
	a.Atime = b.Atime
	return a == b
}

// recorder is a file system that remembers which files were opened.
type recorder struct {
	fsys.FS
	start   time.Time
	files   []version
	settled bool // the files tell when they change
}

func (r *recorder) Open(name string, flags int, perm uint32) (fsys.File, error) {
	r.record(name)
	return r.FS.Open(name, flags, perm)
}

func (r *recorder) record(name string) {
	info, err := r.Stat(name)
	switch {
	case err == nil:
		r.files = append(r.files, version{name, info})
		r.settled = r.settled && r.start.Sub(info.Ctime) > settled
	case err != syscall.ENOENT:
		r.settled = false
	default:
		// A link to nowhere: its end may come into being in another directory.
		if _, err := r.Lstat(name); err == nil {
			r.settled = false
		}
	}
}
