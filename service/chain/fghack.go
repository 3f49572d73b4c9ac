package chain

import (
	"context"
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Fghack runs a program that puts itself into the background, and stays in the
// foreground until the program has really ended.
var Fghack = proc.Program{Name: "fghack", Usage: "child", Run: fghack}

const (
	// copies is how many descriptors of the pipe the program gets: many daemons
	// close the first few descriptors, but seldom so many. (The C program makes
	// 31 copies, from 3 on, too.)
	copies = 31

	// high is a descriptor number above all copies.
	high = 64

	// spare is how many descriptors are needed to examine a program and start it.
	spare = 4
)

// The writing ends of the pipe stay open in the program and its descendants; end of
// file means that all of them are gone.
func fghack(_ context.Context, env *proc.Env) error {
	if len(env.Args) < 2 {
		return proc.ErrUsage
	}
	r, w, err := sys.Pipe()
	if err != nil {
		return strerr.Unable("create pipe", "", err)
	}
	r, w = raise(r), raise(w)
	p, err := startWith(env, int(w.Fd()))
	w.Close()
	if err != nil {
		if child.Exhausted(err) {
			return strerr.Unable("fork", "", err)
		}
		return strerr.Named("run", env.Args[1], err)
	}
	io.Copy(io.Discard, r)
	status, err := p.Wait()
	switch {
	case err != nil:
		return errors.New("wait failed: " + strerr.Text(err))
	case status.Crashed():
		return errors.New("child crashed")
	}
	return proc.Exit(status.Code())
}

// raise gives a descriptor a high number, if there is one.
func raise(f *sys.FD) *sys.FD {
	n, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, high)
	if err != nil {
		return f
	}
	f.Close()
	return sys.NewFD(n)
}

// startWith starts the program with descriptors 0 to 2, all others that were
// inherited, and copies of fd in the lowest free places.
func startWith(env *proc.Env, fd int) (*child.Process, error) {
	var held []int
	defer func() { closeAll(held) }()
	for range copies {
		n, err := unix.Dup(fd)
		if err != nil {
			// Fewer copies will do, and starting a child needs descriptors too.
			enough := max(0, len(held)-spare)
			closeAll(held[enough:])
			held = held[:enough]
			break
		}
		held = append(held, n)
	}
	return child.Start(&child.Command{
		Argv: env.Args[1:], Vars: env.Vars, Dir: env.Dir, Files: []int{0, 1, 2}, Chain: true,
	})
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
