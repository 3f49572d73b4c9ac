package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// kinds are the programs to kill. Those of the second list live for moments
// and may be missed.
var (
	residents = []string{"tcpserver", "qmail-send", "qmail-lspawn", "qmail-rspawn", "qmail-clean", "qmail-queue", "multilog"}
	passersBy = []string{"qmail-local"} // (qmail-smtpd is in tcpserver)
)

// killInTurn kills one process of each kind, and waits for the residents to be
// there again, in so many rounds.
func killInTurn(t *testing.T, root, rounds int) map[string]int {
	killed := map[string]int{}
	kill := func(kind string) bool {
		for pid, name := range descendants(root) {
			if name == kind && syscall.Kill(pid, syscall.SIGKILL) == nil {
				killed[kind]++
				return true
			}
		}
		return false
	}
	for range rounds {
		for _, kind := range residents {
			eventually(t, kind+" to be there to be killed", func() bool { return kill(kind) })
		}
		for _, kind := range passersBy {
			for try := 0; try < 50 && !kill(kind); try++ {
				time.Sleep(2 * time.Millisecond)
			}
		}
	}
	return killed
}

// Every process is killed with -9, one kind after another, while messages
// come in over several connections. What was acknowledged arrives; the
// services come back by themselves.
func TestKill(t *testing.T) {
	total, rounds := 2000, 5
	if testing.Short() {
		total, rounds = 300, 1
	}
	s := start(t, runDir(t))
	root := s.cmd.Process.Pid

	ids := make(chan int)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for id := range ids {
				// A refusal or a broken connection means: not taken, send it again.
				for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
					reply, err := s.submit("kill@client.test", []string{"alice@" + host},
						fmt.Sprintf("Subject: kill %d\r\nX-Number: n%d.\r\n\r\n%s\r\n", id, id, strings.Repeat("x", 4000)))
					if err == nil && reply[0] == '2' {
						break
					}
				}
			}
		})
	}
	// Messages keep coming until enough was killed among them.
	enough := make(chan struct{})
	sent := make(chan int)
	go func() {
		id := 0
		for done := false; !done || id < total; id++ {
			ids <- id
			select {
			case <-enough:
				done = true
			default:
			}
		}
		close(ids)
		sent <- id
	}()
	killed := killInTurn(t, root, rounds)
	close(enough)
	total = <-sent
	wg.Wait()
	t.Logf("killed: %v", killed)

	number := regexp.MustCompile(`\nX-Number: n([0-9]+)\.\n`)
	seen := map[string]int{}
	read := map[string]bool{}
	eventually(t, "all messages to arrive", func() bool {
		// A delivery that was cut off is deferred; ask for it now.
		for pid, name := range descendants(root) {
			if name == "qmail-send" {
				syscall.Kill(pid, syscall.SIGALRM)
			}
		}
		names, _ := filepath.Glob(filepath.Join(s.dir, "home/alice/Maildir/new/*"))
		for _, name := range names {
			if read[name] {
				continue
			}
			read[name] = true
			text, _ := os.ReadFile(name)
			if n := number.FindSubmatch(text); n != nil {
				seen[string(n[1])]++
				if !strings.HasSuffix(string(text), strings.Repeat("x", 4000)+"\n") {
					t.Errorf("%s is not whole", name)
				}
			}
		}
		return len(seen) == total
	})
	twice := 0
	for _, n := range seen {
		if n > 1 {
			twice++
		}
	}
	t.Logf("%d messages, %d delivered more than once", total, twice)

	// And everything is up again.
	for _, service := range []string{"qmail-send", "qmail-smtpd"} {
		for _, dir := range []string{service, service + "/log"} {
			eventually(t, dir+" to be up", func() bool {
				return strings.Contains(s.tool("svstat", filepath.Join(s.dir, "service", dir)), ": up (pid ")
			})
		}
	}
	s.empty()
	s.stop()
}
