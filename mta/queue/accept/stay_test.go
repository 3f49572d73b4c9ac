package accept

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/mta/queue/resident"
)

// startResident starts qmail-queue as a hostile user would and returns his end of
// the socket.
func startResident(t *testing.T, home string) (cmd *exec.Cmd, conn *os.File) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.SetNonblock(pair[1], false)
	theirs := os.NewFile(uintptr(pair[1]), "socket")
	defer theirs.Close()
	conn = os.NewFile(uintptr(pair[0]), "socket")
	argv := resident.Argv(home + "/bin/qmail-queue")
	cmd = exec.Command(argv[0], argv[1:]...)
	cmd.Env = []string{"QMAILHOME=" + home}
	cmd.ExtraFiles = []*os.File{theirs}
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: caller, Gid: caller}}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		cmd.Wait()
	})
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	greeting := make([]byte, len(resident.Greeting))
	if _, err := io.ReadFull(conn, greeting); err != nil || string(greeting) != resident.Greeting {
		t.Fatalf("greeting %q, %v", greeting, err)
	}
	return cmd, conn
}

// handOver sends a message and an envelope and returns the answer, 'E' for none.
func handOver(conn *os.File, message, envelope string) byte {
	w := resident.NewWriter(conn)
	io.WriteString(w, message)
	w.End()
	io.WriteString(w, envelope)
	w.End()
	w.Flush()
	return answerOf(conn)
}

func answerOf(conn *os.File) byte {
	b := make([]byte, 1)
	if _, err := io.ReadFull(conn, b); err != nil {
		return 'E'
	}
	return b[0]
}

// Whatever comes through the socket: answer 0 means one whole message more,
// and what is refused, cut off or follows on nonsense leaves nothing.
func TestResident(t *testing.T) {
	home := realHome(t)
	by := strconv.Itoa(os.Getuid())
	if by == "0" {
		by = strconv.Itoa(caller)
	}
	cmd, conn := startResident(t, home)
	for i := range 20 {
		if got := handOver(conn, secret, realEnvelope+"\x00"); got != 0 {
			t.Fatalf("message %d: %d", i, got)
		}
		if n := queued(t, home, by); n != i+1 {
			t.Fatalf("%d messages, want %d", n, i+1)
		}
	}
	conn.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the client went: %v", err)
	}

	end := "\x00\x00\x00\x00"
	for wire, want := range map[string]byte{
		"\x00\x00\x00\x01x" + end + "\x00\x00\x00\x03Fs\x00" + end:                54,
		"\x00\x00\x00\x01x" + end + "\x00\x00\x00\x02Ts" + end:                    91,
		"\x00\x00\x00\x01x" + end + end:                                           54,
		"\x00\x01\x00\x01x":                                                       54,
		"\xff\xff\xff\xff":                                                        54,
		end + "\x00\x00\x04\x00F" + strings.Repeat("x", 1023) + end:               11,
		"\x00\x00\x00\x05x":                                                       54,
		"\x00\x00":                                                                54,
		"\x00\x00\x00\x01x" + end + "\x00\x00\x00\x04Fs\x00T":                     54,
		"\x00\x00\x00\x01x" + end + "\x00\x00\x00\x07Fs\x00Tr\x00T" + end + "xxx": 54,
		"": 'E',
	} {
		before := queued(t, home, by)
		cmd, conn := startResident(t, home)
		io.WriteString(conn, wire)
		raw, err := conn.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_WR) })
		if got := answerOf(conn); got != want {
			t.Errorf("%.40q: %d, want %d", wire, got, want)
		}
		cmd.Wait()
		status := cmd.ProcessState.ExitCode()
		if want == 'E' && status != 0 || want != 'E' && status != int(want) {
			t.Errorf("%.40q: exit status %d", wire, status)
		}
		if queued(t, home, by) != before {
			t.Errorf("%.40q: queued", wire)
		}
	}

	// What follows the envelope is not the next message's.
	_, conn = startResident(t, home)
	before := queued(t, home, by)
	for i := range 3 {
		if got := handOver(conn, secret, realEnvelope+"\x00"+strings.Repeat("rest", i*1000)); got != 0 {
			t.Errorf("with a rest: %d", got)
		}
	}
	if n := queued(t, home, by); n != before+3 {
		t.Errorf("with a rest: %d messages more", n-before)
	}
}

// Without a socket there is nobody to talk to.
func TestResidentWithoutSocket(t *testing.T) {
	home := realHome(t)
	by := strconv.Itoa(os.Getuid())
	if by == "0" {
		by = strconv.Itoa(caller)
	}
	for script, want := range map[string]int{
		`exec "$1" --resident 1<&3 3<&-`:   54,
		`exec "$1" --resident 3</dev/null`: 54,
	} {
		if status, said := attack(t, home, script); status != want || said != "" {
			t.Errorf("%s: status %d, said %q", script, status, said)
		}
	}
	if n := queued(t, home, by); n != 0 {
		t.Errorf("%d messages", n)
	}
}
