package maildir

import (
	"errors"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/strerr"
)

// ErrOverQuota means that a message has no room in the Maildir.
var ErrOverQuota = errors.New("over quota")

// freshFor is how long a count is believed that refuses a message.
const freshFor = 15 * time.Minute

// trash is the folder whose messages do not count.
const trash = ".Trash"

// quota is a Maildir whose contents are counted, and perhaps limited
// (Maildir++): it has a file maildirsize.
//
//	1000000S,500C     the definition: at most so many bytes, so many messages
//	734120 312        what was there when they were counted
//	4711 1            and each change since: a delivery
//	-90210 -3         three messages removed
//
// Everybody appends; there is no lock. The sum is therefore only nearly right,
// and a message is never refused because of it alone: then, or if the file is
// damaged or long, the messages are counted and the file is written anew.
// Folders, DIR/.NAME with a file maildirfolder, count for the Maildir that they
// are in; .Trash does not, nor do messages that are flagged as trashed.
//
// Trouble with the counting is no trouble for the mail: it is then delivered.
type quota struct {
	maildirsize
	fs     fsys.FS
	dir    string
	unsure bool // the messages could not be counted, or changed meanwhile
}

// quotaOf returns the quota that is in force for the Maildir dir, or nil.
func quotaOf(fs fsys.FS, dir string) *quota {
	if path.Base(dir) == trash {
		return nil
	}
	if _, err := fs.Lstat(join(dir, "maildirfolder")); err == nil {
		dir = join(dir, "..")
	}
	q := &quota{fs: fs, dir: dir}
	var ok bool
	if q.maildirsize, ok = readMaildirsize(fs, q.file()); !ok {
		return nil
	}
	return q
}

func (q *quota) file() string { return join(q.dir, "maildirsize") }

// admit counts a message in that is about to be delivered, or returns
// ErrOverQuota. Counting it before it is there makes deliveries at the same time
// see each other; if it fails, or a crash comes between, the next message that
// would be refused has the messages counted.
func (q *quota) admit(size int64) error {
	if q == nil {
		return nil
	}
	if q.damaged || q.over(size) && !q.justCounted() {
		q.recount()
	}
	if q.over(size) {
		return ErrOverQuota
	}
	q.count(usage{size, 1})
	return nil
}

// justCounted reports whether counting again would come to the same. Programs
// that know nothing of quotas remove messages too, and whole folders.
func (q *quota) justCounted() bool {
	if q.lines != 1 || time.Since(q.written).Abs() >= freshFor {
		return false
	}
	// The last that happened to the directory itself was the rename of maildirsize.
	info, err := q.fs.Stat(q.dir)
	if err != nil || info.Mtime.After(q.renamed) {
		return false
	}
	subs, err := counted(q.fs, q.dir)
	for _, sub := range subs {
		if info, err := q.fs.Stat(sub); err == nil && info.Mtime.After(q.written) {
			return false
		}
	}
	return err == nil
}

func (q *quota) over(size int64) bool {
	l, u := q.limits, q.used
	return !q.unsure && (l.bytes > 0 && u.bytes+size > l.bytes || l.messages > 0 && u.messages+1 > l.messages)
}

// count appends a change. The file may be another's, as root's who defined the
// quota: then it is replaced.
func (q *quota) count(change usage) {
	if q == nil {
		return
	}
	err := change.appendTo(q.fs, q.file())
	if err == unix.EACCES && q.recount() == nil {
		change.appendTo(q.fs, q.file())
	}
}

// recount counts the messages and writes maildirsize anew. What others append
// meanwhile is lost to the sum, if not to the count.
func (q *quota) recount() error {
	q.unsure = true
	used, err := count(q.fs, q.dir)
	if err != nil {
		return err
	}
	q.used, q.unsure = used, false
	return q.write()
}

// write replaces the file at once: no cut leaves a Maildir without its quota.
func (q *quota) write() error {
	file, tmp, err := create(q.fs, q.dir)
	if err != nil {
		return err
	}
	_, err = file.Write(q.used.appendLine([]byte(q.definition + "\n")))
	if err == nil {
		err = file.Chmod(0o644) // root may define it for a user
	}
	if err == nil {
		err = file.Sync()
	}
	file.Close()
	if err == nil {
		err = q.fs.Rename(tmp, q.file())
	}
	if err == nil {
		return q.fs.SyncDir(q.dir)
	}
	q.fs.Remove(tmp)
	return strerr.Unable("write", q.file(), err)
}

// errChanging means that messages came, went or moved while they were counted:
// one may have been seen twice, or not at all.
var errChanging = errors.New("the Maildir is changing")

// counted lists the directories whose messages count, of a Maildir and its
// folders; what is no folder has none of them.
func counted(fs fsys.FS, dir string) (subs []string, err error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, strerr.Unable("read", dir, err)
	}
	subs = []string{join(dir, "new"), join(dir, "cur")}
	for _, name := range names {
		if name[0] == '.' && name != trash {
			subs = append(subs, join(dir, name+"/new"), join(dir, name+"/cur"))
		}
	}
	return subs, nil
}

// count counts the messages of a Maildir and its folders.
func count(fs fsys.FS, dir string) (used usage, err error) {
	subs, err := counted(fs, dir)
	if err != nil {
		return used, err
	}
	var before []time.Time
	for _, sub := range subs {
		info, err := fs.Stat(sub)
		before = append(before, info.Mtime)
		if err != nil || !info.IsDir() {
			continue
		}
		if err := used.addDir(fs, sub); err != nil {
			return used, err
		}
	}
	for i, sub := range subs {
		if info, _ := fs.Stat(sub); !info.Mtime.Equal(before[i]) {
			return used, errChanging
		}
	}
	return used, nil
}

// addDir counts the messages in one directory.
func (u *usage) addDir(fs fsys.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return strerr.Unable("read", dir, err)
	}
	for _, name := range names {
		if name[0] == '.' || trashed(name) {
			continue
		}
		size, ok := sizeInName(name)
		if !ok {
			info, err := fs.Stat(dir + "/" + name)
			if err != nil || !info.IsRegular() {
				continue
			}
			size = info.Size
		}
		u.bytes = min(u.bytes+size, 1<<62)
		u.messages++
	}
	return nil
}

// trashed reports whether a reader has given a message the flag T.
func trashed(name string) bool {
	_, flags, _ := strings.Cut(name, ":2,")
	return strings.Contains(flags, "T")
}

// sizeInName returns the size that the name of a message tells: ",S=1432".
// Counting is then done without looking at the files.
func sizeInName(name string) (size int64, ok bool) {
	name, _, _ = strings.Cut(name, ":")
	_, text, found := cutLast(name, ",S=")
	text, _, _ = strings.Cut(text, ",")
	size, ok = number(text)
	return size, found && ok && size >= 0
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// suffix is what a message's name ends with where sizes count.
func (q *quota) suffix(size int64) string {
	if q == nil {
		return ""
	}
	return ",S=" + strconv.FormatInt(size, 10)
}

// Removed tells the quota of the Maildir dir, if there is one, that messages
// have been removed from it.
func Removed(fs fsys.FS, dir string, messages []Entry) {
	var change usage
	for i := range messages {
		if m := &messages[i]; !trashed(m.Name) {
			size, ok := sizeInName(m.Name)
			if !ok {
				size = m.Size
			}
			change.add(-size, -1)
		}
	}
	if change.messages != 0 {
		quotaOf(fs, dir).count(change)
	}
}

// setQuota defines the quota of a Maildir, and counts what is in it.
func setQuota(fs fsys.FS, dir, definition string) error {
	q := &quota{fs: fs, dir: dir, maildirsize: maildirsize{definition: definition}}
	return q.recount()
}
