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

// Every process is killed with -9, one kind after another, while messages
// come in over several connections. What was acknowledged arrives; the
// services come back by themselves.
func TestKill(t *testing.T) {
	total := 2000
	if testing.Short() {
		total = 300
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
	feed := make(chan struct{})
	go func() {
		defer close(feed)
		for id := range total {
			ids <- id
		}
		close(ids)
	}()

	// The programs in turn, while there is anything to disturb.
	kinds := []string{
		"tcpserver", "qmail-smtpd", "qmail-queue", "qmail-send", "qmail-lspawn",
		"qmail-local", "qmail-rspawn", "qmail-clean", "multilog", "supervise",
	}
	killed := map[string]int{}
	for round := 0; ; round++ {
		kind := kinds[round%len(kinds)]
		for pid, name := range descendants(root) {
			// The kernel keeps fifteen bytes of a name.
			if name == kind && syscall.Kill(pid, syscall.SIGKILL) == nil {
				killed[kind]++
				break
			}
		}
		select {
		case <-feed:
		case <-time.After(100 * time.Millisecond):
			continue
		}
		break
	}
	wg.Wait()
	t.Logf("killed: %v", killed)
	for _, kind := range []string{"tcpserver", "qmail-send", "qmail-lspawn", "qmail-clean", "multilog", "supervise"} {
		if killed[kind] == 0 {
			t.Errorf("no %s was ever killed", kind)
		}
	}

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
