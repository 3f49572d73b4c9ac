package supervise

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/service"
)

// A handler closes a descriptor that has an event in the same turn, and the number
// comes to mean another file: the event is not delivered to that file's handler.
func TestLoopReusedNumber(t *testing.T) {
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	defer l.epoll.Close()
	var readers, writers [3]*sys.FD
	for i := range readers {
		if readers[i], writers[i], err = sys.Pipe(); err != nil {
			t.Fatal(err)
		}
		defer writers[i].Close()
	}
	empty := readers[2]
	defer empty.Close()
	called := 0
	replace := func(fd *sys.FD) func() {
		return func() {
			called++
			l.Remove(fd)
			if err := unix.Dup3(int(empty.Fd()), int(fd.Fd()), unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
			l.Add(fd, func() { t.Error("called for a file that is not readable") })
		}
	}
	for i, fd := range readers[:2] {
		defer fd.Close()
		if err := l.Add(fd, replace(readers[1-i])); err != nil {
			t.Fatal(err)
		}
		writers[i].Write([]byte("x"))
	}
	if err := l.Wait(time.Now()); err != nil || called != 1 {
		t.Errorf("%v, %d handlers called, want one", err, called)
	}
}

// V-06: other processes read the same fifo, and the pipe of notification-fd. The
// loop does not block if they have read everything before the handler does.
func TestStolenBytes(t *testing.T) {
	h, err := NewHost(&proc.Env{Vars: proc.Vars{"PATH=/usr/bin:/bin"}}, nil, time.Hour, func(unix.Signal) {})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := service.Open(&proc.Env{}, serviceDir(t, map[string]string{
		"run":             "#!/bin/sh\nexec sleep 1000\n",
		"notification-fd": "3\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	k, err := h.Keep(Place{Name: "s", Dir: dir, Stdin: 0, Stdout: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, handler := range map[string]func(){"orders": k.orders, "newline": k.newline} {
		done := make(chan bool)
		go func() {
			handler()
			close(done)
		}()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			// To end the test it must get what it waits for.
			t.Errorf("%s blocks", name)
			if name == "orders" {
				dir.Control([]byte("z"))
			} else {
				unix.Kill(k.run.pid, unix.SIGKILL)
			}
			<-done
		}
	}
	if k.ready == nil || k.Status().Phase != service.PhaseStarting {
		t.Errorf("status %+v: it is still expected to say that it is ready", k.Status())
	}
	k.End("dxk")
	for end := time.Now().Add(20 * time.Second); !k.Closed(); {
		if time.Now().After(end) {
			t.Fatalf("not closed, %+v", k.Status())
		}
		h.Turn(end)
	}
}
