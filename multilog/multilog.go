// Package multilog selects lines and keeps them in automatically rotated logs.
//
//	stdin → lines → actions, in the script's order → logs, stdout
//	                  -pattern +pattern  deselect, select
//	                  e  =file           to stderr, to a status file
//	                  dir  1             append to that log, to stdout
//
// A log is a directory ([log]). All input is handed to the kernel before the next
// read blocks, and none is ever dropped: if the disk fails, multilog warns, pauses
// and tries again, while the programs that write to its stdin wait.
package multilog

import (
	"context"
	"errors"
	"syscall"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// Multilog is the program.
var Multilog = proc.Program{Name: "multilog", Usage: "script", Run: run}

// retryAfter is the pause before something that failed is tried again.
const retryAfter = 5 * time.Second

func run(_ context.Context, env *proc.Env) error {
	syscall.Umask(022)

	in, err := openInput(env.Files[0])
	if err != nil {
		return strerr.Unable("watch", "signals", err)
	}
	defer in.close()
	s, err := parse(env, pauser(env, retryAfter))
	if err != nil {
		return err
	}
	b, err := s.openLogs()
	if err != nil {
		return err
	}
	in.midLine = b.begin < b.end || s.inTail // a killed multilog had begun a line
	for {
		n, what := in.read(b.room())
		if what != bytesCame && b.check(s) {
			env.Warn(errors.New("somebody has truncated " + strerr.Clean(s.logs[0].name) + "/lock: going on without"))
			if in.err == syscall.EFAULT {
				in.err = nil
				continue // the read failed only because the mapping was gone
			}
		}
		if in.err == syscall.EFAULT && b.journal != nil {
			b.came(0)
			b.journal.pause() // as in [journal.store]
			in.err = nil
			continue
		}
		switch what {
		case bytesCame:
			b.came(n)
			b.apply(s)
			continue
		case rotateNow:
			s.rotate()
			continue
		case idleNow:
			s.free()
			b.free()
			continue
		}
		break
	}
	if in.err != nil {
		env.Warn(strerr.Unable("read", "standard input", in.err))
	}
	b.finish(s)
	for _, l := range s.logs {
		l.close()
	}
	if b.journal != nil {
		b.journal.end()
	}
	return nil
}

// pauser returns a function that prints a warning and waits.
func pauser(env *proc.Env, after time.Duration) func(what string, cause error) {
	return func(what string, cause error) {
		if cause != nil {
			what += ", pausing: " + strerr.Text(cause)
		} else {
			what += ", pausing"
		}
		env.Warn(errors.New(strerr.Clean(what)))
		time.Sleep(after)
	}
}
