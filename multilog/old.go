package multilog

import (
	"slices"
	"syscall"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/tai"
)

// finish gives file its name as an old log, and removes the oldest if there
// are too many. The name is a link first: a rename could replace a file, and a
// crash between link and unlink shows in the link count.
func (l *log) finish(file, code string) {
	var st fsys.Info
	gone := false
	l.insist("unable to stat "+l.name+"/"+file, func() (err error) {
		st, err = l.fs.Stat(file)
		gone = err == syscall.ENOENT
		if gone {
			return nil
		}
		return err
	})
	if gone {
		return
	}
	if !l.isOld(st) {
		for {
			name := string(tai.Append(nil, time.Now())) + "." + code
			err := l.fs.Link(file, name)
			if err == nil {
				break
			}
			l.pause("unable to link to "+l.name+"/"+name, err)
		}
	}
	// The old log must be on the disk under its name before the other name
	// goes: link(2) alone promises that to nobody.
	l.syncDir()
	l.remove(file)
	l.trim("")
}

func (l *log) remove(file string) {
	l.insist("unable to remove "+l.name+"/"+file, func() error {
		err := l.fs.Remove(file)
		if err == syscall.ENOENT {
			return nil
		}
		return err
	})
}

// isOld reports whether a file already has its name as an old log. (A link
// count of 2 may as well be a backup's hard link elsewhere; then the lines
// must still get their name here.)
func (l *log) isOld(file fsys.Info) bool {
	if file.Nlink == 1 {
		return false
	}
	for _, name := range l.old() {
		if st, err := l.fs.Lstat(name); err == nil && st.Ino == file.Ino {
			return true
		}
	}
	return false
}

// old lists the old logs.
func (l *log) old() (names []string) {
	l.insist("unable to read "+l.name, func() (err error) {
		names, err = l.fs.List(".")
		return err
	})
	kept := names[:0]
	for _, name := range names {
		if name[0] == '@' && len(name) >= tai.LabelLen {
			kept = append(kept, name)
		}
	}
	return kept
}

// trim removes the oldest logs until there are fewer than keep, and no more
// bytes than total allows. Those behind last, if it is not "", do not count:
// they are not safe yet.
func (l *log) trim(last string) {
	names := l.old()
	if last != "" {
		names = slices.DeleteFunc(names, func(name string) bool { return name > last })
	}
	slices.Sort(names)
	bytes := l.sizes(names)
	for ; len(names) >= l.keep || l.total > 0 && bytes[0] > int64(l.total); names, bytes = names[1:], bytes[1:] {
		for {
			err := l.fs.Remove(names[0])
			if err == nil || err == syscall.ENOENT {
				break
			}
			if err == syscall.EISDIR {
				return // not a log of ours, and no reason to stop logging
			}
			l.pause("unable to remove "+l.name+"/"+names[0], err)
		}
	}
}

// sizes returns for each name the bytes in it and those behind it, and a last 0;
// nothing but zeros if there is no total to keep.
func (l *log) sizes(names []string) []int64 {
	sizes := make([]int64, len(names)+1)
	if l.total == 0 {
		return sizes
	}
	for i := len(names) - 1; i >= 0; i-- {
		sizes[i] = sizes[i+1]
		if st, err := l.fs.Lstat(names[i]); err == nil {
			sizes[i] += st.Size
		}
	}
	return sizes
}
