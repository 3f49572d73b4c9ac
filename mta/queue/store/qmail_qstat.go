package store

import (
	"context"
	"io"
	"strconv"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/mta/layout"
)

// QmailQstat counts the messages in the queue and those of them that
// qmail-send has not yet looked at. The original is a shell script around
// find(1), and as there a directory that cannot be read is complained about on
// descriptor 2, counts nothing and does not change the exit status.
var QmailQstat = proc.Program{
	Name: "qmail-qstat",
	Run: func(_ context.Context, env *proc.Env) error {
		fs := fsys.OS{Root: layout.Home(env.Vars) + "/queue"}
		messages := 0
		subdirs, err := fs.List("mess") // all there are: a C queue may have more than ours
		if err != nil {
			env.Warn(strerr.Unable("read", "mess", err))
		}
		for _, dir := range subdirs {
			ids, err := List(fs, "mess/"+dir)
			messages += count(env, "mess/"+dir, ids, err)
		}
		form, _ := FindForm(fs) // what it cannot look at cannot be counted either
		todo := 0
		for _, dir := range form.TodoDirs() {
			ids, err := form.ListTodo(fs, dir)
			todo += count(env, dir, ids, err)
		}
		_, err = io.WriteString(env.Files[1], "messages in queue: "+strconv.Itoa(messages)+
			"\nmessages in queue but not yet preprocessed: "+strconv.Itoa(todo)+"\n")
		return err
	},
}

func count(env *proc.Env, dir string, ids []ID, err error) int {
	if err != nil {
		env.Warn(strerr.Unable("read", dir, err))
	}
	return len(ids)
}
