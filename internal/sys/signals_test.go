package sys

import (
	"os"
	"os/signal"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSignals(t *testing.T) {
	fd, err := Signals(unix.SIGUSR1, unix.SIGUSR2)
	if err != nil {
		t.Fatal(err)
	}
	if ready, err := Poll(time.Now().Add(10*time.Millisecond), fd); err != nil || ready[0] {
		t.Fatalf("readable before any signal: %v, %v", ready, err)
	}
	// A storm of one kind does not push the other one out.
	for range 2000 {
		unix.Kill(os.Getpid(), unix.SIGUSR1)
	}
	unix.Kill(os.Getpid(), unix.SIGUSR2)
	seen := map[byte]int{}
	for end := time.Now().Add(20 * time.Second); seen[byte(unix.SIGUSR1)] == 0 || seen[byte(unix.SIGUSR2)] == 0; {
		ready, err := Poll(end, fd)
		if err != nil || !ready[0] {
			t.Fatalf("%v, %v; so far %v", ready, err, seen)
		}
		var b [4096]byte
		n, err := fd.Read(b[:])
		if err != nil {
			t.Fatal(err)
		}
		for _, sig := range b[:n] {
			seen[sig]++
		}
	}
	if seen[byte(unix.SIGUSR1)] > 2000 || seen[byte(unix.SIGUSR2)] != 1 {
		t.Errorf("%v", seen)
	}
}

// What is asked for after DefaultSignals comes, and does not end the process.
func TestNotifyAfterDefaultSignals(t *testing.T) {
	DefaultSignals()
	defer func() {
		for sig, action := range runtimes {
			exchange(sig, &action, nil)
		}
		clear(runtimes)
	}()
	for _, sig := range []unix.Signal{unix.SIGALRM, unix.SIGQUIT, unix.SIGTERM} {
		c := make(chan os.Signal, 1)
		Notify(c, sig)
		unix.Kill(os.Getpid(), sig)
		select {
		case <-c:
		case <-time.After(20 * time.Second):
			t.Errorf("no %v", sig)
		}
		signal.Stop(c)
	}
}
