package crash

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"paperpath/test/bin"
)

// nobody is the user whose Maildir it is if the test runs as root, for whom
// qmail-pop3d does not work.
const nobody = 65534

// owned returns a directory that the user of run's processes may enter.
func owned(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pop3-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if os.Getuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// run starts a program with that user's rights, feeds it and kills it after delay;
// a negative delay lets it live.
func run(t *testing.T, program, dir, input string, delay time.Duration) (output string, life time.Duration, killed bool) {
	t.Helper()
	cmd := exec.Command(program, "Maildir")
	cmd.Dir, cmd.Env = dir, []string{"PATH=/bin"}
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if delay >= 0 {
		timer := time.AfterFunc(delay, func() { cmd.Process.Kill() })
		defer timer.Stop()
	}
	cmd.Wait()
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() && status.ExitStatus() != 0 {
		t.Fatalf("exit status %d", status.ExitStatus())
	}
	return out.String(), time.Since(begin), status.Signaled()
}

// fill makes a Maildir of n messages, half of them in cur/, each with its number
// for text.
func fill(t *testing.T, dir string, n int) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	write := func(name string, made error) {
		if made == nil && os.Getuid() == 0 {
			made = os.Chown(name, nobody, nobody)
		}
		if made != nil {
			t.Fatal(made)
		}
	}
	for _, sub := range []string{"", "tmp", "new", "cur"} {
		name := filepath.Join(dir, sub)
		write(name, os.Mkdir(name, 0o700))
	}
	for i := range n {
		name := fmt.Sprintf("%s/new/%d.M%d.h", dir, i, i)
		if i%2 == 0 {
			name = fmt.Sprintf("%s/cur/%d.M%d.h:2,S", dir, i, i)
		}
		write(name, os.WriteFile(name, []byte(strconv.Itoa(i)), 0o600))
		when := time.Unix(int64(1e9+i), 0)
		write(name, os.Chtimes(name, when, when))
	}
}

// found returns how often each message is in the Maildir, as it was.
func found(t *testing.T, dir string) map[int]int {
	t.Helper()
	names, err := filepath.Glob(dir + "/[nc]*/*")
	if err != nil {
		t.Fatal(err)
	}
	count := map[int]int{}
	for _, name := range names {
		number, _, _ := strings.Cut(filepath.Base(name), ".")
		text, err := os.ReadFile(name)
		if i, e := strconv.Atoi(number); err != nil || e != nil || string(text) != number {
			t.Errorf("%s: %q, %v", name, text, err)
		} else {
			count[i]++
		}
	}
	return count
}

// qmail-pop3d killed at any moment: what was not to be deleted is there once, and
// what the client was told to be deleted is not.
func TestKillingQmailPop3d(t *testing.T) {
	const messages = 30
	dir := owned(t)
	program := filepath.Join(dir, "qmail-pop3d") // where nobody may run it
	text, err := os.ReadFile(filepath.Join(bin.Dir(t), "qmail-pop3d"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	var client strings.Builder
	for i := 1; i <= messages; i += 3 {
		fmt.Fprintf(&client, "DELE %d\r\n", i)
	}
	client.WriteString("QUIT\r\n")
	whole := strings.Repeat("+OK \r\n", 2+(messages+2)/3) // with the greeting
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	life := 50 * time.Millisecond
	kills, within, confirmed := 0, 0, 0
	for i := 0; i < 1000 && (kills < 30 || within < 5 || confirmed < 5); i++ {
		fill(t, dir+"/Maildir", messages)
		delay := time.Duration(rng.Int64N(int64(life)))
		if i%8 == 0 {
			delay = -1
		}
		output, lived, killed := run(t, program, dir, client.String(), delay)
		if killed {
			kills++
		} else {
			life = lived
		}
		if !strings.HasPrefix(whole, output) {
			t.Fatalf("it said %q", output)
		}
		count, deleted := found(t, dir+"/Maildir"), 0
		for m := range messages {
			switch {
			case m%3 != 0 && count[m] != 1:
				t.Errorf("message %d is there %d times", m, count[m])
			case m%3 == 0 && count[m] > 0 && output == whole:
				t.Errorf("message %d was deleted and is there", m)
			case m%3 == 0 && count[m] == 0:
				deleted++
			}
		}
		if output == whole {
			confirmed++
		}
		if deleted > 0 && killed {
			within++
		}
	}
	t.Logf("%d killed, %d of them while or after deleting, %d confirmed", kills, within, confirmed)
	if kills < 30 || within < 5 || confirmed < 5 {
		t.Error("the test tests nothing")
	}
}
