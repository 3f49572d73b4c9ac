// Package multilog selects lines and keeps them in automatically rotated logs.
//
//	stdin → lines → actions, in the script's order → logs
//	                  -pattern +pattern  deselect, select
//	                  e  =file           to stderr, to a status file
//	                  dir                append to that log
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

// readSize is how much is read, and therefore at risk in memory, at once: a
// quarter of what a pipe holds.
const readSize = 16 << 10

// retryAfter is the pause before something that failed is tried again.
const retryAfter = 5 * time.Second

func run(_ context.Context, env *proc.Env) error {
	sys.IgnoreSIGPIPE() // "e" must not end the log when nobody reads stderr
	syscall.Umask(022)

	in, err := openInput(env.Files[0])
	if err != nil {
		return strerr.Unable("watch", "signals", err)
	}
	defer in.stop()
	pause := func(what string, cause error) {
		if cause != nil {
			what += ", pausing: " + strerr.Text(cause)
		} else {
			what += ", pausing"
		}
		env.Warn(errors.New(strerr.Clean(what)))
		time.Sleep(retryAfter)
	}
	s, err := open(env, pause)
	if err != nil {
		return err
	}
	buf := make([]byte, readSize)
	for {
		s.flush()
		n, rotate, more := in.read(buf)
		if rotate {
			s.rotate()
			continue
		}
		if !more {
			break
		}
		s.take(buf[:n])
	}
	s.end()
	for _, l := range s.logs {
		l.close()
	}
	return nil
}
