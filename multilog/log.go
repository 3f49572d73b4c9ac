package multilog

import (
	"bytes"
	"syscall"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/strerr"
)

// A log is a directory:
//
//	current            the newest lines; 0644 while we write it, 0744 when it is
//	                   whole and synced and nobody writes it
//	@<TAI64N label>.s  an old log, whole and synced; the label is the time of its end
//	@<TAI64N label>.u  an old log that is not safe yet; after a crash it may be cut
//	lock               flock(2)ed by the multilog that writes
//	previous           the former current, while an old log is made from it
//	state newstate     the processor's saved state, and the one it is writing
//	processed          the processor's output from previous; 0744 when complete
//
// A rotation goes through these states. [log.open] continues from any of them,
// and from those of the C program, which uses "previous" even without a
// processor:
//
//	current 0644 → @….u 0644 → synced → @….u 0744 → @….s   ([settler])
//
//	with a processor:
//	current 0644 → synced → previous 0644 → previous 0744 → also processed 0744
//	             → processed alone → also @….s → gone
type log struct {
	fs   fsys.FS // names begin at the directory
	name string  // as the script and messages have it
	path string  // from the process's directory
	settings
	start starter

	// pause prints a warning and waits.
	pause func(what string, cause error)

	lock     fsys.File
	current  fsys.File
	bytes    int  // in current
	promised bool // current has lines that an earlier multilog has synced
	unnamed  bool // the directory has not been synced since current was created
	settler

	// For the journal, nil if there is none.
	journal  *journal
	index    int    // of this log among the logs
	out      int    // of this log among the outs
	ino      uint64 // of current
	appended int    // bytes since the last commit
}

// settings are those that the words before a log make for it.
type settings struct {
	size      int     // maximum of current, in bytes
	keep      int     // there are fewer old logs than this
	total     int     // maximum of all old logs, in bytes; 0: none
	processor *string // nil for none
}

const (
	appendFlags = fsys.WRONLY | fsys.APPEND | fsys.CREATE | syscall.O_NONBLOCK
	lockFlags   = fsys.RDWR | fsys.CREATE | syscall.O_NONBLOCK
	truncFlags  = fsys.WRONLY | fsys.TRUNC | fsys.CREATE | syscall.O_NONBLOCK
	readFlags   = fsys.RDONLY | syscall.O_NONBLOCK

	modeOpen = 0644
	modeSafe = 0744
	safeBit  = 0100

	// A line that ends within this many bytes of the maximum ends the file.
	window = 2000
)

// open puts the directory in order, however the last multilog ended, and opens
// current (restart in multilog.c).
func (l *log) open() error {
	st, err := l.fs.Stat("current")
	if err != nil && err != syscall.ENOENT {
		return l.unable("stat", "/current", err)
	}
	if err == nil && st.Mode&safeBit != 0 {
		l.bytes = int(st.Size)
		l.promised = true
		return l.openCurrent("append to")
	}

	l.fs.Remove("state")
	l.fs.Remove("newstate")
	st, err = l.fs.Stat("processed")
	if err != nil && err != syscall.ENOENT {
		return l.unable("stat", "/processed", err)
	}
	if err == nil && st.Mode&safeBit != 0 && !l.isOld(st) {
		l.fs.Remove("previous") // processed was made from it
		l.finish("processed", "s")
	} else {
		// A "processed" that is an old log already was made from an earlier
		// previous. After a power cut it may have been made from this one; its
		// lines then appear twice.
		l.fs.Remove("processed")
		l.finish("previous", "u")
	}
	l.finish("current", "u")

	state, err := l.fs.Open("state", truncFlags, 0644)
	if err != nil {
		return l.unable("write to", "/state", err)
	}
	state.Close()
	// The name of current need not be durable before its lines are: a sync here
	// would make hundreds of loggers that start together wait for the disk.
	l.unnamed = true
	return l.openCurrent("write to")
}

func (l *log) openCurrent(verb string) (err error) {
	if l.current, err = l.fs.Open("current", appendFlags, 0600); err != nil {
		return l.unable(verb, "/current", err)
	}
	if err := l.current.Chmod(modeOpen); err != nil {
		return l.unable("set mode of", "/current", err)
	}
	return nil
}

func (l *log) unable(verb, file string, err error) error {
	return strerr.Unable(verb, l.name+file, err)
}

// insist calls do until it succeeds.
func (l *log) insist(what string, do func() error) {
	for {
		err := do()
		if err == nil {
			return
		}
		l.pause(what, err)
	}
}

// syncDir makes the names in the directory durable, where the file system
// knows how to.
func (l *log) syncDir() {
	l.insist("unable to write "+l.name+" to disk", func() error {
		err := l.fs.SyncDir(".")
		if err == syscall.EINVAL || err == syscall.ENOTSUP {
			return nil
		}
		return err
	})
}

// write appends b and rotates wherever a file must end.
func (l *log) write(b []byte) {
	for len(b) > 0 {
		if l.bytes >= l.size {
			l.rotate()
		}
		n, err := l.current.Write(b[:l.fits(b)])
		l.bytes += n
		l.appended += n
		lineEnds := n > 0 && b[n-1] == '\n'
		b = b[n:]
		if err != nil {
			l.pause("unable to write to "+l.name+"/current", err)
		}
		if lineEnds && l.bytes >= l.size-window {
			l.rotate()
		}
	}
}

// fits returns how much of b belongs in current: up to the first line feed
// within the window, or what the size allows.
func (l *log) fits(b []byte) int {
	n := min(len(b), l.size-l.bytes)
	from := max(l.size-window-l.bytes-1, 0)
	if from < n {
		if end := bytes.IndexByte(b[from:n], '\n'); end >= 0 {
			return from + end + 1
		}
	}
	return n
}

// rotate makes current an old log and begins a new current (fullcurrent in
// multilog.c).
func (l *log) rotate() {
	if l.processor != nil {
		l.rotateThrough()
		return
	}
	name := l.unused()
	l.moving(true)
	gone := false
	l.insist("unable to rename current to "+name+" in directory "+l.name, func() error {
		err := l.fs.Rename("current", name)
		gone = err == syscall.ENOENT
		if gone {
			return nil // the file has been removed; its lines are lost
		}
		return err
	})
	if l.promised {
		l.syncDir() // on the disk the old file must not lose its only name to the new one
		l.promised = false
	}
	full := full{l.current, name, l.bytes}
	l.create()
	if gone {
		full.file.Close()
		l.unnamed = true
		return
	}
	l.settle(full)
}

// rotateThrough is rotate with a processor, which makes the old log.
func (l *log) rotateThrough() {
	l.insist("unable to write "+l.name+"/current to disk", l.current.Sync)
	l.current.Close()
	l.moving(true)
	l.insist("unable to rename current to previous in directory "+l.name, func() error {
		err := l.fs.Rename("current", "previous")
		if err == syscall.ENOENT {
			return nil
		}
		return err
	})
	l.syncDir() // as in rotate
	l.create()
	gone := false
	l.insist("unable to set mode of "+l.name+"/previous", func() error {
		err := l.fs.Chmod("previous", modeSafe)
		gone = err == syscall.ENOENT
		if gone {
			return nil
		}
		return err
	})
	if !gone {
		l.process()
		l.finish("processed", "s")
	}
}

// create begins a new current.
func (l *log) create() {
	l.insist("unable to create "+l.name+"/current", func() (err error) {
		l.current, err = l.fs.Open("current", appendFlags, modeOpen)
		return err
	})
	l.bytes = 0
	l.unnamed = false // making the old log safe will sync the directory
	if l.journal != nil {
		l.identify()
		l.moving(false)
	}
}

// identify finds out which file current is.
func (l *log) identify() {
	l.insist("unable to stat "+l.name+"/current", func() error {
		st, err := l.current.Stat()
		l.ino = st.Ino
		return err
	})
}

// moving records in the journal that current is being moved away, or that there
// is a new one.
func (l *log) moving(away bool) {
	if l.journal == nil {
		return
	}
	l.journal.change(func(at *slot) {
		p := &at.logs[l.index]
		p.ino, p.base, p.skip = l.ino, uint64(l.bytes), uint64(l.appended)
		if away {
			p.ino = 0
		}
	})
}

// close leaves current synced and marked as whole.
func (l *log) close() {
	l.settled()
	l.insist("unable to write "+l.name+"/current to disk", l.current.Sync)
	if l.unnamed {
		l.syncDir()
	}
	l.insist("unable to set mode of "+l.name+"/current", func() error { return l.current.Chmod(modeSafe) })
}

// take makes the directory if it must, and locks it against other multilogs.
// base is the directory that a relative name begins at, "" for the process's.
func (l *log) take(base string) error {
	root := fsys.OS{Root: base}
	l.path = l.name
	if base != "" && l.name[0] != '/' {
		l.path = base + "/" + l.name
	}
	root.Mkdir(l.name, 0700) // if this fails, so does opening it
	dir, err := root.Held(l.name)
	if err != nil {
		return strerr.Unable("open directory", l.name, err)
	}
	l.fs = dir
	// Opened relative to the held directory, and kept open as long as the process
	// lives: closing it would release the lock.
	l.lock, err = dir.Open("lock", lockFlags, 0600)
	if err == syscall.EACCES {
		l.lock, err = dir.Open("lock", appendFlags, 0600) // enough for flock, not for a journal
	}
	if err == nil {
		err = tryLock(l.lock.(fsys.Locker))
	}
	if err != nil {
		return strerr.Unable("lock directory", l.name, err)
	}
	return nil
}

// lockPatience is how long take waits for the lock. A multilog that was killed
// while it started a processor leaves a child that holds the lock until its
// execve.
const lockPatience = time.Second

func tryLock(lock fsys.Locker) error {
	for end := time.Now().Add(lockPatience); ; time.Sleep(lockPatience / 100) {
		err := lock.Lock(false)
		if err != syscall.EWOULDBLOCK || time.Now().After(end) {
			return err
		}
	}
}
