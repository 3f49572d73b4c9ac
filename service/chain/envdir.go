package chain

import (
	"bytes"
	"context"
	"io"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Envdir runs a program with an environment changed by a directory: a file's
// name is a variable, its first line the value; an empty file removes the
// variable.
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
	name := env.Args[1]
	dir, err := open(in(env.Dir, name), name)
	if err != nil {
		return err
	}
	defer dir.Close()
	// Keep the order of the directory: it becomes the order of the environment,
	// and decides which of several bad files is reported.
	err = eachName(dir, func(file string) error {
		if file[0] == '.' {
			return nil
		}
		value, set, err := readValue(dir, file)
		if err != nil {
			return strerr.Unable("read", name+"/"+file, err)
		}
		put(&env.Vars, file, value, set)
		return nil
	})
	if errno, ok := err.(unix.Errno); ok {
		return strerr.Unable("read directory", name, errno)
	}
	if err != nil {
		return err
	}
	return env.Next(ctx, env, env.Args[2:])
}

// open opens the directory as chdir(2) followed by opendir(3) would: looking up
// its "." needs search permission, reading it needs read permission.
func open(dir, shown string) (*sys.FD, error) {
	var st unix.Stat_t
	err := error(unix.ENOENT)
	if dir != "" {
		err = unix.Stat(dir+"/.", &st)
	}
	if err != nil {
		return nil, strerr.Named("switch to directory", shown, err)
	}
	fd, err := sys.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, strerr.Unable("read directory", shown, err)
	}
	return fd, nil
}

// eachName calls f with every name in a directory. It returns the first error of
// f, or the errno if the directory cannot be read.
func eachName(dir *sys.FD, f func(name string) error) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.ReadDirent(int(dir.Fd()), buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return err
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if err := f(name); err != nil {
				return err
			}
		}
	}
}

// readValue reads the first line of a file, without the blanks at its end. A
// variable cannot hold a NUL, so a NUL in the file stands for a line feed. set is
// false if the file is empty, or was removed in the meantime.
func readValue(dir *sys.FD, name string) (value string, set bool, err error) {
	// A fifo without a writer counts as empty and is not waited for.
	f, err := sys.OpenAt(int(dir.Fd()), name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
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
		n, err := f.TryRead(buf)
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
