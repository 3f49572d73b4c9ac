package multilog

import (
	"sync"
	"syscall"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/tai"
)

// A settler makes full files safe while the next ones are being written: it
// syncs them, gives them their names as old logs, and removes the oldest. Files
// that fill up while it is busy are handled together, as its next batch. When a
// flood fills more files than are kept, the first ones need not be synced at all.
type settler struct {
	backlog int // bytes that may be waiting to be made safe before the writer waits

	mu       sync.Mutex
	done     sync.Cond
	queue    []full
	unsynced int // bytes in full files that are not safe yet
	busy     bool
}

// defaultBacklog bounds how many bytes of full files a power cut can lose.
const defaultBacklog = 32 << 20

// A full file was current, and is an old log that is not safe yet.
type full struct {
	file  fsys.File
	name  string // its label and .u
	bytes int
}

// An earlySyncer is a file that the kernel can be asked to start writing to disk.
type earlySyncer interface{ StartSync() }

// settle queues f to be made safe.
func (l *log) settle(f full) {
	s := &l.settler
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done.L = &s.mu
	s.queue = append(s.queue, f)
	s.unsynced += f.bytes
	if !s.busy {
		s.busy = true
		go l.settleAll()
	}
	for s.busy && s.unsynced > s.backlog {
		s.done.Wait()
	}
}

// settled waits until the queue is empty.
func (l *log) settled() {
	s := &l.settler
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done.L = &s.mu
	for s.busy {
		s.done.Wait()
	}
}

func (l *log) settleAll() {
	s := &l.settler
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 {
		files := s.queue
		s.queue = nil
		s.mu.Unlock()
		l.makeSafe(files)
		s.mu.Lock()
		for _, f := range files {
			s.unsynced -= f.bytes
		}
		if len(s.queue) == 0 {
			s.busy = false
		}
		s.done.Broadcast()
	}
}

// makeSafe makes safe old logs of files, which begin with the oldest.
func (l *log) makeSafe(files []full) {
	for len(files) >= l.keep {
		files[0].file.Close() // trim will remove it
		files = files[1:]
	}
	for _, f := range files {
		if early, ok := f.file.(earlySyncer); ok {
			early.StartSync()
		}
	}
	for _, f := range files {
		l.insist("unable to write "+l.name+"/"+f.name+" to disk", f.file.Sync)
		l.insist("unable to set mode of "+l.name+"/"+f.name, func() error { return f.file.Chmod(modeSafe) })
		f.file.Close()
	}
	// A file that is called safe must be found after a power cut. If on the disk
	// its name is still current, a new current may replace it there.
	l.syncDir()
	last := ""
	for _, f := range files {
		last = f.name[:tai.LabelLen] + ".s"
		l.insist("unable to rename "+f.name+" to "+last+" in directory "+l.name, func() error {
			err := l.fs.Rename(f.name, last)
			if err == syscall.ENOENT {
				return nil // the file has been removed
			}
			return err
		})
	}
	l.syncDir()
	l.trim(last)
}

// unused returns a name for a full file that no old log has.
func (l *log) unused() string {
	for now := time.Now(); ; now = now.Add(1) {
		label := string(tai.Append(nil, now))
		if !l.exists(label+".u") && !l.exists(label+".s") {
			return label + ".u"
		}
	}
}

func (l *log) exists(name string) (is bool) {
	l.insist("unable to stat "+l.name+"/"+name, func() error {
		_, err := l.fs.Lstat(name)
		is = err == nil
		if err == syscall.ENOENT {
			return nil
		}
		return err
	})
	return is
}
