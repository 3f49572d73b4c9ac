package tcpserver

import (
	"errors"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/tcpserver/inside"
)

// With -i the connections live in a process of their own, the worker, because
// they must outlive the server: on TERM the server ends at once, so that a
// supervisor can start the next one, and whoever is being served goes on. (The
// C program's children do just that.)
//
//	server   listens, starts the worker, waits for TERM
//	worker   descriptor 8: one that ends with the server
//	         descriptor 9: the socket for -S, or not open
//	         from 10 on:   the clients' sockets
//
// On 8 the worker says that it accepts clients. When it ends, the worker accepts
// nobody any more and ends with its last connection.
const (
	workerName    = "tcpserver-connections" // argv[0]
	workerServer  = 8
	workerStatus  = 9
	workerClients = 10
)

// employ runs the worker and waits for the end.
func employ(set *settings, env *proc.Env, files [8]proc.File, l *sockets, term <-chan os.Signal, replaced <-chan struct{}) error {
	self, err := child.Self()
	if err != nil {
		return strerr.Unable("find", "own program", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return strerr.Unable("create", "socket", err)
	}
	ours, theirs := sys.NewFD(pair[0]), sys.NewFD(pair[1]) // ours ends with this process
	worker, err := child.Start(&child.Command{
		Argv:  append([]string{workerName}, env.Args[1:]...),
		Path:  self,
		Vars:  env.Vars,
		Dir:   env.Dir,
		Files: slices.Concat(descriptors(&files), []int{int(theirs.Fd()), l.status}, l.clients),
	})
	theirs.Close()
	if err != nil {
		return strerr.Unable("fork", "", err)
	}
	go func() {
		if _, err := ours.Read(make([]byte, 1)); err == nil {
			l.taken.confirm()
		}
	}()
	ended := make(chan child.Status, 1)
	go func() {
		status, _ := worker.Wait()
		ended <- status
	}()
	select {
	case <-term:
		if l.replacement >= 0 {
			l.shared = true
			if err := l.leaveKeeper(env); err != nil {
				env.Warn(err)
			}
		}
		if !l.shared {
			// The next server may want the port before the worker finds out.
			for _, fd := range l.clients {
				unix.Shutdown(fd, unix.SHUT_RDWR)
			}
		}
	case <-replaced:
	case status := <-ended:
		if status.Code() == proc.StatusTemporary {
			return proc.Exit(proc.StatusTemporary) // it has said why
		}
		return errors.New("the process with the connections died")
	}
	if set.patient {
		unix.Shutdown(int(ours.Fd()), unix.SHUT_RDWR)
		select {
		case <-ended:
		case <-time.After(set.patience + 2*lastPatience):
		}
	}
	return nil
}

// work is what a worker does.
func work(set *settings, env *proc.Env, files [8]proc.File, argv []string) error {
	if err := set.provideThreads(employee); err != nil {
		return err
	}
	clients := inherited(workerClients)
	status := -1
	if sys.Inherits(workerStatus) {
		status = workerStatus
	}
	files = keepInherited(files)
	if fd, ok := files[2].(*sys.FD); ok {
		files[2] = &oneByOne{FD: fd}
	}
	sys.CloseOnExecFrom(3)
	s := newServer(set, env, files, clients, argv)
	s.inside = inside.NewTable(inside.Programs())
	allowMemory(set.limit)
	if status >= 0 {
		go s.serveStatus(status)
	}
	boss := sys.NewFD(workerServer)
	done := make(chan error, 1)
	go func() { done <- s.serve(func() { boss.Write([]byte{0}) }) }()
	gone := make(chan struct{})
	go func() {
		boss.Read(make([]byte, 1)) // its end: nobody writes
		close(gone)
	}()
	select {
	case err := <-done:
		return err
	case <-gone:
	}
	if set.patient {
		s.finish(done)
		return nil
	}
	s.stop()
	return <-done
}

// connectionMemory is what may be counted on for one connection.
const connectionMemory = 256 << 10

// allowMemory raises a limit that softlimit meant for the process of one
// connection.
func allowMemory(limit uint64) {
	if now := debug.SetMemoryLimit(-1); now < math.MaxInt64/2 {
		debug.SetMemoryLimit(now + int64(min(limit, 1<<30))*connectionMemory)
	}
}
