package multilog

import (
	"slices"
	"syscall"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/tai"
)

// finish gives file its name as an old log, and removes the oldest logs if there
// are too many. It links and unlinks: a rename could replace a file, and a crash
// between link and unlink shows in the link count.
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
	// The old log must be on the disk under its new name before the other name
	// goes, and link(2) alone does not guarantee that.
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
// count of 2 is not enough: the other link may be a backup's, elsewhere, and then
// the file still needs its name here.)
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

// trim removes the oldest logs until there are fewer than keep, with no more
// bytes than total allows. Logs newer than last, if it is not "", do not count:
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
				return // a directory is no log of ours, and no reason to stop logging
			}
			l.pause("unable to remove "+l.name+"/"+names[0], err)
		}
	}
}

// sizes returns for each name the total size of that file and all later ones,
// then a 0. It returns zeros only if there is no total to keep.
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
