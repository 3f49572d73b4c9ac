package pid1

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/test/bin"
)

// spec is what the first process of a container makes of itself.
type spec struct {
	Root     string   // directory that becomes /
	ReadOnly bool     // all of it, but for
	Writable []string // these
	Bind     []string // of this machine, read-only
	UID      int      // to become, from root
	Env      []string
	Argv     []string
}

const specVariable = "PAPERPATH_PID1_SPEC"

// hostDirs are where this machine keeps its shell.
var hostDirs = []string{"/usr", "/bin", "/sbin", "/lib", "/lib64"}

// container is a directory tree, and svscan as process 1 of namespaces in which
// there is nothing else.
type container struct {
	t    *testing.T
	root string
	spec spec
	cmd  *exec.Cmd

	mu       sync.Mutex
	out, err bytes.Buffer // what came out of the container
}

// newContainer makes a root with all programs.
func newContainer(t *testing.T) *container {
	c := newRoot(t)
	names, err := os.ReadDir(bin.Dir(t))
	c.must(err)
	for _, name := range names {
		c.install(name.Name())
	}
	return c
}

// newRoot makes an empty root. Programs are in /command, the shell where this
// machine has it, services in /service; /run can be written to.
func newRoot(t *testing.T) *container {
	c := &container{t: t, root: t.TempDir()}
	c.spec = spec{
		Root:     c.root,
		Writable: []string{"/run"},
		UID:      -1,
		Env:      []string{"PATH=/command:/usr/bin:/bin"},
		Argv:     []string{"/command/svscan", "/service"},
	}
	for _, dir := range []string{"command", "service", "run", "proc", "dev"} {
		c.must(os.Mkdir(c.path(dir), 0o755))
	}
	c.must(os.Chmod(c.root, 0o755), os.Chmod(c.path("run"), 0o777))
	c.write("dev/null", "", 0o666)
	c.spec.Bind = []string{"/dev/null"}
	for _, dir := range hostDirs {
		info, err := os.Lstat(dir)
		switch {
		case err != nil:
		case info.Mode()&os.ModeSymlink != 0:
			goal, err := os.Readlink(dir)
			c.must(err, os.Symlink(goal, c.path(dir)))
		default:
			c.must(os.Mkdir(c.path(dir), 0o755))
			c.spec.Bind = append(c.spec.Bind, dir)
		}
	}
	return c
}

// install puts a program into /command. All of them are a hundred megabytes,
// so they are links where that can be.
func (c *container) install(name string) {
	from, to := filepath.Join(bin.Dir(c.t), name), c.path("command", name)
	if os.Link(from, to) == nil {
		return
	}
	text, err := os.ReadFile(from)
	c.must(err, os.WriteFile(to, text, 0o755))
}

func (c *container) path(names ...string) string {
	return filepath.Join(append([]string{c.root}, names...)...)
}

func (c *container) must(errs ...error) {
	c.t.Helper()
	if err := errors.Join(errs...); err != nil {
		c.t.Fatal(err)
	}
}

// write makes a file, and the directories above it.
func (c *container) write(name, text string, mode os.FileMode) {
	c.t.Helper()
	c.must(os.MkdirAll(filepath.Dir(c.path(name)), 0o755), os.WriteFile(c.path(name), []byte(text), mode))
	c.must(os.Chmod(c.path(name), mode))
}

// service makes a service with a run script.
func (c *container) service(name, script string) {
	c.t.Helper()
	c.write("service/"+name+"/run", "#!/bin/sh\n"+script, 0o755)
}

func (c *container) read(name string) string {
	text, _ := os.ReadFile(c.path(name))
	return string(text)
}

// start starts svscan as process 1.
func (c *container) start() {
	c.t.Helper()
	c.cmd = exec.Command("/proc/self/exe")
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		// The one id that an ordinary user may map is his own. What he becomes
		// has no rights, unless it is root, that it does not take along: the
		// first process needs those to mount.
		uid := max(c.spec.UID, 0)
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getgid(), Size: 1}}
		attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN}
		c.spec.UID = -1
	}
	text, err := json.Marshal(c.spec)
	c.must(err)
	c.cmd.Env = []string{specVariable + "=" + string(text)}
	c.cmd.SysProcAttr = attr
	c.cmd.Stdout, c.cmd.Stderr = &guarded{c, &c.out}, &guarded{c, &c.err}
	c.cmd.WaitDelay = 10 * time.Second
	err = c.cmd.Start()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS) {
		c.t.Skipf("this kernel gives no namespaces to this user: %v", err)
	}
	c.must(err)
	c.t.Cleanup(func() {
		if c.cmd != nil {
			c.cmd.Process.Kill() // and the kernel all others
			c.cmd.Wait()
		}
		if c.t.Failed() {
			c.t.Logf("standard output:\n%s\nstandard error:\n%s", c.stdout(), c.stderr())
		}
	})
	c.until("svscan, or no right to mount", func() bool {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", c.cmd.Process.Pid))
		return string(comm) == "svscan\n" || strings.Contains(c.stderr(), noMount)
	})
	if strings.Contains(c.stderr(), noMount) {
		c.t.Skipf("this kernel does not let this user mount: %s", c.stderr())
	}
}

// stop sends process 1 a signal and returns its exit status.
func (c *container) stop(sig syscall.Signal) int {
	c.t.Helper()
	c.must(c.cmd.Process.Signal(sig))
	return c.wait()
}

// wait waits for the end of process 1.
func (c *container) wait() int {
	c.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- c.cmd.Wait() }()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			c.t.Fatal(err)
		}
		status := c.cmd.ProcessState
		c.cmd = nil
		if !status.Exited() {
			c.t.Fatalf("process 1: %v", status)
		}
		return status.ExitCode()
	case <-time.After(60 * time.Second):
		c.t.Fatalf("process 1 does not end; its children: %v", c.processes())
		panic("unreached")
	}
}

type guarded struct {
	c *container
	w io.Writer
}

func (g *guarded) Write(b []byte) (int, error) {
	g.c.mu.Lock()
	defer g.c.mu.Unlock()
	return g.w.Write(b)
}

func (c *container) stdout() string { c.mu.Lock(); defer c.mu.Unlock(); return c.out.String() }
func (c *container) stderr() string { c.mu.Lock(); defer c.mu.Unlock(); return c.err.String() }

// until waits for a condition.
func (c *container) until(what string, ok func() bool) {
	c.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("never: %s", what)
		}
	}
}

// process is one of the container, as the machine around it sees it.
type process struct {
	pid, parent int
	name, state string
	inside      int // the number it has in the container
	uids        string
}

// processes lists those below process 1. (None can leave: it is their init.)
func (c *container) processes() (all []process) {
	names, _ := filepath.Glob("/proc/[0-9]*/status")
	ours := map[int]bool{c.cmd.Process.Pid: true}
	var others []process
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		var p process
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":\t")
			switch key {
			case "Name":
				p.name = value
			case "State":
				p.state = value[:1]
			case "Pid":
				p.pid, _ = strconv.Atoi(value)
			case "PPid":
				p.parent, _ = strconv.Atoi(value)
			case "Uid":
				p.uids = value
			case "NSpid":
				f := strings.Fields(value)
				p.inside, _ = strconv.Atoi(f[len(f)-1])
			}
		}
		others = append(others, p)
	}
	for found := true; found; {
		found = false
		for _, p := range others {
			if ours[p.parent] && !ours[p.pid] {
				ours[p.pid], found = true, true
				all = append(all, p)
			}
		}
	}
	return all
}

// noMount is what a first process says that may not do what it should.
const noMount = "pid1: operation not permitted"

// enter makes this process the first of the container: it runs in TestMain,
// before any test, and returns only if it failed.
func enter(text string) error {
	var s spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	do := func(what string, err error) error {
		if errors.Is(err, unix.EPERM) {
			return fmt.Errorf("operation not permitted: %s", what)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	}
	bind := func(from, to string) error {
		return do("bind "+to, unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""))
	}
	readOnly := func(dir string) error {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil {
			return do("statfs "+dir, err)
		}
		// Who made the mount may have forbidden to take these away.
		flags := uintptr(st.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME)
		return do("remount "+dir, unix.Mount("", dir, "", flags|unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	}
	errs := []error{
		do("private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")),
		bind(s.Root, s.Root),
	}
	for _, dir := range s.Bind {
		errs = append(errs, bind(dir, s.Root+dir))
		if dir != "/dev/null" {
			errs = append(errs, readOnly(s.Root+dir))
		}
	}
	errs = append(errs, do("proc", unix.Mount("proc", s.Root+"/proc", "proc", 0, "")))
	if s.ReadOnly {
		for _, dir := range s.Writable {
			errs = append(errs, bind(s.Root+dir, s.Root+dir))
		}
		errs = append(errs, readOnly(s.Root))
	}
	errs = append(errs,
		do("enter", os.Chdir(s.Root)),
		do("pivot", unix.PivotRoot(".", ".")),
		do("leave", unix.Unmount(".", unix.MNT_DETACH)),
		do("enter", os.Chdir("/")),
	)
	errs = append(errs, do("loopback", loopbackUp()))
	if s.UID >= 0 {
		errs = append(errs, syscall.Setgroups([]int{s.UID}), syscall.Setgid(s.UID), syscall.Setuid(s.UID))
	}
	errs = append(errs, do("rights", unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return syscall.Exec(s.Argv[0], s.Argv, s.Env)
}

// loopbackUp makes 127.0.0.1 work in a new network namespace.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}
