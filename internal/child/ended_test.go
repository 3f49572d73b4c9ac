package child

import (
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
