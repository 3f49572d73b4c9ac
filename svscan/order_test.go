package svscan

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"paperpath/service"
)

func (x *tree) saidText() string {
	b, _ := os.ReadFile(x.said.Name())
	return string(b)
}

// phase returns the phase of a service.
func phase(d *service.Dir) service.Phase {
	s, _ := d.Status()
	return s.Phase
}

// noting makes a service that writes to "order" when it begins and ends.
func noting(name, ready string) string {
	return "#!/bin/sh\necho +" + name + " >>../order\n" +
		"trap 'echo -" + name + " >>../order; exit' TERM\n" + ready + "\nwhile :; do sleep 0.1; done\n"
}

// Services begin when the services that they come after are up, and end before them.
func TestOrder(t *testing.T) {
	x := services(t)
	os.RemoveAll(filepath.Join(x.dir, "s"))
	x.write("a-web/run", noting("web", ""))
	x.write("a-web/after", "b-db\nc-cache\n")
	x.write("b-db/run", noting("db", "until test -e go; do sleep 0.1; done; echo >&5"))
	x.write("b-db/notification-fd", "5\n")
	x.write("c-cache/run", noting("cache", "echo >&5"))
	x.write("c-cache/notification-fd", "5\n")
	x.write("c-cache/after/b-db", "")
	x.start()
	web, db := x.dirOf("a-web"), x.dirOf("b-db")
	x.until("the database is starting", func() bool { return pid(db) != 0 })
	x.until("the others wait", func() bool { return phase(web) == service.PhaseWaiting })
	x.write("b-db/go", "")
	x.until("all are up", func() bool { return x.read("order") == "+db\n+cache\n+web\n" })
	x.until("and trap", func() bool { return phase(web) == service.PhaseUp })
	x.stop()
	order := x.read("order")
	if order != "+db\n+cache\n+web\n-web\n-cache\n-db\n" {
		t.Errorf("order %q", order)
	}
}

// Services that wait for each other are reported, and start and end all the same.
func TestCircle(t *testing.T) {
	x := services(t)
	os.RemoveAll(filepath.Join(x.dir, "s"))
	for name, after := range map[string]string{"a": "b", "b": "c\n", "c": "a\n", "self": "self", "lost": "nobody"} {
		x.write(name+"/run", "#!/bin/sh\nexec sleep 1000\n")
		x.write(name+"/after", after)
	}
	x.start()
	for _, name := range []string{"a", "b", "c", "self"} {
		d := x.dirOf(name)
		x.until(name+" is up", func() bool { return pid(d) != 0 })
	}
	if d := x.dirOf("lost"); phase(d) != service.PhaseWaiting {
		t.Errorf("lost is %v", phase(d))
	}
	x.stop()
	if said := x.saidText(); !strings.Contains(said, "supervise: warning: a comes after b comes after c comes after a: not waiting\n") {
		t.Errorf("%q", said)
	}
}

// A service that ignores TERM is killed when its timeout-kill says so, or if it has
// none, at the second signal; its logger still reads to the end.
func TestStopKills(t *testing.T) {
	x := services(t)
	x.write("s/run", "#!/bin/sh\ntrap '' TERM\necho $$ >>pids\necho line\nwhile :; do sleep 0.1; done\n")
	x.write("s/timeout-kill", "100\n")
	x.write("u/run", "#!/bin/sh\ntrap '' TERM\necho up\nwhile :; do sleep 0.1; done\n")
	x.write("u/log/run", "#!/bin/sh\nsleep 0.5\nexec cat >>out\n")
	x.start()
	s, u := x.dirOf("s"), x.dirOf("u")
	x.until("s is up", func() bool { return x.read("s/log/out") == "line\n" })
	x.until("u is up", func() bool { return x.read("u/log/out") == "up\n" })
	x.svscan.Process.Signal(syscall.SIGTERM)
	x.until("s is killed", func() bool { return s.OK() != nil })
	if pid(u) == 0 {
		t.Error("u is down, and nobody said so")
	}
	if log, err := x.dirOf("u/log").Status(); err != nil || log.Want != service.Up {
		t.Errorf("its logger was told to end before it: %+v, %v", log, err)
	}
	x.stop()
	if status, err := u.Status(); err != nil || status.Last.Signal != int(syscall.SIGKILL) {
		t.Errorf("%+v, %v", status, err)
	}
}
