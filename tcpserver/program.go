package tcpserver

import (
	"context"
	"errors"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// stream is the connection as the runtime's poller waits for it: a client who is
// silent costs no thread.
type stream struct {
	*os.File
	fd int
}

// Fd returns the descriptor for a child. (os.File's own Fd changes its mode.)
func (s *stream) Fd() uintptr { return uintptr(s.fd) }

// poll makes the connection a stream.
func (c *connection) poll() error {
	if c.stream != nil {
		return nil
	}
	if !c.server.settings.inside { // else accept has done it
		if err := unix.SetNonblock(c.fd, true); err != nil {
			return err
		}
	}
	c.stream = &stream{os.NewFile(uintptr(c.fd), "connection"), c.fd}
	return nil
}

// start runs the program: as a function, to its end, or as a process, which
// then has the connection, and whose number it returns.
func (c *connection) start(ctx context.Context) (pid int) {
	s := c.server
	env := &proc.Env{Vars: c.vars, Files: s.files, Dir: s.env.Dir, Next: c.next}
	env.Files[0], env.Files[1] = sys.NewFD(c.fd), sys.NewFD(c.fd)
	err := c.become(ctx, env, s.argv)

	s.mu.Lock()
	defer s.mu.Unlock()
	var exit proc.Exit
	switch {
	case c.pid != 0:
		return c.pid
	case errors.As(err, &exit):
		s.logEnd(&c.serving, int(exit)<<8)
		return 0
	case child.Exhausted(err):
		c.number = os.Getpid()
		s.drop(c, strerr.Unable("fork", "", err))
		s.logSummary(&c.serving, statusDropped) // C says no more than the warning
		return 0
	}
	c.announce(os.Getpid())
	s.drop(c, strerr.Unable("run", s.argv[0], err))
	s.logEnd(&c.serving, statusDropped)
	return 0
}

// next is what execve is to a program inside.
func (c *connection) next(ctx context.Context, env *proc.Env, argv []string) error {
	err := c.become(ctx, env, argv)
	var exit proc.Exit
	if err == nil || errors.As(err, &exit) {
		return err
	}
	return strerr.Unable("run", argv[0], err)
}

// become runs argv with the environment, files and directory of env. The error
// is a proc.Exit if it ran as a function and nil if it runs as a process.
func (c *connection) become(ctx context.Context, env *proc.Env, argv []string) error {
	if len(argv) == 0 {
		return proc.ErrUsage
	}
	var program *proc.Program
	err := proc.SearchPath(env.Vars, argv[0], func(file string) error {
		// A failed execve costs a process, and $PATH may have many elements.
		if err := unix.Access(file, unix.X_OK); err != nil {
			return err
		}
		if program = c.server.inside.Find(file); program != nil {
			return nil
		}
		return c.spawn(env, file, argv)
	})
	if err != nil || program == nil {
		return err
	}
	return proc.Exit(c.run(ctx, program, env, argv))
}

// run runs a program as a function.
func (c *connection) run(ctx context.Context, program *proc.Program, env *proc.Env, argv []string) (status int) {
	s := c.server
	if err := c.poll(); err != nil {
		return proc.StatusTemporary
	}
	s.mu.Lock()
	c.announce(s.newNumber())
	if !c.ran {
		c.ran = true
		s.streams[c.stream] = true
		if s.told {
			c.stream.end()
		}
		s.preparing--
		s.roomy()
	}
	s.mu.Unlock()
	own := *env
	own.Args = argv
	own.PID = c.number
	for i, f := range own.Files[:2] {
		if c.is(f) {
			own.Files[i] = c.stream
		}
	}
	return proc.Run(ctx, program, &own)
}

// is reports whether f is the connection. What else a program may have as
// descriptor 0 or 1 are the pipes of another one, which stands between.
func (c *connection) is(f proc.File) bool {
	fd, ok := f.(*sys.FD)
	return f == proc.File(c.stream) || ok && int(fd.Fd()) == c.fd
}

// spawn runs a file as a process.
func (c *connection) spawn(env *proc.Env, file string, argv []string) error {
	s := c.server
	given := c.is(env.Files[0]) || c.is(env.Files[1])
	if given && (s.settings.inside || c.stream != nil) {
		// The mode is the connection's, and a process expects to wait.
		unix.SetNonblock(c.fd, false)
	}
	number, p, err := s.create(&child.Command{
		Argv:  argv,
		Path:  file,
		Vars:  env.Vars,
		Dir:   env.Dir,
		Files: descriptors(&env.Files),
		Chain: true, // tcpserver's own arguments
	})
	if err != nil {
		if given && c.stream != nil {
			unix.SetNonblock(c.fd, true)
		}
		return err
	}
	s.register(p.PID, number, c)
	return nil
}

const (
	forkPause    = 50 * time.Millisecond // before the next attempt
	forkPatience = 10 * time.Second      // then the client is dropped
)

// create creates a process. While there is none to be had the connection waits; C
// drops it.
func (s *server) create(command *child.Command) (number uint64, p *child.Process, err error) {
	for began := time.Now(); ; time.Sleep(forkPause) {
		number = s.spawning()
		if p, err = child.Start(command); err == nil {
			return number, p, nil
		}
		s.notSpawned()
		if !child.Exhausted(err) || time.Since(began) >= forkPatience {
			return number, nil, err
		}
		s.complain(strerr.Unable("fork", "", err))
	}
}

// descriptors returns the kernel's numbers of files.
func descriptors(files *[8]proc.File) []int {
	fds := make([]int, len(files))
	for i, f := range files {
		fd, ok := proc.Descriptor(f)
		if !ok {
			fd = -1
		}
		fds[i] = fd
	}
	return fds
}

// close lets go of the connection.
func (c *connection) close() {
	if c.stream != nil {
		c.stream.Close()
	} else {
		unix.Close(c.fd)
	}
}

// firstNumber is above every process number that Linux can give out
// (PID_MAX_LIMIT), so that in the log a connection without a process is not
// taken for one.
const firstNumber = 1<<22 + 1

// newNumber returns a number for a connection without a process. The caller
// holds mu.
func (s *server) newNumber() int {
	if s.last < firstNumber || s.last == math.MaxInt32 {
		s.last = firstNumber
	} else {
		s.last++
	}
	return s.last
}
