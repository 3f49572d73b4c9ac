// Package multilog selects lines and keeps them in automatically rotated logs.
//
//	stdin → lines → actions, in the script's order → logs, stdout
//	                  -pattern +pattern  deselect, select
//	                  e  =file           to stderr, to a status file
//	                  dir  1             append to that log, to stdout
//
// A log is a directory ([log]). Everything read is handed to the kernel before
// the next read blocks, and nothing that was read is ever dropped: trouble with
// the disk is a warning, a pause and another try, while whoever writes to our
// stdin waits.
package multilog

import (
	"context"
	"errors"
	"syscall"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
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
	s, err := open(env, pauser(env, retryAfter))
	if err != nil {
		return err
	}
	// What a line began with in one read stands before what the next one brings.
	buf := pages(bufferSize + headSize)
	begun := 0
	for {
		s.flush()
		n, what := in.read(buf[begun:][:bufferSize])
		switch what {
		case bytesCame:
			begun = copy(buf, s.take(buf[:begun+n]))
			continue
		case rotateNow:
			s.rotate()
			continue
		case idleNow:
			s.free()
			if begun == 0 {
				sys.Free(buf)
			}
			continue
		}
		break
	}
	s.end(buf[:begun])
	for _, l := range s.logs {
		l.close()
	}
	return nil
}

// pauser returns what tells of trouble and waits.
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
