package service

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// report is a line of svstat -j. The names are an interface: svstat(8) explains
// each of them.
type report struct {
	Name       string `json:"name"`
	Path       string `json:"path"`
	Supervised *bool  `json:"supervised"`      // nil: could not be found out
	Error      string `json:"error,omitempty"` // instead of all that follows
	*details
}

type details struct {
	State      string  `json:"state"`
	Up         bool    `json:"up"`
	PID        *int    `json:"pid"`
	Since      *string `json:"since"`
	Seconds    uint64  `json:"seconds"`
	Ready      bool    `json:"ready"`
	ReadySince *string `json:"readySince"`
	Paused     bool    `json:"paused"`
	Want       string  `json:"want"`
	Normally   string  `json:"normally"`
	ExitCode   *int    `json:"exitCode"`
	Signal     *string `json:"signal"`
	Restarts   uint32  `json:"restarts"`
	NextStart  *string `json:"nextStart"`
	FinishPID  *int    `json:"finishPid"`
}

// svstatJSON prints one object per line (jsonlines.org), in the order of names.
func svstatJSON(env *proc.Env, names []string) error {
	var out []byte
	for _, name := range names {
		v := examine(env, name)
		r := report{Name: name, Path: absolute(env, name), Error: v.problem}
		if !v.hidden {
			r.Supervised = &v.supervised
		}
		if v.problem == "" {
			r.details = v.details(v.normallyUp, time.Now())
		}
		// Bytes of a name that are not UTF-8 come out as U+FFFD.
		line, err := json.Marshal(r)
		if err != nil {
			return strerr.Unable("describe", name, err)
		}
		out = append(out, line...)
		out = append(out, '\n')
	}
	if _, err := env.Files[1].Write(out); err != nil {
		return strerr.Unable("write", "output", err)
	}
	return nil
}

// absolute returns the absolute path of a name, without resolving links.
func absolute(env *proc.Env, name string) string {
	if env.Dir != "" && !filepath.IsAbs(name) {
		name = filepath.Join(env.Dir, name)
	}
	if path, err := filepath.Abs(name); err == nil {
		return path
	}
	return name
}

func (s *Status) details(normallyUp bool, now time.Time) *details {
	d := &details{
		State:      s.Phase.String(),
		Up:         s.PID != 0,
		PID:        process(s.PID),
		Since:      instant(s.Stamp),
		Seconds:    s.age(now),
		Ready:      s.Up(),
		ReadySince: instant(s.Ready),
		Paused:     s.Paused && s.PID != 0,
		Want:       "once",
		Normally:   "down",
		Restarts:   s.Restarts,
		NextStart:  instant(s.Due),
		FinishPID:  process(s.FinishPID),
	}
	switch s.Want {
	case Up:
		d.Want = "up"
	case Down:
		d.Want = "down"
	}
	if normallyUp {
		d.Normally = "up"
	}
	if s.Last.Known && s.Last.Signal == 0 {
		d.ExitCode = &s.Last.Code
	}
	if s.Last.Known && s.Last.Signal != 0 {
		d.Signal = signalName(s.Last.Signal)
	}
	return d
}

func process(pid int) *int {
	if pid == 0 {
		return nil
	}
	return &pid
}

// instant formats a time by RFC 3339, in UTC. It returns nil for the zero time, and
// for a time from a broken status whose year does not have four digits.
func instant(t time.Time) *string {
	t = t.UTC()
	if t.IsZero() || t.Year() < 1 || t.Year() > 9999 {
		return nil
	}
	text := t.Format(time.RFC3339Nano)
	return &text
}

func signalName(n int) *string {
	name := unix.SignalName(syscall.Signal(n))
	if name == "" { // a real-time signal
		name = strconv.Itoa(n)
	}
	return &name
}
