package maildir

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/opt"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/mta/layout"
)

// Maildirmake is the program maildirmake(1). The options are those of the Courier
// mail server's program of this name.
var Maildirmake = proc.Program{Name: "maildirmake", Usage: "[ -q quota | -f folder ] name", Run: maildirmake}

func maildirmake(_ context.Context, env *proc.Env) error {
	var definition, folder string
	options := opt.Parse(env.Args[1:], "q:f:")
	for options.Next() {
		switch options.Letter {
		case 'q':
			definition = options.Arg
			if _, ok := parseLimits(definition); !ok {
				return proc.Permanent(errors.New("invalid quota: " + strerr.Clean(definition)))
			}
		case 'f':
			folder = options.Arg
			if !isFolder(folder) {
				return proc.Permanent(errors.New("invalid folder name: " + strerr.Clean(folder)))
			}
		default:
			env.Say(options.Problem())
			return proc.ErrUsage
		}
	}
	args := options.Rest()
	if len(args) == 0 || definition != "" && folder != "" {
		return proc.ErrUsage
	}
	unix.Umask(layout.Umask)
	fs, dir := fsys.OS{Root: env.Dir}, args[0]
	switch {
	case folder != "":
		return makeFolder(fs, dir, folder)
	case definition != "":
		if _, err := fs.Stat(join(dir, "cur")); err == unix.ENOENT {
			if err := Make(fs, dir); err != nil {
				return err
			}
		}
		return setQuota(fs, dir, definition)
	}
	return Make(fs, dir)
}

// isFolder reports whether name may name a folder: words with dots between
// them, for folders within folders.
func isFolder(name string) bool {
	return !strings.Contains(name, "/") && !slices.Contains(strings.Split(name, "."), "")
}

// makeFolder makes a folder in the Maildir dir. The file maildirfolder in it
// says that it is one.
func makeFolder(fs fsys.FS, dir, name string) error {
	if _, err := fs.Stat(join(dir, "cur")); err != nil {
		return strerr.Unable("stat", join(dir, "cur"), err)
	}
	name = join(dir, "."+name)
	if err := Make(fs, name); err != nil {
		return err
	}
	mark := name + "/maildirfolder"
	file, err := fs.Open(mark, fsys.WRONLY|fsys.CREATE|fsys.EXCL, 0o600) // by no link: root may do it for a user
	if err != nil {
		return strerr.Unable("create", mark, err)
	}
	file.Close()
	if err := fs.SyncDir(name); err != nil {
		return strerr.Unable("sync", name, err)
	}
	return nil
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
