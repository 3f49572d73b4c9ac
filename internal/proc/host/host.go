// Package host joins a program to the process it runs in. Only cmd/ imports it.
package host

import (
	"context"
	"os"
	"runtime/debug"
	"syscall"

	"paperpath/internal/limit"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Main runs p as this process and does not return.
func Main(p *proc.Program) {
	sys.DefaultSignals()
	// What the Go runtime itself cannot go on from (no descriptor for its
	// poller, no thread) ends with status 2, and qmail-rspawn and qmail-lspawn
	// take an unknown status for a permanent failure: mail would bounce. A
	// signal is a crash to them, and the delivery is tried again.
	if !sys.SetUID() {
		debug.SetTraceback("crash")
	}
	env := &proc.Env{Args: os.Args, Vars: proc.Vars(os.Environ())}
	env.Next = exec(env.Vars.Clone())
	if len(env.Args) == 0 {
		env.Args = []string{p.Name}
	}
	// Before anything else opens a descriptor and gets a number that the
	// caller left free. (0 to 2 are always open: the runtime puts /dev/null
	// where the caller left a hole.)
	for i := range env.Files {
		if i < 3 || sys.Inherits(i) {
			env.Files[i] = sys.NewFD(i)
		} else {
			env.Files[i] = proc.Closed{}
		}
	}
	status := proc.Run(context.Background(), p, env)
	if status == int(proc.BrokenPipe) {
		sys.Die(syscall.SIGPIPE)
	}
	os.Exit(status)
}

// exec returns Next for a process of its own, which began with the environment
// first. The program is looked for along the PATH of that: a PATH that envdir
// sets is for the programs after it (pathexec_run.c asks the old environment).
func exec(first proc.Vars) func(context.Context, *proc.Env, []string) error {
	return func(_ context.Context, env *proc.Env, argv []string) error {
		if len(argv) == 0 {
			return proc.ErrUsage
		}
		if env.Dir != "" {
			if err := os.Chdir(env.Dir); err != nil {
				return strerr.Unable("switch to", env.Dir, err)
			}
		}
		err := proc.SearchPath(first, argv[0], func(file string) error {
			// Every program that becomes another one is a word of a chain.
			return limit.Exec(file, argv, env.Args[0] != limit.Helper, env.Vars)
		})
		return strerr.Named("run", argv[0], err)
	}
}
