// Package store is the only code that names queue files. The layout is that of
// qmail 1.03 (INTERNALS section 2); N is the inode number of the message file
// in decimal, S is N modulo 23:
//
//	pid/ANY      a message file without its name yet
//	mess/S/N     the message
//	intd/N       an envelope being written:  u<uid>\0 p<pid>\0 F<sender>\0 T<recipient>\0 …
//	todo/N       a link to it: the message is queued
//	info/S/N     F<sender>\0; its modification time is the message's birth
//	local/S/N    T<recipient>\0 … ; D in place of T for one that is done
//	remote/S/N   the same for the other channel
//	bounce/N     text: what goes back to the sender
//
// In a queue of the big-todo patch the names intd/N and todo/N are intd/S/N and
// todo/S/N, see [Form].
//
// and the states a message passes, by the files that exist:
//
//	S1  nothing
//	S2  mess                                    (to be cleaned up if it stays)
//	S3  mess intd                               (the same)
//	S4  mess todo, perhaps intd info local remote   queued
//	S5  mess info, perhaps local remote bounce      preprocessed
package store

import (
	"errors"
	"slices"
	"strconv"
	"syscall"

	"paperpath/internal/fsys"
	"paperpath/mta/layout"
)

// ID is a message's number: the inode number of its file.
type ID uint64

func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

// Dir returns the directory of dir (mess, info, local or remote) that a
// message's file is in.
func (id ID) Dir(dir string) string {
	return dir + "/" + strconv.FormatUint(uint64(id%layout.Split), 10)
}

// Split returns S/N, the name below mess/ by which the spawners know a message.
func (id ID) Split() string {
	return strconv.FormatUint(uint64(id%layout.Split), 10) + "/" + id.String()
}

func (id ID) split(dir string) string { return dir + "/" + id.Split() }

// Names of a message's files, relative to the queue directory.
func (id ID) Mess() string   { return id.split("mess") }
func (id ID) Info() string   { return id.split("info") }
func (id ID) Local() string  { return id.split("local") }
func (id ID) Remote() string { return id.split("remote") }
func (id ID) Bounce() string { return "bounce/" + id.String() }

// Form is what differs between queues: with the big-todo patch todo and intd
// have subdirectories, as mess has, for file systems that are slow with many
// files in one directory. The queue on the disk says which it is, so that our
// programs fit in with those that made it.
//
// One with subdirectories may have plain names, too: of before they were made,
// of a qmail-queue that had begun then, or of one that does not know them. So
// a new name is that of the form, and old ones are looked for in both places.
type Form struct{ BigTodo bool }

// FindForm looks for todo/0. It costs one stat, and whoever runs for long looks
// again with every round: the subdirectories may have been made meanwhile.
func FindForm(fs fsys.FS) (Form, error) {
	st, err := fs.Stat("todo/0")
	switch {
	case errors.Is(err, syscall.ENOENT):
		return Form{}, nil
	case err != nil:
		return Form{}, err
	}
	return Form{BigTodo: st.IsDir()}, nil
}

// Todo returns the name that a new message gets in todo.
func (f Form) Todo(id ID) string { return f.name(id, "todo") }

// Intd returns the name that it gets in intd.
func (f Form) Intd(id ID) string { return f.name(id, "intd") }

// Todos returns the names that a message may have in todo, the usual one first.
func (f Form) Todos(id ID) []string { return f.names(id, "todo") }

// Intds does so for intd.
func (f Form) Intds(id ID) []string { return f.names(id, "intd") }

func (f Form) name(id ID, dir string) string {
	if f.BigTodo {
		return id.split(dir)
	}
	return plainName(id, dir)
}

func (f Form) names(id ID, dir string) []string {
	if f.BigTodo {
		return []string{id.split(dir), plainName(id, dir)}
	}
	return []string{plainName(id, dir)}
}

func plainName(id ID, dir string) string { return dir + "/" + id.String() }

// TodoDir returns the directory that a new message's name in todo is in.
func (f Form) TodoDir(id ID) string {
	if f.BigTodo {
		return id.Dir("todo")
	}
	return "todo"
}

// TodoDirs returns all directories that files of todo may be in.
func (f Form) TodoDirs() []string {
	if f.BigTodo {
		return append(Subdirs("todo"), "todo")
	}
	return []string{"todo"}
}

// ListTodo returns the messages that have a file in dir, one of TodoDirs.
func (f Form) ListTodo(fs fsys.FS, dir string) ([]ID, error) {
	ids, err := List(fs, dir)
	if f.BigTodo && dir == "todo" {
		ids = slices.DeleteFunc(ids, func(id ID) bool { return id < layout.Split }) // the subdirectories
	}
	return ids, err
}

// InTodo reports whether a message has a file in todo.
func (f Form) InTodo(fs fsys.FS, id ID) (bool, error) {
	for _, name := range f.Todos(id) {
		_, err := fs.Lstat(name)
		// ENOTDIR: f is a guess, and todo/S a message's name.
		if !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTDIR) {
			return err == nil, err
		}
	}
	return false, nil
}

// ParseID reads a file name of the queue. Names with signs, leading zeros or
// anything else that String would not write are not ids.
func ParseID(name string) (ID, bool) {
	n, err := strconv.ParseUint(name, 10, 64)
	return ID(n), err == nil && ID(n).String() == name
}
