package chain

import (
	"bytes"
	"context"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// Envdir runs a program with an environment changed by a directory: a file's
// name is a variable, its first line the value; an empty file removes it.
var Envdir = proc.Program{
	Name: "envdir", Usage: "dir child", Run: envdir,
	UsageStatus: proc.StatusTemporary, // as in the original, for whatever reason
}

// maxLine is more than execve(2) takes for one string (32 pages, the largest of
// which have 64 KiB).
const maxLine = 4 << 20

func envdir(ctx context.Context, env *proc.Env) error {
	if len(env.Args) < 3 {
		return proc.ErrUsage
	}
	dir := env.Args[1]
	tree, err := held(env, dir)
	if err != nil {
		return err
	}
	names, err := tree.List(".")
	if err != nil {
		return strerr.Unable("read directory", dir, err)
	}
	for _, name := range names {
		if name[0] == '.' {
			continue
		}
		value, set, err := readValue(tree, name)
		if err != nil {
			return strerr.Unable("read", dir+"/"+name, err)
		}
		put(&env.Vars, name, value, set)
	}
	return env.Next(ctx, env, env.Args[2:])
}

// held opens the directory as chdir(2) and opendir(3) would one after the other:
// looking up its "." wants search permission, reading it another one.
func held(env *proc.Env, dir string) (fsys.OS, error) {
	if dir == "" {
		return fsys.OS{}, strerr.Unable("switch to directory", "", unix.ENOENT)
	}
	tree := fsys.OS{Root: env.Dir}
	if _, err := tree.Stat(dir + "/."); err != nil {
		return tree, strerr.Unable("switch to directory", dir, err)
	}
	tree, err := tree.Held(dir)
	if err != nil {
		return tree, strerr.Unable("read directory", dir, err)
	}
	return tree, nil
}

// readValue reads the first line of a file, without the blanks at its end. A
// variable cannot hold a NUL, so a file says LF with it. set is false for a
// file with nothing at all in it, or that went away meanwhile.
func readValue(tree fsys.FS, name string) (value string, set bool, err error) {
	f, err := tree.Open(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err == unix.ENOENT {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	var line []byte
	buf := make([]byte, 4096)
	for {
		n, err := f.Read(buf)
		if err != nil && err != io.EOF {
			return "", false, err
		}
		line = append(line, buf[:n]...)
		end := bytes.IndexByte(line, '\n')
		if end >= 0 || n == 0 || len(line) > maxLine {
			set = len(line) > 0
			if end >= 0 {
				line = line[:end]
			}
			line = bytes.TrimRight(line, " \t")
			return string(bytes.ReplaceAll(line, []byte{0}, []byte{'\n'})), set, nil
		}
	}
}

// put changes one variable. What a file name says after a "=" has always been
// part of the value (pathexec_env.c joins first and splits then).
func put(vars *proc.Vars, name, value string, set bool) {
	text := name
	if set {
		text += "=" + value
	}
	name, value, set = strings.Cut(text, "=")
	if set {
		vars.Set(name, value)
	} else {
		vars.Unset(name)
	}
}
