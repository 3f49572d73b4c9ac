// Package crash kills real programs and looks at what they leave. Power cuts
// are tested in memory, beside the code (internal/fsys/crashfs).
package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/fsys"
	"paperpath/mta/queue/store"
	"paperpath/test/bin"
)

func TestMain(m *testing.M) { bin.Main(m) }

// emptyQueue lays out a qmail home with an empty queue.
func emptyQueue(t *testing.T) (home string) {
	t.Helper()
	home = t.TempDir()
	dirs := append([]string{"pid", "intd", "todo", "lock"}, store.Subdirs("mess")...)
	for _, dir := range dirs {
		if err := os.MkdirAll(filepath.Join(home, "queue", dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// handIn runs qmail-queue on message i and kills it after delay; a negative
// delay lets it live. It reports whether the message was acknowledged.
func handIn(t *testing.T, home string, i int, delay time.Duration) (acked, killed bool) {
	messageR, messageW, err1 := os.Pipe()
	envelopeR, envelopeW, err2 := os.Pipe()
	if err1 != nil || err2 != nil {
		t.Error(err1, err2)
		return
	}
	cmd := exec.Command(filepath.Join(bin.Dir(t), "qmail-queue"))
	cmd.Env = []string{"QMAILHOME=" + home}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = messageR, envelopeR, os.Stderr
	err := cmd.Start()
	messageR.Close()
	envelopeR.Close()
	if err != nil {
		t.Error(err)
		return
	}
	if delay >= 0 {
		timer := time.AfterFunc(delay, func() { cmd.Process.Kill() })
		defer timer.Stop()
	}
	messageW.WriteString(body(i)) // errors: it may be dead
	messageW.Close()
	envelopeW.WriteString(envelope(i) + "\x00")
	envelopeW.Close()
	cmd.Wait()
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return false, true
	}
	if status.ExitStatus() != 0 {
		t.Errorf("message %d: exit status %d", i, status.ExitStatus())
	}
	return status.ExitStatus() == 0, false
}

// body fits into a pipe, so that writing it never waits for the program.
func body(i int) string {
	return fmt.Sprintf("Subject: message %d\n\n%send of %d\n", i, strings.Repeat("0123456789\n", i*97%5000), i)
}

func envelope(i int) string { return fmt.Sprintf("Fs%d@x\x00Tr%d@y\x00", i, i) }

// queued returns how often each message is in the queue. What todo names must
// be whole.
func queued(t *testing.T, home string) map[int]int {
	t.Helper()
	fs := fsys.OS{Root: home + "/queue"}
	ids, err := store.List(fs, "todo")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]int{}
	for _, id := range ids {
		mess, err1 := fsys.ReadFile(fs, id.Mess(), 1<<20)
		todo, err2 := fsys.ReadFile(fs, store.Form{}.Todo(id), 1<<20)
		info, err3 := fs.Stat(id.Mess())
		if err1 != nil || err2 != nil || err3 != nil || info.Ino != uint64(id) {
			t.Errorf("todo/%v: %v, %v, %v, inode %d", id, err1, err2, err3, info.Ino)
			continue
		}
		_, subject, _ := strings.Cut(string(mess), "Subject: message ")
		number, _, _ := strings.Cut(subject, "\n")
		i, err := strconv.Atoi(number)
		_, text, _ := strings.Cut(string(mess), "\n") // behind the Received line
		if err != nil || text != body(i) || !strings.HasSuffix(string(todo), "\x00"+envelope(i)) {
			t.Errorf("todo/%v: message of %d bytes, envelope %q", id, len(mess), todo)
			continue
		}
		found[i]++
	}
	return found
}

// qmail-queue killed at any moment: what it acknowledged is there, and what is
// there is whole.
func TestKillingQmailQueue(t *testing.T) {
	home := emptyQueue(t)
	bin.Dir(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex
	life := 50 * time.Millisecond // of the last process that was not killed
	acknowledged, kills := map[int]bool{}, 0
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return kills >= 100 && len(acknowledged) >= 100
	}
	var workers sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i := 0; i < 5000 && !enough(); i++ {
		mu.Lock()
		delay := time.Duration(rng.Int64N(int64(life)))
		mu.Unlock()
		if i%4 == 0 {
			delay = -1
		}
		slots <- struct{}{}
		workers.Go(func() {
			defer func() { <-slots }()
			begin := time.Now()
			acked, killed := handIn(t, home, i, delay)
			mu.Lock()
			defer mu.Unlock()
			if acked {
				acknowledged[i] = true
				life = time.Since(begin)
			}
			if killed {
				kills++
			}
		})
	}
	workers.Wait()
	found := queued(t, home)
	for i := range acknowledged {
		if found[i] != 1 {
			t.Errorf("message %d was acknowledged and is in the queue %d times", i, found[i])
		}
	}
	for i, n := range found {
		if n > 1 {
			t.Errorf("message %d is in the queue %d times", i, n)
		}
	}
	if kills < 100 || len(acknowledged) < 100 {
		t.Errorf("%d killed, %d acknowledged: the test tests nothing", kills, len(acknowledged))
	}
	t.Logf("%d killed, %d acknowledged, %d in the queue", kills, len(acknowledged), len(found))
}
