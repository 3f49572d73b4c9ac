package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// supervisor is a supervision suite in its own idiom.
type supervisor struct {
	contender string
	kin       family
	scanner   []string // a command; {} is the directory of services
	logger    []string // a command, in the directory log
	tell      []string // a command that makes the scanner look; nil: it looks by itself
}

var supervisors = []supervisor{
	{"paperpath", ours, []string{"svscan", "{}"}, []string{"multilog", "t", "./main"}, nil},
	{"daemontools", theirs, []string{"svscan", "{}"}, []string{"multilog", "t", "./main"}, nil},
	{"runit", theirs, []string{"runsvdir", "{}"}, []string{"svlogd", "-t", "./main"}, nil},
	{"s6", theirs, []string{"s6-svscan", "-c", "2000", "{}"}, []string{"s6-log", "t", "./main"}, []string{"s6-svscanctl", "-a", "{}"}},
}

// supervisionMetrics are what a supervision suite is measured by.
type supervisionMetrics struct {
	up, logged, processes, pss, logger, restart, again, linked *metric
}

func supervision(n *sizes) *contest {
	m := &supervisionMetrics{
		up:        &metric{"all services up", "ms", timesLeast(1)},
		logged:    &metric{"first line of each in its log", "ms", timesLeast(1)},
		processes: &metric{"supervising processes", "", atMost(1)},
		pss:       &metric{"supervising processes, PSS", "MB", atMost(15)},
		logger:    &metric{"PSS of one idle logger", "kB", atMost(800)},
		restart:   &metric{"restart of a killed service", "ms", atMost(5)},
		again:     &metric{"killed again at once", "ms", nil},
		linked:    &metric{"new service up after its link", "ms", atMost(20)},
	}
	c := &contest{
		name:    "supervision",
		title:   fmt.Sprintf("%d services with loggers (s6 is told of a new link, the others are not)", n.services),
		metrics: []*metric{m.up, m.logged, m.processes, m.pss, m.logger, m.restart, m.again, m.linked},
	}
	for _, s := range supervisors {
		needs := []string{s.scanner[0], s.logger[0]}
		if s.tell != nil {
			needs = append(needs, s.tell[0])
		}
		c.contenders = append(c.contenders, contender{s.contender, needs, s.kin, func(t *turn) error {
			return t.supervise(&s, n, m)
		}})
	}
	return c
}

func serviceName(i int) string { return fmt.Sprintf("s%04d", i) }

// supervise is one supervision suite's turn.
func (t *turn) supervise(s *supervisor, n *sizes, m *supervisionMetrics) error {
	news, err := t.hear()
	if err != nil {
		return err
	}
	defer news.close()
	if err := t.makeServices(s, n.services+n.links, news.fifo); err != nil {
		return err
	}
	logs, err := watchLogs(t.dir, n.services)
	if err != nil {
		return err
	}
	defer logs.close()
	scan := filepath.Join(t.dir, "scan")
	for i := range n.services {
		if err := t.link(i); err != nil {
			return err
		}
	}

	c := exec.Command(t.find(s.kin, s.scanner[0]), words(s.scanner[1:], scan)...)
	c.Env = []string{t.path(s.kin)}
	began := time.Now()
	root, err := t.start(c)
	if err != nil {
		return err
	}
	pids := make(map[string]int, n.services)
	var last time.Time
	for len(pids) < n.services {
		e, err := news.next()
		if err != nil {
			return fmt.Errorf("%d of %d services: %w", len(pids), n.services, err)
		}
		pids[e.name], last = e.pid, e.at
	}
	t.milliseconds(m.up, last.Sub(began))
	last, err = logs.wait(t.ctx)
	if err != nil {
		return err
	}
	t.milliseconds(m.logged, last.Sub(began))

	time.Sleep(n.settle)
	if err := t.weighSupervision(s, root, m); err != nil {
		return err
	}
	if err := t.restart(n, news, pids, m); err != nil {
		return err
	}
	for i := range n.links {
		time.Sleep(rand.N(n.phase)) // not in step with the scanner
		began := time.Now()
		if err := t.link(n.services + i); err != nil {
			return err
		}
		if s.tell != nil {
			if out, err := exec.Command(t.find(s.kin, s.tell[0]), words(s.tell[1:], scan)...).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", s.tell[0], err, out)
			}
		}
		e, err := news.expect(serviceName(n.services + i))
		if err != nil {
			return err
		}
		t.milliseconds(m.linked, e.at.Sub(began))
	}
	return nil
}

// weighSupervision tells the supervising processes from what they supervise.
func (t *turn) weighSupervision(s *supervisor, root int, m *supervisionMetrics) error {
	var supervising, loggers []process
	for _, p := range tree(root) {
		switch p.name {
		case stay.name:
		case s.logger[0]:
			loggers = append(loggers, p)
		default:
			supervising = append(supervising, p)
		}
	}
	kB, err := weigh(supervising)
	if err != nil {
		return err
	}
	t.add(m.processes, float64(len(supervising)))
	t.add(m.pss, float64(kB)/1e3)
	if kB, err = weigh(loggers); err == nil && len(loggers) > 0 {
		t.add(m.logger, float64(kB)/float64(len(loggers)))
	}
	return err
}

// restart kills services that have run for a while, one after the other, and
// then some more twice.
func (t *turn) restart(n *sizes, news *news, pids map[string]int, m *supervisionMetrics) error {
	kill := func(name string) (time.Time, error) {
		return time.Now(), unix.Kill(pids[name], unix.SIGKILL)
	}
	for i := range n.restarts {
		at, err := kill(serviceName(i))
		if err != nil {
			return err
		}
		e, err := news.expect(serviceName(i))
		if err != nil {
			return err
		}
		t.milliseconds(m.restart, e.at.Sub(at))
	}
	// These at the same time: what is measured is a pause.
	killed := map[string]time.Time{}
	for i := range n.again {
		if _, err := kill(serviceName(n.restarts + i)); err != nil {
			return err
		}
	}
	for done := 0; done < n.again; {
		e, err := news.next()
		if err != nil {
			return err
		}
		if at, twice := killed[e.name]; twice {
			t.milliseconds(m.again, e.at.Sub(at))
			done++
			continue
		}
		pids[e.name] = e.pid
		if killed[e.name], err = kill(e.name); err != nil {
			return err
		}
	}
	return nil
}

func words(argv []string, dir string) []string {
	var out []string
	for _, a := range argv {
		out = append(out, strings.ReplaceAll(a, "{}", dir))
	}
	return out
}

func (t *turn) link(i int) error {
	return os.Symlink(filepath.Join(t.dir, "services", serviceName(i)), filepath.Join(t.dir, "scan", serviceName(i)))
}

// makeServices makes service directories. A service says its name and process
// number on the fifo, a line to its log, and then does nothing.
func (t *turn) makeServices(s *supervisor, count int, fifo string) error {
	program, err := stay.make(t.dir)
	if err != nil {
		return err
	}
	logger := append([]string{t.find(s.kin, s.logger[0])}, s.logger[1:]...)
	if err := os.Mkdir(filepath.Join(t.dir, "scan"), 0o755); err != nil {
		return err
	}
	for i := range count {
		dir := filepath.Join(t.dir, "services", serviceName(i))
		if err := os.MkdirAll(filepath.Join(dir, "log", "main"), 0o755); err != nil {
			return err
		}
		for name, text := range map[string]string{
			"run":     "#!/bin/sh\necho " + serviceName(i) + " $$ >" + fifo + "\necho running\nexec " + program + "\n",
			"log/run": "#!/bin/sh\nexec " + strings.Join(logger, " ") + "\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
				return err
			}
		}
	}
	return nil
}
