package procfs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	const tail = " 0 0 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 1 0 12345 2400256 200"
	s, err := parseStat([]byte("4711 (sleep) S 17" + tail + "\n"))
	if want := (Stat{Parent: 17, Began: 123450 * time.Millisecond}); err != nil || s != want {
		t.Errorf("%+v, %v", s, err)
	}
	s, err = parseStat([]byte("4711 (a) Z 1 (b)) Z 3" + tail))
	if err != nil || s.Parent != 3 || !s.Zombie {
		t.Errorf("a name with parentheses: %+v, %v", s, err)
	}
	s, err = parseStat([]byte("4711 (x) Z 3 0 0 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 2 0 12345 0 0"))
	if err != nil || s.Zombie || !s.headless {
		t.Errorf("a process without its first thread: %+v, %v", s, err)
	}
	for _, bad := range []string{"", ")", "1 (x) S", "1 (x) S x" + tail, "1 (x) S 1 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 -5 0"} {
		if s, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: %+v", bad, s)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("4711 (sleep) S 17 0 0 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 1 0 12345 2400256 200"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseStat(b); err == nil && s.Began < 0 {
			t.Errorf("%q: %+v", b, s)
		}
	})
}

func TestParseUIDs(t *testing.T) {
	u, err := parseIDs([]byte("Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n"), "Uid:")
	if want := (IDs{Real: 1, Effective: 2, Saved: 3}); err != nil || u != want {
		t.Errorf("%+v, %v", u, err)
	}
	for _, bad := range []string{"", "Uid:\t1\t2\n", "Uid:\t1\tx\t3\t4\n", "Name:\tUid:\t1\t2\t3\t4\n"} {
		if u, err := parseIDs([]byte(bad), "Uid:"); err == nil {
			t.Errorf("%q: %+v", bad, u)
		}
	}
}

func FuzzParseUIDs(f *testing.F) {
	f.Add([]byte("Uid:\t1\t2\t3\t4\n"))
	f.Fuzz(func(t *testing.T, b []byte) { parseIDs(b, "Uid:") })
}

func TestParsePipe(t *testing.T) {
	for goal, want := range map[string]uint64{"pipe:[17]": 17, "pipe:[18446744073709551615]": 1<<64 - 1} {
		if got, ok := parsePipe(goal); !ok || got != want {
			t.Errorf("%q: %d, %v", goal, got, ok)
		}
	}
	for _, bad := range []string{"", "pipe:[", "pipe:[]", "pipe:[17", "socket:[17]", "/pipe:[17]", "pipe:[-1]", "pipe:[17] (deleted)"} {
		if _, ok := parsePipe(bad); ok {
			t.Errorf("%q is taken for a pipe", bad)
		}
	}
}

func TestParseBootID(t *testing.T) {
	if got := parseBootID("00010203-0405-0607-0809-0a0b0c0d0e0f\n"); got != 0x0001020304050607 {
		t.Errorf("%x", got)
	}
	for _, bad := range []string{"", "0001", "no"} {
		if got := parseBootID(bad); got != 0 {
			t.Errorf("%q: %x", bad, got)
		}
	}
}

// The information about this process.
func TestSelf(t *testing.T) {
	self := os.Getpid()
	s, err := Read(self)
	if age := SinceBoot() - s.Began; err != nil || s.Zombie || s.Parent != os.Getppid() || age < 0 || age > time.Hour {
		t.Errorf("%+v, %v", s, err)
	}
	if u, err := ReadUIDs(self); err != nil || u.Real != os.Getuid() || u.Effective != os.Geteuid() {
		t.Errorf("%+v, %v", u, err)
	}
	var st unix.Stat_t
	if err := unix.Stat(".", &st); err != nil {
		t.Fatal(err)
	}
	if dev, ino, err := Dir(self); err != nil || dev != uint64(st.Dev) || ino != st.Ino {
		t.Errorf("directory %d, %d, %v", dev, ino, err)
	}
	if all, err := Processes(); err != nil || !slices.Contains(all, self) {
		t.Errorf("this process is not among %v, %v", all, err)
	}
	if b := ThisBoot(); b.ID == 0 {
		t.Errorf("%+v", b)
	}
	if Name(self) == "" {
		t.Error("no name")
	}
}

func TestNobody(t *testing.T) {
	c := exec.Command("true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{-1, 0, 1 << 30, c.Process.Pid} {
		if _, err := Read(pid); !Gone(err) {
			t.Errorf("process %d: %v", pid, err)
		}
	}
	if Gone(unix.EMFILE) || Gone(nil) {
		t.Error("what cannot be found out is taken for gone")
	}
}

func TestOpenPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	self := os.Getpid()
	inode, ok := Pipe(self, int(w.Fd()))
	if fds, err := Descriptors(self); !ok || err != nil || !slices.Contains(fds, int(w.Fd())) {
		t.Fatalf("%v, %v, %v", ok, fds, err)
	}
	pipe, same, err := OpenPipe(self, int(w.Fd()))
	if err != nil || same != inode {
		t.Fatalf("inode %d, want %d; %v", same, inode, err)
	}
	defer pipe.Close()
	// Whatever becomes of the descriptor by which it was found.
	w.Close()
	again, err := Reopen(pipe, unix.O_WRONLY)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	again.Write([]byte("x"))
	var b [2]byte
	if n, err := r.Read(b[:]); n != 1 || b[0] != 'x' {
		t.Errorf("%q, %v", b[:n], err)
	}
}

// The open files of a process are found even during an execve by a thread other than
// the first, and after the first thread has ended.
func TestWithoutFirstThread(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := exec.Command(self)
	c.Env = append(os.Environ(), asHeadless+"=1")
	c.Dir, c.Stdout = dir, w
	err = c.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { c.Process.Kill(); c.Wait() }()
	pid := c.Process.Pid
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		s, err := Read(pid)
		if err != nil || s.Zombie || time.Now().After(end) {
			t.Fatalf("%+v, %v", s, err)
		}
		if s.headless {
			break
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	if _, ino, err := Dir(pid); err != nil || ino != st.Ino {
		t.Errorf("directory %d, want %d; %v", ino, st.Ino, err)
	}
	if fds, err := Descriptors(pid); err != nil || !slices.Contains(fds, 1) {
		t.Errorf("%v, %v", fds, err)
	}
	inode, ok := Pipe(pid, 1)
	pipe, same, err := OpenPipe(pid, 1)
	if err != nil || !ok || same != inode {
		t.Fatalf("%v, %d, %d, %v", ok, inode, same, err)
	}
	pipe.Close()
}

// asHeadless makes the test binary a process that ends its first thread.
const asHeadless = "PAPERPATH_TEST_HEADLESS"

func init() {
	if os.Getenv(asHeadless) != "" {
		// The goroutine of init has the first thread.
		go func() { time.Sleep(time.Hour) }()
		time.Sleep(10 * time.Millisecond)
		unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
	}
}

// Neither a file nor a fifo with a name is opened, even if it takes the place of a
// pipe at that moment.
func TestOpenPipeOfSomethingElse(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	named, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer named.Close()
	f, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, fd := range []uintptr{named.Fd(), f.Fd()} {
		if _, _, err := OpenPipe(os.Getpid(), int(fd)); !errors.Is(err, ErrNotPipe) {
			t.Errorf("%v", err)
		}
	}

	// One descriptor that is now a pipe, now the file.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	flapping, err := unix.FcntlInt(w.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(flapping)
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				unix.Dup3(int(f.Fd()), flapping, unix.O_CLOEXEC)
				unix.Dup3(int(w.Fd()), flapping, unix.O_CLOEXEC)
			}
		}
	}()
	opened := 0
	for end := time.Now().Add(10 * time.Second); opened < 1000 && time.Now().Before(end); {
		pipe, _, err := OpenPipe(os.Getpid(), flapping)
		if err != nil {
			continue
		}
		fd, err := Reopen(pipe, unix.O_RDWR)
		if err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(int(fd.Fd()), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
			t.Fatalf("mode %o, %v", st.Mode, err)
		}
		fd.Close()
		pipe.Close()
		opened++
	}
	close(stop)
	<-stopped
	if opened == 0 {
		t.Error("never opened the pipe")
	}
}

// Root of most containers may not trace others' processes. What these have open it
// sees all the same.
func TestWithoutPtrace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("another user's process needs root")
	}
	cat := exec.Command("cat")
	cat.Dir, cat.Env = "/", []string{"PROCFS=test"}
	cat.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	stdin, err := cat.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	defer cat.Wait()
	defer stdin.Close()

	// A thread's capabilities are its own; this one ends with the test.
	runtime.LockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		t.Fatal(err)
	}
	sets[0].Effective &^= 1 << unix.CAP_SYS_PTRACE
	if err := unix.Capset(&header, &sets[0]); err != nil {
		t.Fatal(err)
	}
	pid := cat.Process.Pid
	if _, err := os.Readlink(file(pid, "cwd")); err == nil {
		t.Error("a thread without the capability is shown everything")
	}
	var root unix.Stat_t
	if err := unix.Stat("/", &root); err != nil {
		t.Fatal(err)
	}
	if dev, ino, err := Dir(pid); err != nil || dev != root.Dev || ino != root.Ino {
		t.Error(dev, ino, err)
	}
	if fds, err := Descriptors(pid); err != nil || !slices.Contains(fds, 0) {
		t.Error(fds, err)
	}
	if environ, err := Environ(pid, 1<<20); err != nil || !strings.Contains(string(environ), "PROCFS=test\x00") {
		t.Errorf("%q, %v", environ, err)
	}
	want, ok := Pipe(pid, 0)
	pipe, got, err := OpenPipe(pid, 0)
	if !ok || err != nil || got != want {
		t.Fatal(want, ok, got, err)
	}
	defer pipe.Close()
	to, err := Reopen(pipe, unix.O_WRONLY)
	if err != nil {
		t.Fatal(err)
	}
	to.Close()
	// The rights are what they were.
	if uid, err := unix.SetfsuidRetUid(-1); err != nil || uid != 0 {
		t.Error(uid, err)
	}
	if gid, err := unix.SetfsgidRetGid(-1); err != nil || gid != os.Getegid() {
		t.Error(gid, err)
	}
}
