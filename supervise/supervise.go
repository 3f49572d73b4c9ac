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
	// Who looks for the supervise of a directory finds one that stands in it.
	if err := os.Chdir(name); err != nil {
		return strerr.Unable("chdir to", name, err)
	}
	dir, err := service.Open(&proc.Env{Vars: env.Vars}, ".")
	if err != nil {
		return strerr.Unable("chdir to", name, err)
	}
	var k *Keeper
	h, err := NewHost(env, beside{env.Vars, "/proc/self/fd/" + strconv.Itoa(int(parent.Fd()))}, siblingPoll,
		// Dying would leave the service alone in the world.
		// (Signals are heard in Turn, and k is there by then.)
		func(unix.Signal) { k.End("dx") },
		unix.SIGTERM, unix.SIGINT)
	if err != nil {
		return strerr.Unable("create pipe for", name, err)
	}
	k, err = h.Keep(Place{Name: name, Sibling: path.Base(name), Dir: dir, Stdin: 0, Stdout: 1})
	if err != nil {
		return err
	}
	// An hour, as the original has it: should anything be missed, it is not
	// missed for ever.
	for !k.Closed() {
		h.Turn(time.Now().Add(time.Hour))
		h.reap()
	}
	return nil
}

// beside are the services in the directory that the name of this one is in.
type beside struct {
	vars proc.Vars
	dir  string
}

// siblingPoll is how often a supervise that waits for others looks at them.
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
