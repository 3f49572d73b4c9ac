package multilog

import (
	"syscall"

	"paperpath/internal/fsys"
	"paperpath/internal/strerr"
)

// statusSize is the fixed size of a status file: a reader needs only one read,
// and the file is never truncated.
const statusSize = headSize + 1

// A status is a file that shows the last line that was selected for it. If one
// read brings several such lines, only the last is written: nobody would have
// time to see the others.
type status struct {
	name    string
	file    fsys.File
	text    [statusSize]byte
	changed bool
	pause   func(what string, cause error)
}

func openStatus(root fsys.OS, name string) (*status, error) {
	f, err := root.Open(name, fsys.WRONLY|fsys.CREATE|syscall.O_NONBLOCK, 0600)
	if err != nil {
		return nil, strerr.Named("create", name, err)
	}
	return &status{name: name, file: f}, nil
}

func (f *status) set(head []byte) {
	n := copy(f.text[:headSize], head)
	for ; n < len(f.text); n++ {
		f.text[n] = '\n'
	}
	f.changed = true
}

func (f *status) write() {
	f.changed = false
	for {
		n, err := f.file.WriteAt(f.text[:], 0)
		if err == nil && n == len(f.text) {
			return
		}
		f.pause("unable to write "+f.name, err)
	}
}
