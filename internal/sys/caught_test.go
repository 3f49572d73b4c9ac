package sys

import (
	"math"
	"os"
	"os/exec"
	"runtime"
	"sync"
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
	var busy sync.WaitGroup
	for i := range 2 * runtime.GOMAXPROCS(0) {
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				switch i % 3 {
				case 0:
					_ = make([]byte, 1<<16)
				case 1: // what is interrupted goes on with the registers that it had
					sum, product := 0, 1.0
					for k := range 10000 {
						sum += k
						product *= 1 + 1/float64(k+1)
					}
					if sum != 49995000 || math.Abs(product-10001) > 1e-6 {
						t.Errorf("sum %d, product %v", sum, product)
						return
					}
				case 2: // and a system call with its own error
					if err := unix.Access("/no/such", 0); err != unix.ENOENT {
						t.Errorf("access: %v", err)
						return
					}
				}
			}
		})
	}
	defer busy.Wait()
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

// What the caller blocks or ignores is caught.
func TestCatchesWhatWasNotWanted(t *testing.T) {
	sigs := []unix.Signal{unix.SIGALRM, unix.SIGHUP, unix.SIGTERM}
	if os.Getenv("CATCH_ALL") != "" {
		c, err := Catch(sigs...)
		if err != nil {
			t.Fatal(err)
		}
		for _, sig := range sigs {
			unix.Kill(os.Getpid(), sig)
			c.R.SetReadDeadline(time.Now().Add(20 * time.Second))
			var b [1]byte
			if _, err := c.R.Read(b[:]); err != nil || b[0] != byte(sig) {
				t.Fatalf("signal %d: %d, %v", sig, b[0], err)
			}
		}
		return
	}
	run := func(name string, args ...string) {
		cmd := exec.Command(name, args...)
		cmd.Env = append(os.Environ(), "CATCH_ALL=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
	const self = "-test.run=^TestCatchesWhatWasNotWanted$"
	run("sh", "-c", `trap "" ALRM HUP TERM; exec "$0" "$@"`, os.Args[0], self)

	runtime.LockOSThread() // the child's mask is this thread's
	defer runtime.UnlockOSThread()
	var set, before unix.Sigset_t
	for _, sig := range sigs {
		set.Val[0] |= 1 << (sig - 1)
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, &before); err != nil {
		t.Fatal(err)
	}
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
	run(os.Args[0], self)
}
