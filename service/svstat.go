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
	// No other word is an option: the C program has none, and takes "-x" and
	// "--" for names of directories.
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

// describe returns the state of a service in words that scripts parse: "up (pid N)
// S seconds", then anything unusual.
func describe(env *proc.Env, name string, now time.Time) string {
	v := examine(env, name)
	if v.problem != "" {
		return v.problem
	}
	return v.describe(v.normallyUp, now)
}

// view is the visible state of a service.
type view struct {
	Status
	supervised bool
	hidden     bool // supervised could not be found out
	normallyUp bool
	problem    string // why the state is not known
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

// age returns how long ago the label is, in whole seconds: both times are cut to
// seconds before they are compared, and a label from the future has age 0. A label
// that comes from no clock is computed as in C (tai_less.c, tai_approx.c): without
// a sign, and rounded where a double is not exact.
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
