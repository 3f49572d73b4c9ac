package service

import (
	"context"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// Svstat prints one line for each service directory.
var Svstat = proc.Program{Name: "svstat", Usage: "dir ...", Run: svstat}

func svstat(_ context.Context, env *proc.Env) error {
	var out []byte
	for _, name := range env.Args[1:] {
		out = append(out, name...)
		out = append(out, ": "...)
		out = append(out, describe(env, name, time.Now())...)
		out = append(out, '\n')
	}
	env.Files[1].Write(out) // an error could be told to nobody who asked
	return nil
}

// describe says how a service is. Scripts take the words apart: "up (pid N) S
// seconds", then what is unusual.
func describe(env *proc.Env, name string, now time.Time) string {
	dir, err := Open(env, name)
	if err != nil {
		return "unable to chdir: " + strerr.Text(err)
	}
	defer dir.Close()
	down, err := dir.Down()
	if err != nil {
		return "unable to stat down: " + strerr.Text(err)
	}
	switch err := dir.OK(); err {
	case nil:
	case unix.ENXIO:
		return "supervise not running"
	default:
		return "unable to open supervise/ok: " + strerr.Text(err)
	}
	fd, err := dir.OpenStatus()
	if err != nil {
		return "unable to open supervise/status: " + strerr.Text(err)
	}
	s, err := ReadStatus(fd)
	if err != nil {
		return "unable to read supervise/status: " + strerr.Text(err)
	}
	return s.describe(!down, now)
}

func (s *Status) describe(normallyUp bool, now time.Time) string {
	text := "down "
	if s.PID != 0 {
		text = "up (pid " + strconv.Itoa(s.PID) + ") "
	}
	// Whole seconds are compared, as clocks without nanoseconds would; a label
	// from the future is 0 seconds old.
	text += strconv.FormatInt(max(0, now.Unix()-s.Stamp.Unix()), 10) + " seconds"
	if s.PID != 0 {
		if !normallyUp {
			text += ", normally down"
		}
		if s.Paused {
			text += ", paused"
		}
		if s.Want == Down {
			text += ", want down"
		}
		return text
	}
	if normallyUp {
		text += ", normally up"
	}
	if s.Want == Up {
		text += ", want up"
	}
	return text
}
