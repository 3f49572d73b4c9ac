package child

import (
	"strconv"
	"syscall"
	"testing"
	"time"
)

func TestEnded(t *testing.T) {
	p, err := Start(&Command{Argv: []string{"sh", "-c", "kill -STOP $$; exit 7"}, Path: "/bin/sh", Files: []int{-1, -1, -1}})
	if err != nil {
		t.Fatal(err)
	}
	if _, ended, err := p.Ended(); ended || err != nil {
		t.Fatalf("it has not ended: %v", err)
	}
	for range 3000 {
		p.Signal(syscall.SIGCONT)
		status, ended, err := p.Ended()
		if err != nil {
			t.Fatal(err)
		}
		if ended {
			if status.Code() != 7 {
				t.Errorf("status %d", status.Code())
			}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it does not end")
}

// Many are waited for at a time, and each one's end is its own.
func TestAwait(t *testing.T) {
	var all [20]*Process
	for i := range all {
		var err error
		all[i], err = Start(&Command{Argv: sh("read x; exit $1", strconv.Itoa(i)), Path: "/bin/sh", Files: []int{-1, -1, -1}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range all {
		if status, err := p.Await(); err != nil || status.Crashed() || status.Code() != i {
			t.Errorf("%d: %d, %v", i, status, err)
		}
		if _, err := p.Await(); err != syscall.ECHILD {
			t.Errorf("again: %v", err)
		}
	}
	p, err := Start(&Command{Argv: sh("kill -9 $$"), Path: "/bin/sh", Files: []int{-1, -1, -1}})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := p.Await(); err != nil || !status.Crashed() || int(status) != 9 {
		t.Errorf("%d, %v", status, err)
	}
}
