package maildir

import (
	"context"
	"path"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/mta/layout"
)

// Maildirmake is the program maildirmake(1).
var Maildirmake = proc.Program{Name: "maildirmake", Usage: "name", Run: maildirmake}

func maildirmake(_ context.Context, env *proc.Env) error {
	if len(env.Args) < 2 {
		return proc.ErrUsage
	}
	unix.Umask(layout.Umask)
	return Make(fsys.OS{Root: env.Dir}, env.Args[1])
}

// Make makes the directory dir a new Maildir, for its owner alone, and makes
// it durable: mail will be.
func Make(fs fsys.FS, dir string) error {
	for _, name := range []string{dir, dir + "/tmp", dir + "/new", dir + "/cur"} {
		if err := fs.Mkdir(name, 0o700); err != nil {
			return strerr.Unable("mkdir", name, err)
		}
	}
	if err := fs.SyncDir(dir); err != nil {
		return strerr.Unable("sync", dir, err)
	}
	parent := path.Dir(path.Clean(dir))
	if err := fs.SyncDir(parent); err != nil && err != unix.EACCES { // may be unreadable
		return strerr.Unable("sync", parent, err)
	}
	return nil
}
