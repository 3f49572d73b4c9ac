package multilog

import (
	"errors"
	"strconv"
	"time"

	"paperpath/internal/child"
	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// A starter runs a processor on open files and waits for it.
type starter func(l *log, previous, processed, state, newstate fsys.File) (child.Status, error)

// process runs the processor, which makes "processed" from "previous" and
// "newstate" from "state". Until it exits 0 it is run again on the same input.
func (l *log) process() {
	for !l.runProcessor() {
	}
	l.insist("unable to write "+l.name+"/processed to disk", func() error { return l.seal("processed", modeSafe) })
	l.insist("unable to write "+l.name+"/newstate to disk", func() error { return l.seal("newstate", 0) })
	// previous is the only copy until the name "processed" is on the disk.
	l.syncDir()
	l.remove("previous")
	l.insist("unable to rename newstate to state in directory "+l.name, func() error {
		return l.fs.Rename("newstate", "state")
	})
}

// seal syncs a file that the processor wrote, sets its mode, and syncs again: the
// mode says that the contents are on the disk.
func (l *log) seal(name string, mode uint32) error {
	f, err := l.fs.Open(name, appendFlags, 0600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil || mode == 0 {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	return f.Sync()
}

// runProcessor makes one attempt.
func (l *log) runProcessor() bool {
	// A "processed" that is back after a power cut may be a second name of an old
	// log, which must not be truncated.
	l.remove("processed")
	var files [4]fsys.File
	for i, open := range [4]struct {
		name  string
		flags int
	}{{"previous", readFlags}, {"processed", truncFlags}, {"state", readFlags}, {"newstate", truncFlags}} {
		f, err := l.fs.Open(open.name, open.flags, 0644)
		if err != nil {
			l.pause("unable to open "+l.name+"/"+open.name+" for processor", err)
			return false
		}
		defer f.Close()
		files[i] = f
	}
	status, err := l.start(l, files[0], files[1], files[2], files[3])
	switch {
	case child.Exhausted(err):
		l.pause("unable to fork for processor in "+l.name, err)
	case err != nil:
		l.pause("unable to run /bin/sh for processor in "+l.name, err)
	case status.Crashed():
		l.pause("processor crashed in "+l.name, nil)
	case status.Code() != 0:
		l.pause("processor failed in "+l.name, nil)
	default:
		return true
	}
	return false
}

// slowProcessor is how long a processor may run before a warning: the program
// whose output we read may be waiting for it.
const slowProcessor = time.Minute

// workingDir returns a name of the log's directory, valid until done is called. It
// is a name below /proc if there is one, because the directory or one above it may
// have been renamed.
func (l *log) workingDir() (name string, done func()) {
	dir, err := l.fs.Open(".", fsys.RDONLY, 0)
	if err != nil {
		return l.path, func() {}
	}
	if fd, ok := dir.(interface{ Fd() uintptr }); ok {
		name = "/proc/self/fd/" + strconv.Itoa(int(fd.Fd()))
	}
	if _, err := (fsys.OS{}).Stat(name); err != nil {
		name = l.path
	}
	return name, func() { dir.Close() }
}

func startProcessor(env *proc.Env) starter {
	return func(l *log, previous, processed, state, newstate fsys.File) (child.Status, error) {
		fd := func(f fsys.File) int { return int(f.(interface{ Fd() uintptr }).Fd()) }
		stderr, _ := proc.Descriptor(env.Files[2])
		inherited, _ := proc.Descriptor(env.Files[3])
		dir, done := l.workingDir()
		defer done()
		p, err := child.Start(&child.Command{
			Argv:  []string{"sh", "-c", *l.processor},
			Path:  "/bin/sh",
			Vars:  env.Vars,
			Dir:   dir,
			Files: []int{fd(previous), fd(processed), stderr, inherited, fd(state), fd(newstate)},
		})
		if err != nil {
			return 0, err
		}
		slow := time.AfterFunc(slowProcessor, func() {
			env.Warn(errors.New("processor still running in " + strerr.Clean(l.name)))
		})
		defer slow.Stop()
		return p.Wait()
	}
}
