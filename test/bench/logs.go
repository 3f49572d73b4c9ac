package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	lineLength = 100 // with its end
	failEvery  = 100 // of how many lines one has the word that is kept
)

// logger is a log writer in its own idiom. Its directory is ./main.
type logger struct {
	contender string
	program   string
	kin       family
	argv      []string
	config    string // main/config, where the program has that
}

func logsPlain(n *sizes) *contest {
	return logs(n, "logs-plain", "100-byte lines into files of 100 kB", 0, func(main string) error {
		// Most files are deleted meanwhile; the last line must be there.
		text, err := os.ReadFile(filepath.Join(main, "current"))
		if err == nil && len(text) == 0 {
			text, err = newest(main)
		}
		if err != nil {
			return err
		}
		block, lines := lineBlock(false)
		if last := block[(lines-1)*lineLength:]; !bytes.HasSuffix(text, last) {
			return errors.New("the last line is not in the log")
		}
		return nil
	}, []logger{
		{"paperpath", "multilog", ours, []string{"s99999", "n10", "./main"}, ""},
		{"daemontools", "multilog", theirs, []string{"s99999", "n10", "./main"}, ""},
		{"runit", "svlogd", theirs, []string{"./main"}, "s99999\nn10\n"},
		{"s6", "s6-log", theirs, []string{"n10", "s99999", "./main"}, ""},
	})
}

func logsStamped(n *sizes) *contest {
	return logs(n, "logs-stamped", "100-byte lines with timestamps into files of 16 MB", 1, nil, []logger{
		{"paperpath", "multilog", ours, []string{"t", "s16000000", "n100", "./main"}, ""},
		{"daemontools", "multilog", theirs, []string{"t", "s16000000", "n100", "./main"}, ""},
		{"runit", "svlogd", theirs, []string{"-t", "./main"}, "s16000000\nn100\n"},
		{"s6", "s6-log", theirs, []string{"t", "n100", "s16000000", "./main"}, ""},
	})
}

func logsFiltered(n *sizes) *contest {
	return logs(n, "logs-filtered", "100-byte lines, two patterns that keep 1 %", failEvery, nil, []logger{
		{"paperpath", "multilog", ours, []string{"s16000000", "n100", "-*", "+*fail*", "./main"}, ""},
		{"daemontools", "multilog", theirs, []string{"s16000000", "n100", "-*", "+*fail*", "./main"}, ""},
		{"runit", "svlogd", theirs, []string{"./main"}, "s16000000\nn100\n-*\n+*fail*\n"},
		{"s6", "s6-log", theirs, []string{"n100", "s16000000", "-", "+fail", "./main"}, ""},
	})
}

// logs is a contest of loggers. One line of every has to be in the log
// afterwards, none more; or check says.
func logs(n *sizes, name, title string, every int, check func(main string) error, loggers []logger) *contest {
	rate := &metric{"throughput", "MB/s", timesBest(2)}
	cpu := &metric{"processor time per line", "ns", timesLeast(0.5)}
	c := &contest{name: name, title: title, metrics: []*metric{rate, cpu}}
	for _, l := range loggers {
		c.contenders = append(c.contenders, contender{l.contender, []string{l.program}, l.kin, func(t *turn) error {
			main := filepath.Join(t.dir, "main")
			if err := os.Mkdir(main, 0o755); err != nil {
				return err
			}
			if l.config != "" {
				if err := os.WriteFile(filepath.Join(main, "config"), []byte(l.config), 0o644); err != nil {
					return err
				}
			}
			lines, err := t.feed(n.logMB, false, rate, cpu, t.find(l.kin, l.program), l.argv...)
			if err != nil || check != nil {
				return errors.Join(err, checked(check, main))
			}
			kept, err := countLines(main)
			if err == nil && kept != lines/every {
				err = fmt.Errorf("%d lines in the log of %d", kept, lines/every)
			}
			return err
		}})
	}
	return c
}

func checked(check func(string) error, main string) error {
	if check == nil {
		return nil
	}
	return check(main)
}

// stamp and unstamp are the filters.
func stamp(n *sizes) *contest {
	return filters(n, "tai64n", "100-byte lines get a timestamp", false, nil)
}

func unstamp(n *sizes) *contest {
	return filters(n, "tai64nlocal", "timestamps made legible, each line a second later", true, timesOne(10, "daemontools"))
}

func filters(n *sizes, program, title string, stamped bool, g *goal) *contest {
	rate := &metric{"throughput", "MB/s", g}
	cpu := &metric{"processor time per line", "ns", nil}
	one := func(who family, name string) func(*turn) error {
		return func(t *turn) error {
			_, err := t.feed(n.logMB, stamped, rate, cpu, t.find(who, name))
			return err
		}
	}
	return &contest{name: program, title: title, metrics: []*metric{rate, cpu}, contenders: []contender{
		{"paperpath", []string{program}, ours, one(ours, program)},
		{"daemontools", []string{program}, theirs, one(theirs, program)},
		{"s6", []string{"s6-" + program}, theirs, one(theirs, "s6-"+program)},
	}}
}

// feed writes lines to a program's standard input until it has had so many
// megabytes, and waits for its end.
func (t *turn) feed(mb int, stamped bool, rate, cpu *metric, file string, args ...string) (lines int, err error) {
	cmd := exec.CommandContext(t.ctx, file, args...)
	cmd.Dir, cmd.Stderr = t.dir, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	block, each := lineBlock(stamped)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	written := 0
	for written < mb*1e6 {
		k, err := in.Write(block)
		written += k
		if err != nil {
			in.Close()
			cmd.Wait()
			return 0, fmt.Errorf("after %d bytes: %w", written, err)
		}
		lines += each
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		return 0, err
	}
	elapsed := time.Since(began)
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	t.add(rate, float64(written)/1e6/elapsed.Seconds())
	t.add(cpu, float64(used.Nanoseconds())/float64(lines))
	return lines, nil
}

// lineBlock is what is written again and again: about a megabyte of lines.
// Each failEvery-th has the word "fail", and no f before that: multilog's * ends
// at the first letter of what follows it.
func lineBlock(stamped bool) (block []byte, lines int) {
	const count = 10_000
	const filler = "the quick brown dog jumps over the lazy cat and runs along the road until it meets another one there"
	for i := range count {
		line := fmt.Sprintf("%07d ", i)
		if stamped { // TAI64N, https://cr.yp.to/libtai/tai64.html
			line = fmt.Sprintf("@%016x%08x ", uint64(1)<<62+10+uint64(1_700_000_000+i), i) + line
		}
		if i%failEvery == 0 {
			line += "fail "
		}
		block = append(append(block, (line + filler)[:lineLength-1]...), '\n')
	}
	return block, count
}

// countLines counts the lines in a log directory.
func countLines(dir string) (lines int, err error) {
	err = eachLog(dir, func(text []byte) { lines += bytes.Count(text, []byte{'\n'}) })
	return lines, err
}

// newest is the last of the files that are full.
func newest(dir string) (last []byte, err error) {
	err = eachLog(dir, func(text []byte) {
		if len(text) > 0 {
			last = text
		}
	})
	return last, err
}

// eachLog calls do for the log files, in order of time.
func eachLog(dir string, do func(text []byte)) error {
	names, err := os.ReadDir(dir) // sorted
	if err != nil {
		return err
	}
	for _, n := range names {
		if !strings.HasPrefix(n.Name(), "@") && n.Name() != "current" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, n.Name()))
		if err != nil {
			return err
		}
		do(text)
	}
	return nil
}
