package multilog

import (
	"sync"
	"syscall"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/tai"
)

// A settler makes full files safe while the next ones are being written: it
// syncs them, gives them their names as old logs, and removes the oldest. What
// has become full while it was busy it does at one go. Of a flood that fills
// more files than are kept it need not put the first ones on the disk at all.
type settler struct {
	backlog int // so many bytes may wait for it; then the writer waits

	mu    sync.Mutex
	done  sync.Cond
	queue []full
	waits int // bytes in full files that are not safe yet
	busy  bool
}

// defaultBacklog bounds what a power cut can take of files that were full.
const defaultBacklog = 32 << 20

// A full file has been current and is an old log, not yet a safe one.
type full struct {
	file  fsys.File
	name  string // its label and .u
	bytes int
}

// An earlySyncer is a file that the kernel can be told to begin to write.
type earlySyncer interface{ StartSync() }

// settle has f made safe, sooner or later.
func (l *log) settle(f full) {
	s := &l.settler
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done.L = &s.mu
	s.queue = append(s.queue, f)
	s.waits += f.bytes
	if !s.busy {
		s.busy = true
		go l.settleAll()
	}
	for s.busy && s.waits > s.backlog {
		s.done.Wait()
	}
}

// settled waits until nothing is left to do.
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
			s.waits -= f.bytes
		}
		if len(s.queue) == 0 {
			s.busy = false
		}
		s.done.Broadcast()
	}
}

// makeSafe makes old logs of full files, the oldest first in files.
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
	// What is called safe must be found after a power cut: if the disk still has
	// it as current only, a new current may take its place there.
	l.syncDir()
	last := ""
	for _, f := range files {
		last = f.name[:tai.LabelLen] + ".s"
		l.insist("unable to rename "+f.name+" to "+last+" in directory "+l.name, func() error {
			err := l.fs.Rename(f.name, last)
			if err == syscall.ENOENT {
				return nil // somebody removed it
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
