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
			messages += countMessages(env, fs, "mess/"+dir)
		}
		form, _ := FindForm(fs) // what it cannot look at cannot be counted either
		todo := 0
		for _, dir := range form.TodoDirs() {
			todo += countMessages(env, fs, dir)
		}
		_, err = io.WriteString(env.Files[1], "messages in queue: "+strconv.Itoa(messages)+
			"\nmessages in queue but not yet preprocessed: "+strconv.Itoa(todo)+"\n")
		return err
	},
}

func countMessages(env *proc.Env, fs fsys.FS, dir string) int {
	ids, err := List(fs, dir)
	if err != nil {
		env.Warn(strerr.Unable("read", dir, err))
	}
	return len(ids)
}
