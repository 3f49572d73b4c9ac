package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// adoptOrphans makes every descendant of this process stay one, even after its
// parent has died, so that endAll finds it.
func adoptOrphans() error {
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}

// start starts a daemon, which endAll ends. What it has to complain of goes to
// our standard error.
func (t *turn) start(c *exec.Cmd) (pid int, err error) {
	if c.Dir == "" {
		c.Dir = t.dir
	}
	if c.Stderr == nil {
		c.Stderr = os.Stderr
	}
	// A group of its own: ^C is for this process, which then ends it.
	c.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		return 0, err
	}
	pid = c.Process.Pid
	return pid, c.Process.Release() // endAll reaps
}

// process is an entry of /proc.
type process struct {
	pid, parent int
	name        string
}

// descendants returns all processes below root, zombies excepted.
func descendants(root int) []process {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]process{}
	for _, n := range names {
		if pid, err := strconv.Atoi(n.Name()); err == nil {
			if p, ok := readProcess(pid); ok {
				children[p.parent] = append(children[p.parent], p)
			}
		}
	}
	var found []process
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		for _, p := range children[queue[0]] {
			found = append(found, p)
			queue = append(queue, p.pid)
		}
	}
	return found
}

// readProcess reads proc(5)'s line: pid (name) state parent …
func readProcess(pid int) (process, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if err != nil || open < 0 || end < open {
		return process{}, false
	}
	rest := bytes.Fields(b[end+1:])
	if len(rest) < 2 || rest[0][0] == 'Z' {
		return process{}, false
	}
	parent, err := strconv.Atoi(string(rest[1]))
	return process{pid, parent, string(b[open+1 : end])}, err == nil
}

// tree is a process and all below it.
func tree(pid int) []process {
	all := descendants(pid)
	if p, ok := readProcess(pid); ok {
		all = append(all, p)
	}
	return all
}

// pss returns the proportional set size of a process, in kB.
func pss(pid int) (int, error) {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "Pss:"); ok {
			return strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(rest, "kB")))
		}
	}
	return 0, errors.New("no Pss in smaps_rollup")
}

// weigh returns the sum of the proportional set sizes, in kB. A process that
// ended meanwhile counts for nothing.
func weigh(ps []process) (kB int, err error) {
	for _, p := range ps {
		n, err := pss(p.pid)
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ESRCH) {
			return 0, err
		}
		kB += n
	}
	return kB, nil
}

// endAll ends and reaps every descendant. They are all stopped first: killed
// one by one, supervisors would start them again.
func endAll() {
	var stopped []int
	for {
		fresh := 0
		for _, p := range descendants(os.Getpid()) {
			if !slices.Contains(stopped, p.pid) {
				unix.Kill(p.pid, unix.SIGSTOP)
				stopped = append(stopped, p.pid)
				fresh++
			}
		}
		if fresh == 0 {
			break
		}
	}
	for _, pid := range stopped {
		unix.Kill(pid, unix.SIGKILL)
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		switch pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); {
		case err == unix.ECHILD:
			return
		case pid == 0:
			time.Sleep(time.Millisecond)
		}
	}
	fmt.Fprintln(os.Stderr, "bench: some processes do not end")
}
