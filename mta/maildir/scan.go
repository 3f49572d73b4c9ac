package maildir

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/strerr"
)

// staleAfter is how old a file in tmp/ must be, by its last access, to be
// nobody's (maildir(5)).
const staleAfter = 36 * time.Hour

// Clean removes what deliveries that did not end left in tmp/ (maildir_clean).
// fs is the Maildir.
func Clean(fs fsys.FS, now time.Time) {
	names, err := fs.List("tmp")
	if err != nil {
		return
	}
	for _, name := range names {
		if name[0] == '.' {
			continue
		}
		name = "tmp/" + name
		if info, err := fs.Stat(name); err == nil && now.Sub(info.Atime) > staleAfter {
			fs.Remove(name)
		}
	}
}

// Entry is a message in a Maildir.
type Entry struct {
	Name string // new/… or cur/…
	Size int64  // of the file, bytes
	time int64  // of its delivery, Unix nanoseconds
}

// Unique returns the part of the name that stays when a reader moves the
// message to cur/ and adds flags.
func (e *Entry) Unique() string {
	name, _, _ := strings.Cut(e.Name[len("new/"):], ":")
	return name
}

// Delivered returns when the message was delivered.
func (e *Entry) Delivered() time.Time { return time.Unix(0, e.time) }

// Scan lists the messages of the Maildir fs, the oldest first: regular files, and
// links to such; whoever reads a directory would fail. Those of this
// very second are left out, because more may come and belong before them
// (maildir_scan).
func Scan(fs fsys.FS, now time.Time) (list []Entry, err error) {
	for _, sub := range []string{"new", "cur"} {
		names, err := fs.List(sub)
		if err != nil {
			return nil, strerr.Unable("scan", "$MAILDIR/"+sub, err)
		}
		for _, name := range names {
			if name[0] == '.' {
				continue
			}
			name = sub + "/" + name
			info, err := fs.Stat(name)
			if err == nil && info.IsRegular() && info.Mtime.Unix() < now.Unix() {
				list = append(list, Entry{name, info.Size, info.Mtime.UnixNano()})
			}
		}
	}
	slices.SortFunc(list, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.time, b.time), strings.Compare(a.Unique(), b.Unique()))
	})
	return list, nil
}
