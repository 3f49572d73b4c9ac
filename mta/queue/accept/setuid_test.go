package accept

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"paperpath/internal/fsys"
	"paperpath/mta/queue/store"
)

// Numbers of nobody in particular: the owner of the queue and a hostile user.
const (
	owner  = 58231
	caller = 58232
)

// realHome builds qmail-queue for a qmail home of its own, setuid where the
// test is root. Otherwise the program has no more rights than its caller, which
// is a rootless installation.
func realHome(t *testing.T) string {
	t.Helper()
	home, err := os.MkdirTemp("", "qmail-queue-") // t.TempDir's parents are closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	dirs := []string{"bin", "queue", "queue/pid", "queue/intd", "queue/todo", "queue/lock", "queue/mess"}
	for _, sub := range store.Subdirs("mess") {
		dirs = append(dirs, "queue/"+sub)
	}
	for _, dir := range dirs {
		if err := os.Mkdir(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	program := home + "/bin/qmail-queue"
	cmd := exec.Command("go", "build", "-ldflags", "-X paperpath/mta/layout.DefaultHome="+home, "-o", program, "paperpath/cmd/qmail-queue")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if os.Getuid() != 0 {
		return home
	}
	for _, dir := range append(dirs, "") {
		if err := os.Chown(filepath.Join(home, dir), owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]uint32{"": 0o755, "bin": 0o755, "bin/qmail-queue": 0o4711} {
		name = filepath.Join(home, name)
		if err := os.Chown(name, owner, owner); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// attack runs qmail-queue as a hostile user would, from a shell.
func attack(t *testing.T, home, script string, env ...string) (status int, output string) {
	t.Helper()
	program := home + "/bin/qmail-queue"
	cmd := exec.Command("/bin/sh", "-c", script, "sh", program)
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=/usr/bin:/bin"}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: caller, Gid: caller}
	}
	// The envelope comes on descriptor 3 for the script to move to 1, where a
	// shell's pipe cannot lead.
	message := strings.NewReader(secret)
	cmd.Stdin, cmd.ExtraFiles = message, []*os.File{pipeOf(t, realEnvelope+"\x00")}
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), said.String()
}

const (
	secret       = "Subject: x\n\nnobody else may see this\n"
	realEnvelope = "Fs@x\x00Tr@y\x00"
	run          = `exec "$1" 1<&3 3<&-`
)

// queued counts the messages in a real queue and checks that each is whole.
func queued(t *testing.T, home, by string) int {
	t.Helper()
	fs := fsys.OS{Root: home + "/queue"}
	ids, err := store.List(fs, "todo")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		mess, err1 := fsys.ReadFile(fs, id.Mess(), 1<<20)
		todo, err2 := fsys.ReadFile(fs, store.Form{}.Todo(id), 1<<20)
		head, body, _ := strings.Cut(string(mess), "\n")
		if err1 != nil || err2 != nil || body != secret || !strings.Contains(head, " invoked by uid "+by+");") ||
			!strings.HasPrefix(string(todo), "u"+by+"\x00p") || !strings.HasSuffix(string(todo), "\x00"+realEnvelope) {
			t.Errorf("in the queue: %q, %q (%v, %v)", mess, todo, err1, err2)
		}
		info, err := fs.Stat(id.Mess())
		if err != nil || info.Mode&0o7777 != 0o644 || os.Getuid() == 0 && info.UID != owner {
			t.Errorf("%s: mode %o, owner %d, %v", id.Mess(), info.Mode, info.UID, err)
		}
	}
	return len(ids)
}

// Whatever the caller sets, shuts or limits: status 0 means one whole message
// more in the queue, any other status none, and nothing is said that the
// caller should not read.
func TestHostileCallers(t *testing.T) {
	home := realHome(t)
	by := strconv.Itoa(os.Getuid())
	if by == "0" {
		by = strconv.Itoa(caller)
	}
	queuedAlways := []string{
		run,
		"umask 777; " + run,
		"umask 0; " + run,
		`trap "" HUP INT QUIT TERM ALRM PIPE CHLD XFSZ XCPU; ` + run,
		`exec "$1" 1<&3 3<&- 2>&-`,
		`d=$(mktemp -d); cd "$d"; rmdir "$d"; ` + run,
		`exec "$1" one -two three 1<&3 3<&-`,
	}
	for _, script := range queuedAlways {
		before := queued(t, home, by)
		status, said := attack(t, home, script)
		if status != 0 || said != "" || queued(t, home, by) != before+1 {
			t.Errorf("%s: status %d, said %q, %d messages more", script, status, said, queued(t, home, by)-before)
		}
	}
	refused := map[string]int{
		`exec "$1" 1<&- 3<&-`:       54,
		`exec "$1" 1</dev/null`:     54,
		`exec "$1" <&- 1<&-`:        54,
		`exec "$1" </ 1<&3`:         54, // a directory
		`exec "$1" 1>/dev/null`:     54, // not readable
		`ulimit -f 0; ` + run:       53,
		`exec "$1" <&3 1</dev/zero`: 91,
	}
	for script, want := range refused {
		before := queued(t, home, by)
		status, said := attack(t, home, script)
		if status == 0 || status != want || said != "" || queued(t, home, by) != before {
			t.Errorf("%s: status %d, want %d, said %q, %d messages more", script, status, want, said, queued(t, home, by)-before)
		}
	}
	if t.Failed() {
		return
	}

	// With limits the runtime itself may die, in words of its own.
	limits := []string{"ulimit -n 3; ", "ulimit -n 4; ", "ulimit -n 5; ", "ulimit -n 6; ", "ulimit -v 1000; ", "ulimit -v 100000; ",
		"ulimit -d 1000; ", "ulimit -d 60000; ", "ulimit -f 1; ", "ulimit -s 64; ", "ulimit -t 1; "}
	for _, limit := range limits {
		// The shell moves the descriptors first: it needs some itself.
		whole(t, home, by, "exec 1<&3 3<&-; "+limit+`exec "$1"`)
	}
	for _, set := range []string{
		"QMAILHOME=/", "GOGC=1", "GOMEMLIMIT=1", "GOMAXPROCS=1000", "GOTRACEBACK=crash", "GOCOVERDIR=/tmp",
		"GODEBUG=gctrace=1,inittrace=1,schedtrace=1,scheddetail=1", "GODEBUG=clobberfree=1,gccheckmark=1,gcstoptheworld=2",
		"GODEBUG=sbrk=1,efence=1", "GODEBUG=cpu.all=off", "GODEBUG=" + strings.Repeat("x=1,", 10_000),
	} {
		if os.Getuid() != 0 && strings.HasPrefix(set, "QMAILHOME=") {
			continue // which a rootless installation obeys
		}
		whole(t, home, by, run, set)
	}

	for _, c := range []struct {
		gone   string
		status int
	}{{"queue/todo", 66}, {"queue/intd", 65}, {"queue/mess", 64}, {"queue/pid", 63}, {"queue", 62}} {
		if err := os.Rename(home+"/"+c.gone, home+"/gone"); err != nil {
			t.Fatal(err)
		}
		if status, said := attack(t, home, run); status != c.status || said != "" {
			t.Errorf("without %s: status %d, said %q", c.gone, status, said)
		}
		if err := os.Rename(home+"/gone", home+"/"+c.gone); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() != 0 { // the setuid program looks nowhere else
		if status, _ := attack(t, home, run, "QMAILHOME="+home+"/missing"); status != 61 {
			t.Errorf("without a home: status %d", status)
		}
	}
}

// whole checks an attack whose status is not known beforehand.
func whole(t *testing.T, home, by, script string, env ...string) {
	t.Helper()
	before := queued(t, home, by)
	status, said := attack(t, home, script, env...)
	want := before
	if status == 0 {
		want++
	}
	if got := queued(t, home, by); got != want {
		t.Errorf("%s %.60q: status %d and %d messages more", script, env, status, got-before)
	}
	if strings.Contains(said, "nobody else may see this") || strings.Contains(said, "r@y") {
		t.Errorf("%s %.60q: said %q", script, env, said)
	}
	t.Logf("%s %.60q: status %d, said %d bytes", script, env, status, len(said))
}

// Root's messages are the queue's owner's, also where the program is not setuid.
func TestRootWithoutSetuid(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	home := realHome(t)
	if err := os.Chmod(home+"/bin/qmail-queue", 0o755); err != nil {
		t.Fatal(err)
	}
	message, envelope := pipeOf(t, "text\n"), pipeOf(t, "Fa@b\x00Tc@d\x00\x00")
	cmd := exec.Command(home + "/bin/qmail-queue")
	cmd.Stdin, cmd.Stdout = message, envelope
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(home + "/queue/todo/*")
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	messages, _ := filepath.Glob(home + "/queue/mess/*/*")
	for _, name := range append(messages, names...) {
		if info, err := (fsys.OS{}).Stat(name); err != nil || info.UID != owner {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
	}
	if text, err := os.ReadFile(names[0]); err != nil || !strings.HasPrefix(string(text), "u0\x00p") {
		t.Errorf("%q, %v", text, err)
	}
}

// pipeOf returns the reading end of a pipe with a text in it.
func pipeOf(t *testing.T, text string) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	w.WriteString(text)
	w.Close()
	return r
}
