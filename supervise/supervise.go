package supervise

import (
	"context"
	"os"
	"path"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/service"
)

// Supervise is the program: one process for one service.
var Supervise = proc.Program{Name: "supervise", Usage: "dir", Run: supervise}

func supervise(_ context.Context, env *proc.Env) error {
	if len(env.Args) != 2 {
		return proc.ErrUsage
	}
	name := env.Args[1]
	sys.CloseOnExecFrom(3) // a service gets 0, 1 and 2
	sys.IgnoreSIGPIPE()    // a log that went away must not end the supervision
	env.Files[2] = NewDropWriter(env.Files[2], env.Name)
	runtime.GOMAXPROCS(1) // fewer threads: there may be hundreds of supervises

	parent, err := sys.Open(path.Dir(name), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return strerr.Unable("chdir to", name, err)
	}
	// Make this the current directory: by that, others find the supervise of a
	// service.
	if err := os.Chdir(name); err != nil {
		return strerr.Unable("chdir to", name, err)
	}
	dir, err := service.Open(&proc.Env{Vars: env.Vars}, ".")
	if err != nil {
		return strerr.Unable("chdir to", name, err)
	}
	var k *Keeper
	h, err := NewHost(env, beside{env.Vars, "/proc/self/fd/" + strconv.Itoa(int(parent.Fd()))}, siblingPoll,
		// Dying would leave the service without a supervisor. (Turn calls this, so k
		// is set by then.)
		func(unix.Signal) { k.End("dx") },
		unix.SIGTERM, unix.SIGINT)
	if err != nil {
		return strerr.Unable("create pipe for", name, err)
	}
	k, err = h.Keep(Place{Name: name, Sibling: path.Base(name), Dir: dir, Stdin: 0, Stdout: 1})
	if err != nil {
		return err
	}
	// An hour, as in the original: if an event were missed, this would bound the
	// delay.
	for !k.Closed() {
		h.Turn(time.Now().Add(time.Hour))
		h.reap()
	}
	return nil
}

// beside gives access to the services in the directory that contains this one's
// name. It implements Siblings.
type beside struct {
	vars proc.Vars
	dir  string
}

// siblingPoll is how often a supervise looks at the services that it waits for.
const siblingPoll = 200 * time.Millisecond

func (b beside) open(name string) (*service.Dir, error) {
	return service.Open(&proc.Env{Vars: b.vars, Dir: b.dir}, name)
}

func (b beside) Status(name string) (service.Status, bool) {
	dir, err := b.open(name)
	if err != nil {
		return service.Status{}, false
	}
	defer dir.Close()
	if dir.OK() != nil {
		return service.Status{}, false
	}
	s, err := dir.Status()
	return s, err == nil
}

func (b beside) After(name string) []string {
	dir, err := b.open(name)
	if err != nil {
		return nil
	}
	defer dir.Close()
	return dir.After()
}
