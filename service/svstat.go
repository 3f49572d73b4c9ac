package service

import (
	"context"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/tai"
)

// Svstat prints one line for each service directory.
var Svstat = proc.Program{Name: "svstat", Usage: "[ -j ] dir ...", Run: svstat}

func svstat(_ context.Context, env *proc.Env) error {
	names := env.Args[1:]
	// No other word is an option: the C program has none, and takes "-x" or
	// "--" for the name of a directory.
	if len(names) > 0 && names[0] == "-j" {
		return svstatJSON(env, names[1:])
	}
	var out []byte
	for _, name := range names {
		out = append(out, name...)
		out = append(out, ": "...)
		out = append(out, describe(env, name, time.Now())...)
		out = append(out, '\n')
	}
	env.Files[1].Write(out) // if it cannot be written there is nobody to tell
	return nil
}

// describe says how a service is. Scripts take the words apart: "up (pid N) S
// seconds", then what is unusual.
func describe(env *proc.Env, name string, now time.Time) string {
	v := examine(env, name)
	if v.problem != "" {
		return v.problem
	}
	return v.describe(v.normallyUp, now)
}

// view is what can be seen of a service.
type view struct {
	Status
	supervised bool
	hidden     bool // it could not be found out whether it is supervised
	normallyUp bool
	problem    string // why it is not known how the service is
}

func examine(env *proc.Env, name string) (v view) {
	dir, err := Open(env, name)
	if err != nil {
		v.problem, v.hidden = "unable to chdir: "+strerr.Text(err), err != unix.ENOENT
		return v
	}
	defer dir.Close()
	down, err := dir.Down()
	if err != nil {
		v.problem, v.hidden = "unable to stat down: "+strerr.Text(err), true
		return v
	}
	switch err := dir.OK(); err {
	case nil:
	case unix.ENXIO:
		v.problem = errNotRunning.Error()
		return v
	default:
		v.problem, v.hidden = "unable to open supervise/ok: "+strerr.Text(err), err != unix.ENOENT
		return v
	}
	v.supervised, v.normallyUp = true, !down
	fd, err := dir.OpenStatus()
	if err != nil {
		v.problem = "unable to open supervise/status: " + strerr.Text(err)
		return v
	}
	if v.Status, err = ReadStatus(fd); err != nil {
		v.problem = "unable to read supervise/status: " + strerr.Text(err)
	}
	return v
}

// age is how long a service is as it is, in whole seconds: they are compared as
// clocks without nanoseconds would be, and a label from the future is 0 old.
// Labels that no clock has made count as in C (tai_less.c, tai_approx.c):
// without a sign, and rounded where a double has no room.
func (s *Status) age(now time.Time) uint64 {
	then, when := tai.Offset+uint64(s.Stamp.Unix()), tai.Offset+uint64(now.Unix())
	if when < then {
		return 0
	}
	return uint64(float64(when - then))
}

func (s *Status) describe(normallyUp bool, now time.Time) string {
	text := "down "
	if s.PID != 0 {
		text = "up (pid " + strconv.Itoa(s.PID) + ") "
	}
	text += strconv.FormatUint(s.age(now), 10) + " seconds"
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
