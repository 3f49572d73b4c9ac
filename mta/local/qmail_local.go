// Package local is the last step of a message: into a mailbox, a program or
// another address, as the recipient's .qmail file says (qmail-local(8),
// dot-qmail(5), qmail-command(8)).
//
//	home directory       writable by others or sticky: not now
//	message              has this Delivered-To already: never
//	.qmail-EXT           else .qmail-…-default; the instructions
//	each line in order   ./Maildir/  ./Mailbox  |command
//	forward lines        last, all in one message to the queue
//
// The first instruction that fails ends the delivery, and what was done before
// is not undone: the whole delivery is tried again. Messages to the sender and
// the log are lines without the program's name, because qmail-lspawn makes
// them the report. On success the line is "did FILES+FORWARDS+PROGRAMS", and
// "qp N" if a message was forwarded.
package local

import (
	"context"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/opt"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/mta/agent"
	"paperpath/mta/layout"
)

// QmailLocal is the program qmail-local(8).
var QmailLocal = proc.Program{
	Name:  "qmail-local",
	Usage: usageLine,
	Run:   qmailLocal,
}

const usageLine = "[ -nN ] user homedir local dash ext domain sender aliasempty"

func qmailLocal(ctx context.Context, env *proc.Env) error {
	if len(env.Args) == 2 && env.Args[1] == agent.Argument {
		prepare()
		return serve(ctx, env)
	}
	doit := true
	opts := opt.Parse(env.Args[1:], "nN")
	for opts.Next() {
		switch opts.Letter {
		case 'n':
			doit = false
		case 'N':
			doit = true
		default:
			env.Say(opts.Problem())
			return proc.ErrUsage
		}
	}
	args := opts.Rest()
	if !complete(args) {
		return proc.ErrUsage
	}
	prepare()
	return run(env, args, doit, files)
}

// prepare does what is not the delivery's but the process's: the rest of this
// package leaves the process alone.
func prepare() {
	unix.Umask(layout.Umask) // of the commands; our own files say their mode
	sys.CloseOnExecFrom(3)   // commands get 0, 1 and 2
	sys.CatchSIGXFSZ()
}

// complete reports whether these are the arguments of a delivery.
func complete(args []string) bool {
	return len(args) == agent.Args && args[1] != "" && args[1][0] == '/'
}

// run makes the delivery that args tell of, with the files below the home
// directory that files gives.
func run(env *proc.Env, args []string, doit bool, files func(home string) fsys.FS) error {
	if !complete(args) {
		return proc.ErrUsage
	}
	return deliver(env, &Recipient{
		User: args[0], Home: args[1], Local: args[2], Dash: args[3],
		Ext: args[4], Host: args[5],
	}, files(args[1]), args[6], args[7], doit)
}
