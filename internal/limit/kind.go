package limit

import (
	"strings"

	"golang.org/x/sys/unix"

	"paperpath/internal/gobinary"
)

// Kind is what a program file is, as far as limits are concerned.
type Kind int

const (
	Foreign Kind = iota // not written in Go
	Go                  // written in Go
	Own                 // one of this module's programs
)

// KindOf looks at a program file. The error is that of a file that cannot be
// executed.
//
// A file that may be executed but not read (qmail's programs are mode 0711), or
// cannot be read just now, counts as Own: taking a Go program for a foreign one would kill it, the other
// mistake costs a limit.
func KindOf(file string) (Kind, error) {
	if err := executable(file); err != nil {
		return Foreign, err
	}
	info, err := gobinary.Info(file)
	switch {
	case err == gobinary.ErrNone:
		return Foreign, nil
	case err != nil:
		return Own, nil
	case strings.HasPrefix(gobinary.Main(info), "paperpath/"):
		return Own, nil
	}
	return Go, nil
}

// executable fails as execve(2) would.
func executable(file string) error {
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return unix.EACCES
	}
	return unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS)
}
