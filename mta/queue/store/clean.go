package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"strings"
	"syscall"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/mta/layout"
)

// Ossified is the age above which a message file without an envelope, or a file
// in pid/, belongs to nobody: qmail-queue gives up after 24 hours. The age is
// that of the last access, as in C: nobody but the queue's owner can set it.
const Ossified = 36 * time.Hour

// Commands to qmail-clean: these prefixes, a message number, NUL. Each is
// answered by one byte.
const (
	CleanTodo = "todo/" // remove intd/N and todo/N: the message is preprocessed
	CleanMess = "foop/" // remove intd/N and mess/S/N: the message is done with
	CleanHold = "hold/" // ours: move mess/S/N and todo/N to corrupt/

	CleanOK      = '+'
	CleanFailed  = '!' // the file is still there
	CleanUnknown = 'x' // the C program's answer to hold/
)

// maxCommand is how long a command may be (qmail-clean.c).
const maxCommand = 100

// pidRounds is how many commands pass between two looks at pid/.
const pidRounds = 30

// QmailClean removes, as the owner of the queue, what qmail-send may not.
var QmailClean = proc.Program{
	Name: "qmail-clean",
	Run: func(_ context.Context, env *proc.Env) error {
		home := layout.Home(env.Vars)
		fs := fsys.OS{Root: home + "/queue"}
		if st, err := fs.Stat("."); err != nil || !st.IsDir() {
			return proc.Exit(111)
		}
		sys.IgnoreSIGPIPE()
		return ServeClean(fs, env.Files[0], env.Files[1], time.Now)
	},
}

// ServeClean answers commands until they end. It says nothing but its
// answers: nobody reads its descriptor 2.
func ServeClean(fs fsys.FS, in io.Reader, out io.Writer, now func() time.Time) error {
	form, err := FindForm(fs)
	if err != nil {
		return proc.Exit(111)
	}
	r := bufio.NewReaderSize(in, 4096)
	w := bufio.NewWriter(out)
	for round := 0; ; round++ {
		// Commands that came together are answered together.
		waiting, _ := r.Peek(r.Buffered())
		together := bytes.IndexByte(waiting, 0) >= 0
		if !together && w.Flush() != nil {
			return proc.Exit(100)
		}
		if round%pidRounds == 0 {
			cleanPid(fs, now())
		}
		command, err := readCommand(r)
		if err != nil {
			return nil // qmail-send is gone; a part of a command is none
		}
		if !together {
			if now, err := FindForm(fs); err == nil {
				form = now
			}
		}
		w.WriteByte(clean(fs, form, command))
	}
}

// readCommand returns the next command without its NUL, "" for one that is too
// long to be any.
func readCommand(r *bufio.Reader) (string, error) {
	part, err := r.ReadSlice(0)
	long := len(part) > maxCommand
	for err == bufio.ErrBufferFull {
		part, err = r.ReadSlice(0)
		long = true
	}
	if err != nil || long {
		return "", err
	}
	return string(part[:len(part)-1]), nil
}

func clean(fs fsys.FS, form Form, command string) byte {
	verb, number, _ := strings.Cut(command, "/")
	// S/N is what the qmail-send of the big-todo patch says.
	id, ok := ParseID(path.Base(number))
	if !ok || number != id.String() && number != id.Split() {
		return CleanUnknown
	}
	switch verb + "/" {
	case CleanTodo:
		return removeAll(fs, append(form.Intds(id), form.Todos(id)...)...)
	case CleanMess:
		return removeAll(fs, append(form.Intds(id), id.Mess())...)
	case CleanHold:
		return hold(fs, form, id)
	}
	return CleanUnknown
}

// removeAll removes names in this order; a later one stays if an earlier one
// cannot be removed. One that is not there is as good as removed.
func removeAll(fs fsys.FS, names ...string) byte {
	for _, name := range names {
		if err := fs.Remove(name); err != nil && !errors.Is(err, syscall.ENOENT) {
			return CleanFailed
		}
	}
	return CleanOK
}

// hold takes a message that cannot be read out of the queue without losing a
// byte of it. The message goes first: alone in mess/ it would be removed after
// 36 hours, while a todo without message is only held again. Its inode stays
// in use, so no new message gets its number.
func hold(fs fsys.FS, form Form, id ID) byte {
	if err := fs.Mkdir("corrupt", 0o700); err != nil && !errors.Is(err, syscall.EEXIST) {
		return CleanFailed
	}
	// Also when it was there: an earlier try may have ended before this.
	if fs.SyncDir(".") != nil {
		return CleanFailed
	}
	moves := [][2]string{{id.Mess(), "corrupt/" + id.String() + ".mess"}}
	for _, todo := range form.Todos(id) {
		moves = append(moves, [2]string{todo, "corrupt/" + id.String() + ".todo"})
	}
	for _, move := range moves {
		if err := fs.Rename(move[0], move[1]); err != nil && !errors.Is(err, syscall.ENOENT) {
			return CleanFailed
		}
		// Where it arrived first: under two names it is safe, under none it is
		// lost.
		if fs.SyncDir("corrupt") != nil || fs.SyncDir(path.Dir(move[0])) != nil {
			return CleanFailed
		}
	}
	return removeAll(fs, form.Intds(id)...)
}

// cleanPid removes what killed qmail-queues left. Trouble is for the next
// round.
func cleanPid(fs fsys.FS, now time.Time) {
	names, _ := fs.List("pid")
	for _, name := range names {
		if st, err := fs.Stat("pid/" + name); err == nil && now.Sub(st.Atime) > Ossified {
			fs.Remove("pid/" + name)
		}
	}
}
