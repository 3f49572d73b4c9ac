package proc

import (
	"errors"
	"strings"
	"syscall"
)

// SearchPath calls try with each file name that argv0 may stand for, in the
// order of pathexec(3) of the C packages: a name with a slash is itself; any
// other is looked for along $PATH (without one, /bin and /usr/bin), an empty
// element meaning the current directory. try returns only if that file could
// not be run. The search ends at the first error other than "no such file",
// "not a directory", "permission denied" and "is a directory"; of errors met on
// the way permission denied is the one remembered.
func SearchPath(vars Vars, argv0 string, try func(file string) error) error {
	if strings.Contains(argv0, "/") {
		return try(argv0)
	}
	path, ok := vars.Get("PATH")
	if !ok {
		path = "/bin:/usr/bin"
	}
	saved := error(syscall.ENOENT)
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		err := try(dir + "/" + argv0)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EISDIR):
			saved = err
		case !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTDIR):
			return err
		}
	}
	return saved
}
