package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/opt"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/mta/layout"
)

// Instpackage is "make install". It copies the programs that lie beside it; where
// they lie in their place already, as after the unpacking of a binary package, it
// does all the rest.
var Instpackage = proc.Program{Name: "instpackage", Usage: "[ -b ] [ -d destdir ] [ queue-only ]", Run: instpackage}

// installer is one installation.
type installer struct {
	env  *proc.Env
	root string // destdir; "" for this host
	home string
	from string // where the programs were built
	ids  *ids

	queueOnly bool
	bigTodo   bool // a queue that is made is one of the big-todo patch

	count int // things made, replaced or corrected
	bare  int // things whose owner only a host will know
}

func instpackage(_ context.Context, env *proc.Env) error {
	x, err := begin(env, "bd:")
	if err != nil {
		return err
	}
	if x.root == "" && os.Geteuid() != 0 {
		return proc.Permanent(errors.New("only root can install; -d names a directory to install below"))
	}
	if x.home != layout.DefaultHome && os.Geteuid() == 0 {
		return proc.Permanent(fmt.Errorf("these programs are for %s, not for QMAILHOME: make install QMAILHOME=%s builds others",
			layout.DefaultHome, x.home))
	}
	list, err := x.items()
	if err != nil {
		return err
	}
	if x.bigTodo && exists(x.root+x.home+"/queue/todo") && !exists(x.root+x.home+"/queue/todo/0") {
		x.say("kept " + x.root + x.home + "/queue/todo: a queue that exists keeps its form")
	}
	unix.Umask(0o022) // parents of what the tables list are for everybody to enter
	if x.root == "" {
		if err := makeAccounts(env, x.home, x.did); err != nil {
			return err
		}
	}
	for i := range list {
		if err := x.put(&list[i]); err != nil {
			return err
		}
	}
	x.finish()
	return nil
}

// begin reads the arguments, most of which instcheck has too.
func begin(env *proc.Env, options string) (*installer, error) {
	x := &installer{env: env, home: layout.Home(env.Vars)}
	o := opt.Parse(env.Args[1:], options)
	for o.Next() {
		switch {
		case o.Letter == 'b':
			x.bigTodo = true
		case o.Letter == 'd' && path.IsAbs(o.Arg):
			x.root = strings.TrimRight(o.Arg, "/")
		default:
			return nil, proc.ErrUsage
		}
	}
	x.ids = newIDs(x.root)
	self, err := child.Self()
	if err != nil {
		return nil, strerr.Unable("find", "my own program", err)
	}
	x.from = filepath.Dir(self)
	switch rest := o.Rest(); {
	case len(rest) == 1 && rest[0] == "queue-only":
		x.queueOnly = true
	case len(rest) > 0:
		return nil, proc.ErrUsage
	}
	return x, nil
}

// items lists what is asked for.
func (x *installer) items() ([]item, error) {
	list, err := items(x.home)
	if x.queueOnly {
		list = slices.DeleteFunc(list, func(it item) bool { return !it.queue(x.home) })
	}
	todo := x.root + x.home + "/queue/todo"
	if exists(todo+"/0") || x.bigTodo && !exists(todo) {
		list = bigTodo(list, x.home)
	}
	return list, err
}

func (x *installer) say(text string) { io.WriteString(x.env.Files[1], text+"\n") }

func (x *installer) did(text string) {
	x.count++
	x.say(text)
}

func (x *installer) finish() {
	if x.bare > 0 {
		x.say(fmt.Sprintf("%d things have no owner yet; instpackage on the host that gets them will give them theirs", x.bare))
	}
	if x.count == 0 {
		x.say("nothing to change")
		return
	}
	x.say(fmt.Sprintf("%d things made, replaced or corrected", x.count))
	if _, err := os.Stat(x.root + x.home + "/control/me"); x.root == "" && os.IsNotExist(err) {
		x.say("next: " + x.home + "/bin/config-fast your.full.host.name")
		x.say("all steps: " + x.home + "/doc/install.md")
	}
}

// put sees to one thing.
func (x *installer) put(it *item) error {
	name := x.root + it.Path
	if service, within := x.service(it); within && exists(service+"/run") {
		return nil
	}
	if err := os.MkdirAll(path.Dir(name), 0o755); err != nil {
		return strerr.Unable("create", path.Dir(name), err)
	}
	var st unix.Stat_t
	err := unix.Lstat(name, &st)
	if err != nil && err != unix.ENOENT {
		return strerr.Unable("stat", name, err)
	}
	absent := err != nil
	if absent && it.compressed(name) {
		return nil
	}
	switch it.Kind {
	case 'd', 'p', 'f':
		return x.putPlace(it, name, &st, absent)
	case 's':
		return x.putFile(it, name, &st, absent)
	case 'c':
		// Rules that are compiled already have their source elsewhere.
		if absent && !exists(name+".cdb") {
			return x.replace(it, name, it.text)
		}
	case 'l':
		return x.putLink(it, name, &st, absent)
	}
	return nil
}

// service returns the service directory that something is in.
func (x *installer) service(it *item) (dir string, within bool) {
	all := x.home + "/supervise/"
	rest, ok := strings.CutPrefix(it.Path, all)
	name, _, within := strings.Cut(rest, "/")
	return x.root + all + name, ok && within
}

// putPlace makes a directory, a fifo or a file of zeros. In the qmail home it
// corrects the owner and mode of one that is there.
func (x *installer) putPlace(it *item, name string, st *unix.Stat_t, absent bool) (err error) {
	if !absent {
		if it.Host && it.Kind == 'd' {
			return x.unpacked(it, name, st)
		}
		return x.settle(it, name, x.mayLead(it), false)
	}
	switch it.Kind {
	case 'd':
		if to := "/etc/service"; it.Path == "/service" && isDir(x.root+to) {
			// Debian's daemontools have theirs there: one directory by two names.
			if err := os.Symlink(to, name); err != nil {
				return strerr.Unable("create", name, err)
			}
			x.count++
			return nil
		}
		err = unix.Mkdir(name, 0o700)
	case 'p':
		err = unix.Mkfifo(name, 0o600)
	case 'f':
		err = zeros(name, it.Size)
	}
	if err != nil {
		return strerr.Unable("create", name, err)
	}
	x.count++
	return x.settle(it, name, false, true)
}

// mayLead reports whether a link may stand for a directory: the home or the queue may
// be elsewhere, on a disk of its own. Where they are only root can make a link.
func (x *installer) mayLead(it *item) bool {
	return it.Kind == 'd' && (it.Path == x.home || path.Dir(it.Path) == x.home)
}

func zeros(name string, size int64) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, size))
	return errors.Join(err, f.Close())
}

// unpacked gives a directory around the home its owner if a package has made it:
// what was to be somebody's and is root's, nobody has used. Otherwise it stays.
func (x *installer) unpacked(it *item, name string, st *unix.Stat_t) error {
	if _, uid, _, err := x.want(it); err != nil || uid <= 0 || st.Uid != 0 || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return err
	}
	return x.settle(it, name, false, false)
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// putFile makes or replaces a program, a page or a script.
func (x *installer) putFile(it *item, name string, st *unix.Stat_t, absent bool) error {
	text := it.text
	if it.program != "" {
		var err error
		text, err = os.ReadFile(x.from + "/" + it.program)
		if os.IsNotExist(err) && !absent {
			return x.settle(it, name, false, false) // unpacked already
		}
		if err != nil {
			return strerr.Unable("read", x.from+"/"+it.program, err)
		}
	}
	switch {
	case absent:
	case st.Mode&unix.S_IFMT == unix.S_IFLNK && strings.HasPrefix(it.Path, x.home+"/bin/"):
		// qmail-queue of a null client, for one, is qmail-qmqpc.
		x.say("kept " + name + ": it is a link")
		return nil
	case st.Mode&unix.S_IFMT == unix.S_IFREG:
		if same(name, text) {
			return x.settle(it, name, false, false)
		}
	}
	return x.replace(it, name, text)
}

func same(name string, text []byte) bool {
	old, err := os.ReadFile(name)
	return err == nil && bytes.Equal(old, text)
}

// replace puts a file in its place in one step: a program may be running, or about
// to be run.
func (x *installer) replace(it *item, name string, text []byte) (err error) {
	f, err := os.CreateTemp(path.Dir(name), ".instpackage-")
	if err != nil {
		return strerr.Unable("create", name, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	defer f.Close() // of a file that failed
	if _, err := f.Write(text); err != nil {
		return strerr.Unable("write", name, err)
	}
	// Not by its name: with -d the directory may be somebody else's.
	if err := x.give(it, f.Name(), int(f.Fd()), true); err != nil {
		return err
	}
	if x.root == "" {
		err = f.Sync()
	}
	if e := f.Close(); err == nil { // what is open cannot be run
		err = e
	}
	if err != nil {
		return strerr.Unable("write", name, err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return strerr.Unable("create", name, err)
	}
	x.count++
	return nil
}

// putLink makes a link. In /command it replaces one that leads elsewhere, as each
// version of daemontools does there; any other may be another mail system's.
func (x *installer) putLink(it *item, name string, st *unix.Stat_t, absent bool) error {
	if !absent {
		link := st.Mode&unix.S_IFMT == unix.S_IFLNK
		if to, err := os.Readlink(name); err == nil && to == it.What {
			return nil
		}
		if !link || path.Dir(it.Path) != "/command" {
			x.say("kept " + name + ": it is not the link to " + it.What)
			return nil
		}
		if err := os.Remove(name); err != nil {
			return strerr.Unable("remove", name, err)
		}
	}
	if err := os.Symlink(it.What, name); err != nil {
		return strerr.Unable("create", name, err)
	}
	x.count++
	if x.root == "" && it.What == x.home+"/bin/sendmail" {
		return keepAside(name + ".old")
	}
	return nil
}

// keepAside makes a directory where Life with qmail has its reader put another mail
// system's sendmail aside: mv sendmail sendmail.old; chmod 0 sendmail.old. On a host
// that has our link by then, chmod would follow it and shut our own program. The
// directory takes the link in, and the mode.
func keepAside(name string) error {
	if err := unix.Mkdir(name, 0o755); err != nil && err != unix.EEXIST {
		return strerr.Unable("create", name, err)
	}
	return nil
}

// settle gives a file the owner and mode of its entry. A new one has nobody's eyes
// on it; what is corrected is said.
//
// The file is held by a descriptor all the while: the queue's directories belong to
// users who are less than root, and must not lead root to other files.
func (x *installer) settle(it *item, name string, follow, fresh bool) error {
	flags := unix.O_PATH | unix.O_CLOEXEC
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := unix.Open(name, flags, 0)
	if err != nil {
		return strerr.Unable("open", name, err)
	}
	defer unix.Close(fd)
	return x.give(it, name, fd, fresh)
}

// give is settle for what is open already.
func (x *installer) give(it *item, name string, fd int, fresh bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return strerr.Unable("stat", name, err)
	}
	if bits, what := kind(it.Kind); st.Mode&unix.S_IFMT != bits {
		return strerr.Unable("use", name, errors.New("it is not "+what))
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink > 1 && !it.Host {
		return strerr.Unable("use", name, errors.New("it has another name"))
	}
	mode, uid, gid, err := x.want(it)
	if err != nil {
		return err
	}
	var done []string
	was := [2]uint32{st.Uid, st.Gid}
	if uid >= 0 && (st.Uid != uint32(uid) || st.Gid != uint32(gid)) {
		if err := unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH); err != nil {
			return strerr.Unable("chown", name, err)
		}
		st.Mode &= 0o1777 | unix.S_IFMT // of a program the set-id bits are gone with that
		done = append(done, fmt.Sprintf("owner %d:%d is now %d:%d", st.Uid, st.Gid, uid, gid))
	}
	if st.Mode&0o7777 != mode {
		if err := unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode); err != nil {
			return strerr.Unable("chmod", name, err)
		}
		done = append(done, fmt.Sprintf("mode %04o is now %04o", st.Mode&0o7777, mode))
	}
	switch {
	case fresh || len(done) == 0:
	case it.Kind == 's' && was == [2]uint32{}:
		x.count++ // as a package has unpacked it
	default:
		x.did("corrected " + name + ": " + strings.Join(done, ", "))
	}
	return nil
}

// want returns the mode and owner that an item shall have. Where the owner cannot be
// set, uid is -1 and no bit gives the owner's rights to others: a qmail-queue that
// is still root's must not be setuid.
func (x *installer) want(it *item) (mode uint32, uid, gid int, err error) {
	uid, gid, err = x.ids.of(it.Owner)
	switch {
	case x.root != "" && (os.Geteuid() != 0 || errors.Is(err, sys.ErrNoAccount)):
		if it.Owner != "root:root" {
			x.bare++
		}
		return it.Mode & 0o777, -1, -1, nil
	case err != nil:
		return 0, 0, 0, err
	}
	return it.Mode, uid, gid, nil
}

// kind returns what stat(2) says of an entry of this letter, and what people say.
func kind(letter byte) (bits uint32, name string) {
	switch letter {
	case 'd':
		return unix.S_IFDIR, "a directory"
	case 'p':
		return unix.S_IFIFO, "a fifo"
	case 'l':
		return unix.S_IFLNK, "a link"
	}
	return unix.S_IFREG, "a file"
}
