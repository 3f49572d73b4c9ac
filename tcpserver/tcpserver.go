// Package tcpserver is tcpserver: it listens on a port and runs a program for
// each connection: as a process or, with -i and for the programs in package
// inside, as a function.
//
//	options.go     what the command line says
//	listen.go      as root, if at all: bind, listen, drop rights
//	address.go     names and numbers of hosts
//	activate.go    sockets from a supervisor
//	replace.go     -K: sockets from the server before, for the one after
//	worker.go      -i: a process for the connections
//	threads.go     the threads of the Go runtime, at the start; room.go room for them
//	accept.go      accept, count; gate.go waits for clients
//	connection.go  what is known of the client → rules → environment
//	limits.go      how many connections, how often
//	program.go     the program, as a process or as a function
//	reap.go        its end
//	end.go         the end of the server
//	log.go         lines; status.go numbers
//
// A connection's life, and what is logged with -v:
//
//	accepted     tcpserver: status: 1/40
//	looked up    tcpserver: pid 71 from 10.1.2.3
//	             tcpserver: ok 71 local.name:10.0.0.1:25 remote.name:10.1.2.3:info:4000
//	             (or deny, and no program is run)
//	ended        tcpserver: end 71 status 0
//	             tcpserver: status: 0/40
//
// The C program forks before it looks anything up. This one does the looking
// up itself and creates a process only for the program, so a client that is
// denied costs none; such a connection is logged under the number of the
// server's own process, its lines together.
package tcpserver

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"paperpath/internal/dnsq"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
)

// Tcpserver is tcpserver(1). Its usage line is C's, letter for letter; the manual
// page has the options that it does not name.
var Tcpserver = proc.Program{
	Name: "tcpserver",
	Usage: "[ -1UXpPhHrRoOdDqQv ] [ -c limit ] [ -x rules.cdb ] [ -B banner ] [ -g gid ] [ -u uid ] " +
		"[ -b backlog ] [ -l localname ] [ -t timeout ] host port program",
	Run: tcpserver,
}

func tcpserver(_ context.Context, env *proc.Env) error {
	if env.Args[0] == keeperName {
		return keep()
	}
	set, args, err := parse(env)
	if err != nil {
		return err
	}
	files := env.Files // for the programs
	if set.verbosity == 0 {
		env.Files[2] = proc.Closed{} // for what is said here
	}
	if len(args) < 3 {
		return proc.ErrUsage
	}
	if env.Args[0] == workerName {
		return work(set, env, files, args[2:])
	}
	r := boss
	if !set.inside {
		r = starter
		debug.SetGCPercent(gcPercent)
	}
	if err := set.provideThreads(r); err != nil {
		return err
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	l, err := listen(env, set, dnsq.New(env.Vars), args[0], args[1])
	if err != nil {
		return err
	}
	files = keepInherited(files)
	sys.CloseOnExecFrom(3)
	var replaced <-chan struct{} // never, without -K
	if l.replacement >= 0 {
		if replaced, err = l.handOver(); err != nil {
			return err
		}
	}
	if set.inside {
		return employ(set, env, files, l, term, replaced)
	}
	s := newServer(set, env, files, l.clients, args[2:])
	if l.status >= 0 {
		go s.serveStatus(l.status)
	}
	patience := settleTime
	failed := make(chan error, 1)
	go func() { failed <- s.serve(l.taken.confirm) }()
	select {
	case <-term:
		if l.replacement >= 0 {
			if err := l.leaveKeeper(env); err != nil {
				env.Warn(err)
			}
		}
	case <-replaced:
		patience = settleTimeReplaced
	case err := <-failed:
		return err
	}
	if set.patient {
		s.finish(failed)
	} else {
		s.settle(patience)
	}
	return nil // those that are being served go on
}

// gcPercent is how much the heap may grow before garbage is collected in a process
// that does little but create others. It keeps an idle server below 8 MB.
const gcPercent = 25

// keepInherited leaves of the server's descriptors those that its caller meant
// to be inherited further: relay-ctrl-chdir, for one, opens a directory for the
// program. (What this process opened for itself is marked close-on-exec.)
func keepInherited(files [8]proc.File) [8]proc.File {
	for i, f := range files {
		if fd, ok := proc.Descriptor(f); i > 2 && ok && !sys.Inherits(fd) {
			files[i] = proc.Closed{}
		}
	}
	return files
}
