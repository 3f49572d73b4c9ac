package svscan

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// single notes a process in "pid", and in "double" if the one before still lives.
const single = `#!/bin/sh
read -r old <pid
echo $$ >pid
while read -r word rest; do
	case $word in State:) case $rest in [ZX]*) ;; *) echo $old $$ >>double ;; esac ;; esac
done <"/proc/${old:-none}/status"
`

// A service that numbers its lines, and keeps a copy of each: first in "mine",
// then to its logger.
const numbering = single + `
i=0
while :; do
	i=$((i+1))
	echo $$.$i >>mine
	echo $$.$i
	sleep 0.01
done 2>/dev/null
`

// A logger that reads line by line, so that killing it loses one line at most.
const lineLogger = single + "while read -r line; do echo $line >>out; done\n"

// R11, V-04: whatever is killed, and whenever: no service runs twice, and no line of
// a service is lost, or logged twice.
func TestChaos(t *testing.T) {
	d := 3 * time.Second
	if s := os.Getenv("CHAOS"); s != "" { // for a longer look
		d, _ = time.ParseDuration(s)
	}
	x := services(t)
	names := []string{"s", "u", "v"}
	for _, name := range names {
		x.write(name+"/run", numbering)
		x.write(name+"/log/run", lineLogger)
	}
	kills := map[string]int{}
	x.start()
	x.until("lines", func() bool { return x.read("s/log/out") != "" })
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(time.Duration(rand.N(100)) * time.Millisecond)
		name := names[rand.N(len(names))]
		what := []string{"svscan", "", "", "/log"}[rand.N(4)]
		if what != "svscan" {
			if status, err := x.dirOf(name + what).Status(); err == nil && status.PID != 0 {
				unix.Kill(status.PID, unix.SIGKILL)
				kills[name+what]++
			}
			if rand.N(2) == 0 {
				continue
			}
			time.Sleep(time.Duration(rand.N(2000)) * time.Microsecond)
		}
		// Svscan too, at about the same time: but when service and logger and
		// svscan are all dead, the pipe is, with what is in it.
		if slices.ContainsFunc(names, func(name string) bool {
			return pid(x.dirOf(name)) == 0 && pid(x.dirOf(name+"/log")) == 0 ||
				what != "svscan" && pid(x.dirOf(name+map[string]string{"": "/log", "/log": ""}[what])) == 0
		}) {
			continue
		}
		x.svscan.Process.Kill()
		x.svscan.Wait()
		kills["svscan"]++
		x.start()
	}
	for _, name := range names {
		d := x.dirOf(name)
		x.until(name+" is up", func() bool { return pid(d) != 0 })
	}
	x.stop()
	for _, name := range names {
		for _, dir := range []string{name, name + "/log"} {
			if double := x.read(dir + "/double"); double != "" {
				t.Errorf("%s ran twice: %q", dir, double)
			}
		}
		count := map[string]int{}
		for _, line := range strings.Fields(x.read(name + "/log/out")) {
			count[line]++
		}
		mine := strings.Fields(x.read(name + "/mine"))
		lost := 0
		for i, line := range mine {
			// The last one of a process that was killed may be in its copy only.
			last := i+1 == len(mine) || !strings.HasPrefix(mine[i+1], line[:strings.IndexByte(line, '.')+1])
			if n := count[line]; n == 0 && !last {
				lost++
			} else if n > 1 {
				t.Errorf("%s: %s is logged %d times", name, line, n)
			}
			delete(count, line)
		}
		if lost > kills[name+"/log"] {
			t.Errorf("%s: %d lines are lost, and its logger was killed %d times", name, lost, kills[name+"/log"])
		}
		if len(count) > 2*kills[name+"/log"] { // torn ones
			t.Errorf("%s: in the log without having been written: %v", name, count)
		}
		t.Logf("%s: %d lines, %d lost", name, len(mine), lost)
	}
	t.Log(kills)
}
