package store

import (
	"context"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/mta/layout"
)

// QmailUpq moves the files of mess, info, local and remote to the subdirectories
// that their numbers ask for: from a queue of before qmail 1.00, which had none,
// or of another conf-split. qmail must not run.
//
// Any file may be moved already: a run that was cut short is repeated.
var QmailUpq = proc.Program{
	Name: "qmail-upq",
	Run: func(_ context.Context, env *proc.Env) error {
		u := upgrade{env, fsys.OS{Root: layout.Home(env.Vars) + "/queue"}}
		for _, dir := range []string{"mess", "info", "local", "remote"} {
			if err := u.directory(dir); err != nil {
				return err
			}
		}
		return nil
	},
}

type upgrade struct {
	env *proc.Env
	fs  fsys.FS
}

// directory moves what is directly in dir and what is in its subdirectories.
func (u *upgrade) directory(dir string) error {
	if err := u.files(dir, dir); err != nil {
		return err
	}
	names, err := u.fs.List(dir)
	if err != nil {
		return strerr.Unable("read", dir, err)
	}
	for _, name := range names {
		sub := dir + "/" + name
		info, err := u.fs.Lstat(sub)
		if err != nil {
			return strerr.Unable("stat", sub, err)
		}
		if _, ok := ParseID(name); ok && info.IsDir() {
			if err := u.files(dir, sub); err != nil {
				return err
			}
		}
	}
	return nil
}

// files moves the files of from that belong elsewhere below dir. Their new
// names are durable before the old ones go.
func (u *upgrade) files(dir, from string) error {
	ids, err := List(u.fs, from)
	if err != nil {
		return strerr.Unable("read", from, err)
	}
	var moved []string
	for _, id := range ids {
		old, new := from+"/"+id.String(), id.Dir(dir)+"/"+id.String()
		if old == new {
			continue
		}
		if info, err := u.fs.Lstat(old); err != nil || !info.IsRegular() {
			continue // a subdirectory of dir
		}
		switch err := u.fs.Link(old, new); {
		case err == unix.EEXIST && !u.sameFile(old, new):
			u.env.Warn(strerr.Unable("move "+old+" to", new, err))
			continue
		case err != nil && err != unix.EEXIST:
			return strerr.Unable("move "+old+" to", new, err)
		}
		moved = append(moved, old)
	}
	if len(moved) == 0 {
		return nil
	}
	for _, sub := range Subdirs(dir) {
		if err := u.fs.SyncDir(sub); err != nil {
			return strerr.Unable("sync", sub, err)
		}
	}
	for _, old := range moved {
		if err := u.fs.Remove(old); err != nil {
			return strerr.Unable("remove", old, err)
		}
	}
	return nil
}

// sameFile reports whether a run before this one has been here.
func (u *upgrade) sameFile(a, b string) bool {
	x, err1 := u.fs.Lstat(a)
	y, err2 := u.fs.Lstat(b)
	return err1 == nil && err2 == nil && x.Ino == y.Ino
}
