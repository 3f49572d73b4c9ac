package sys

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Signals arrive whatever the threads are doing: computing, allocating, waiting
// in the kernel.
func TestCatch(t *testing.T) {
	c, err := Catch(unix.SIGUSR1, unix.SIGALRM)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan bool)
	for range 2 * runtime.GOMAXPROCS(0) {
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = make([]byte, 1<<16)
				}
			}
		}()
	}
	defer close(stop)
	for i := range 2000 {
		sig := []unix.Signal{unix.SIGUSR1, unix.SIGALRM}[i%2]
		if err := unix.Kill(os.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
		c.R.SetReadDeadline(time.Now().Add(time.Minute))
		var b [1]byte
		if _, err := c.R.Read(b[:]); err != nil || b[0] != byte(sig) {
			t.Fatalf("signal %d: %d, %v", sig, b[0], err)
		}
	}

	// A child gets the defaults back, and runs none of the handler itself.
	cmd := exec.Command("sh", "-c", "kill -ALRM $$; echo survived")
	if out, err := cmd.CombinedOutput(); err == nil || len(out) != 0 {
		t.Errorf("a child caught the signal: %q, %v", out, err)
	}
	c.Close()
}

func TestCatchCloses(t *testing.T) {
	if os.Getenv("CATCH_CLOSES") != "" {
		c, err := Catch(unix.SIGTERM)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		unix.Kill(os.Getpid(), unix.SIGTERM)
		time.Sleep(time.Minute)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestCatchCloses$")
	cmd.Env = append(os.Environ(), "CATCH_CLOSES=1")
	cmd.Run()
	if ws := cmd.ProcessState.Sys().(interface{ Signaled() bool }); !ws.Signaled() {
		t.Errorf("the signal did not end the process: %v", cmd.ProcessState)
	}
}
