package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// small is a program that lives for a moment.
type small struct {
	argv []string // {} is the directory
	exit int
	root bool
	in   string // file to read; "": nothing
	wall *metric
	cpu  *metric
}

// startup measures what it costs to run a small program once.
func startup(n *sizes) *contest {
	programs := []*small{
		{argv: []string{"svok", "{}/service"}, exit: 100},
		{argv: []string{"setuidgid", "root", "{}/nothing"}, root: true},
		{argv: []string{"envdir", "{}/env", "{}/nothing"}},
		{argv: []string{"softlimit", "-m", "2000000000", "{}/nothing"}},
		{argv: []string{"tcprules", "{}/rules.cdb", "{}/rules.tmp"}, in: "rules"},
	}
	c := &contest{name: "startup", title: "one run of a small program (envdir: 5 variables; tcprules: 10 rules; the program behind the others does nothing)"}
	for _, p := range programs {
		p.wall = &metric{name: p.argv[0], unit: "µs"}
		p.cpu = &metric{name: p.argv[0] + ", processor", unit: "µs"}
		c.metrics = append(c.metrics, p.wall, p.cpu)
	}
	bare := &metric{name: "nothing by itself", unit: "µs"}
	c.metrics = append(c.metrics, bare)
	needs := []string{"svok", "setuidgid", "envdir", "softlimit", "tcprules"}
	one := func(who family) func(t *turn) error {
		return func(t *turn) error {
			if err := t.makeSmall(n); err != nil {
				return err
			}
			for _, p := range programs {
				if p.root && os.Geteuid() != 0 {
					continue
				}
				wall, cpu, err := t.repeat(n.runs, t.find(who, p.argv[0]), p)
				if err != nil {
					return fmt.Errorf("%s: %w", p.argv[0], err)
				}
				t.add(p.wall, wall)
				t.add(p.cpu, cpu)
			}
			wall, _, err := t.repeat(n.runs, filepath.Join(t.dir, "nothing"), &small{argv: []string{"nothing"}})
			t.add(bare, wall)
			return err
		}
	}
	c.contenders = []contender{
		{"paperpath", needs, ours, one(ours)},
		{"C", needs, theirs, one(theirs)},
	}
	return c
}

// makeSmall makes what the small programs work on.
func (t *turn) makeSmall(n *sizes) error {
	if _, err := nothing.make(t.dir); err != nil {
		return err
	}
	for _, dir := range []string{"env", "service"} {
		if err := os.Mkdir(filepath.Join(t.dir, dir), 0o755); err != nil {
			return err
		}
	}
	for i := range 5 {
		if err := os.WriteFile(fmt.Sprintf("%s/env/NAME%d", t.dir, i), []byte("value\n"), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(t.dir, "rules"), []byte(ruleText(n.fewRules)), 0o644)
}

// repeat runs a program again and again. It returns the median time and the
// mean processor time, in microseconds. (The kernel counts the latter in ticks
// on some machines: one run's says nothing.)
func (t *turn) repeat(runs int, file string, p *small) (wall, cpu float64, err error) {
	argv := make([]string, len(p.argv))
	for i, a := range p.argv {
		argv[i] = strings.ReplaceAll(a, "{}", t.dir)
	}
	in := "/dev/null"
	if p.in != "" {
		in = filepath.Join(t.dir, p.in)
	}
	null, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	if err != nil {
		return 0, 0, err
	}
	defer null.Close()
	var walls []float64
	var used time.Duration
	for range runs {
		stdin, err := os.Open(in)
		if err != nil {
			return 0, 0, err
		}
		began := time.Now()
		pid, err := syscall.ForkExec(file, argv, &syscall.ProcAttr{
			Env: []string{"PATH=/usr/bin:/bin"}, Files: []uintptr{stdin.Fd(), null.Fd(), 2},
		})
		if err == nil {
			var status unix.WaitStatus
			var usage unix.Rusage
			for {
				if _, err = unix.Wait4(pid, &status, 0, &usage); err != unix.EINTR {
					break
				}
			}
			walls = append(walls, float64(time.Since(began).Nanoseconds())/1e3)
			used += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
			if err == nil && (!status.Exited() || status.ExitStatus() != p.exit) {
				err = fmt.Errorf("wait status %#x", uint32(status))
			}
		}
		stdin.Close()
		if err != nil {
			return 0, 0, err
		}
	}
	return middle(walls), float64(used.Nanoseconds()) / 1e3 / float64(runs), nil
}
