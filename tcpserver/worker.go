package tcpserver

import (
	"errors"
	"math"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// With -i the connections live in a process of their own, the worker, because
// they must outlive the server: on TERM the server ends at once, so that a
// supervisor can start the next one, and whoever is being served goes on. (The
// C program's children do just that.)
//
//	server   listens, starts the worker, waits for TERM
//	worker   descriptor 8: the listening socket
//	         descriptor 9: a pipe that ends with the server
//
// When either says that the server is gone, the worker accepts nobody any more
// and ends with its last connection.
const (
	workerName = "tcpserver-connections" // argv[0]
	listenerFD = 8
	serverFD   = 9
)

// isWorker reports whether this process is one.
func isWorker(env *proc.Env) bool { return env.Args[0] == workerName }

// employ runs the worker and waits for TERM.
func employ(env *proc.Env, files [8]proc.File, listener int, term <-chan os.Signal) error {
	self, err := child.Self()
	if err != nil {
		return strerr.Unable("find", "own program", err)
	}
	theirs, ours, err := sys.Pipe()
	if err != nil {
		return strerr.Unable("create", "pipe", err)
	}
	defer ours.Close()
	worker, err := child.Start(&child.Command{
		Argv:  append([]string{workerName}, env.Args[1:]...),
		Path:  self,
		Vars:  env.Vars,
		Dir:   env.Dir,
		Files: append(descriptors(&files), listener, int(theirs.Fd())), // 8, 9,
	})
	theirs.Close()
	if err != nil {
		return strerr.Unable("fork", "", err)
	}
	ended := make(chan child.Status, 1)
	go func() {
		status, _ := worker.Wait()
		ended <- status
	}()
	select {
	case <-term:
		// The next server may want the port before the worker finds out.
		unix.Shutdown(listener, unix.SHUT_RDWR)
		return nil
	case status := <-ended:
		if status.Code() == proc.StatusTemporary {
			return proc.Exit(proc.StatusTemporary) // it has said why
		}
		return errors.New("the process with the connections died")
	}
}

// obey makes the worker stop listening when the server is gone.
func obey(listener int) {
	server := sys.NewFD(serverFD)
	server.Read(make([]byte, 1)) // its end: nobody writes
	server.Close()
	unix.Shutdown(listener, unix.SHUT_RDWR)
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
