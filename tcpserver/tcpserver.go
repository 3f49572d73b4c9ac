// Package tcpserver is tcpserver: it listens on a port and runs a program for
// each connection: as a process or, with -i and for the programs in package
// inside, as a function.
//
//	listen.go      as root, if at all: name → address, bind, listen, drop rights
//	worker.go      with -i: a process for the connections
//	accept.go      accept, count, limit; reap, count
//	connection.go  what is known of the client → rules → environment
//	program.go     the program, as a process or as a function
//	ident.go       the client's ident server (RFC 1413)
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
// up in a goroutine and creates a process only for the program, so a client
// that is denied costs none; such a connection is logged under the number of
// the server's own process, its lines together.
package tcpserver

import (
	"context"
	"errors"
	"math"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"paperpath/internal/dnsq"
	"paperpath/internal/opt"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/tcpserver/inside"
)

// Tcpserver is tcpserver(1).
var Tcpserver = proc.Program{
	Name: "tcpserver",
	Usage: "[ -1iUXpPhHrRoOdDqQv ] [ -c limit ] [ -x rules.cdb ] [ -B banner ] [ -g gid ] [ -u uid ] " +
		"[ -b backlog ] [ -l localname ] [ -t timeout ] host port program",
	Run: tcpserver,
}

// settings are what the options say.
type settings struct {
	verbosity    int // 0: nothing, 1: errors, 2: all
	killOptions  bool
	delay        bool
	banner       string
	remoteInfo   bool
	remoteHost   bool
	paranoid     bool
	timeout      time.Duration // of the ident look-up
	rules        string
	hasRules     bool
	allowNoRules bool
	localHost    string
	hasLocalHost bool

	printPort bool
	inside    bool // run programs as functions where possible
	limit     uint64
	backlog   uint64
	uid, gid  int // 0: keep
}

func tcpserver(_ context.Context, env *proc.Env) error {
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
	s := &server{
		settings: *set,
		env:      env,
		files:    keepInherited(files),
		resolver: dnsq.New(env.Vars),
		argv:     args[2:],
	}
	if set.inside && isWorker(env) {
		sys.CloseOnExecFrom(3)
		s.listener = listenerFD
		s.inside = inside.NewTable(inside.Programs())
		allowMemory(set.limit)
		go obey(s.listener)
		return s.serve()
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	if s.listener, err = listen(env, set, s.resolver, args[0], args[1]); err != nil {
		return err
	}
	sys.CloseOnExecFrom(3)
	if set.inside {
		return employ(env, s.files, s.listener, term)
	}
	failed := make(chan error, 1)
	go func() { failed <- s.serve() }()
	select {
	case <-term:
		return nil // those that are being served go on
	case err := <-failed:
		return err
	}
}

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

func parse(env *proc.Env) (*settings, []string, error) {
	s := &settings{
		verbosity:   1,
		killOptions: true,
		delay:       true,
		remoteInfo:  true,
		remoteHost:  true,
		timeout:     26 * time.Second,
		limit:       40,
		backlog:     20,
	}
	o := opt.Parse(env.Args[1:], "dDvqQhHrR1iUXx:t:u:g:l:b:B:c:pPoO")
	for o.Next() {
		var err error
		switch o.Letter {
		case 'b':
			s.backlog = number(o.Arg)
		case 'c':
			s.limit = number(o.Arg)
		case 'X':
			s.allowNoRules = true
		case 'x':
			s.rules, s.hasRules = o.Arg, true
		case 'B':
			s.banner = o.Arg
		case 'd', 'D':
			s.delay = o.Letter == 'd'
		case 'v':
			s.verbosity = 2
		case 'q':
			s.verbosity = 0
		case 'Q':
			s.verbosity = 1
		case 'p', 'P':
			s.paranoid = o.Letter == 'p'
		case 'o', 'O':
			s.killOptions = o.Letter == 'O'
		case 'h', 'H':
			s.remoteHost = o.Letter == 'h'
		case 'r', 'R':
			s.remoteInfo = o.Letter == 'r'
		case 't':
			s.timeout = time.Duration(min(number(o.Arg), maxSeconds)) * time.Second
		case 'U':
			if uid, ok := env.Vars.Get("UID"); ok {
				s.uid = int(number(uid))
			}
			if gid, ok := env.Vars.Get("GID"); ok {
				s.gid = int(number(gid))
			}
		case 'u':
			s.uid, err = account(o.Arg)
		case 'g':
			s.gid, err = group(o.Arg)
		case 'i':
			s.inside = true
		case '1':
			s.printPort = true
		case 'l':
			s.localHost, s.hasLocalHost = o.Arg, true
		default:
			env.Say(o.Problem())
			err = proc.ErrUsage
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return s, o.Rest(), nil
}

// maxSeconds keeps a timeout within what a time.Duration holds.
const maxSeconds = 1 << 32

// number reads the digits that s begins with, 0 for none (scan_ulong.c). A
// number that does not fit is the largest that does.
func number(s string) uint64 {
	digits := 0
	for digits < len(s) && '0' <= s[digits] && s[digits] <= '9' {
		digits++
	}
	n, err := strconv.ParseUint(s[:digits], 10, 63)
	if errors.Is(err, strconv.ErrRange) {
		return math.MaxInt64
	}
	return n
}
