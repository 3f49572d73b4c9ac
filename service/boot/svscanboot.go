package boot

import (
	"context"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Svscanboot is what /etc/inittab or a boot script names: it starts svscan, with
// a clean environment and its errors in readproctitle.
var Svscanboot = proc.Program{Name: "svscanboot", Usage: "[ dir ]", Run: svscanboot}

// searched is the PATH of all services (svscanboot.sh). What stands before it
// is the directory of this very program, if it is none of these.
const searched = "/command:/usr/local/bin:/usr/local/sbin:/bin:/sbin:/usr/bin:/usr/sbin:/usr/X11R6/bin"

// window is how many bytes of errors show in ps(1).
const window = 400

func svscanboot(_ context.Context, env *proc.Env) error {
	if len(env.Args) > 2 {
		return proc.ErrUsage
	}
	dir := directory(env.Args[1:])
	signals, err := sys.Signals(unix.SIGCHLD, unix.SIGTERM, unix.SIGHUP)
	if err != nil {
		return strerr.Unable("create pipe", "", err)
	}
	// Nothing that init or a terminal gave is held: not by this process, which
	// stays, nor by a service.
	null, err := sys.Open("/dev/null", unix.O_RDWR, 0)
	if err != nil {
		return strerr.Unable("open", "/dev/null", err)
	}
	for fd := range 3 {
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			return strerr.Unable("open", "/dev/null", err)
		}
	}
	env.Vars.Set("PATH", searchPath(env.Args[0]))
	stopOld(env.Vars, dir)
	svscan, err := start(proc.Vars{"PATH=" + env.Vars.Value("PATH")}, dir)
	if err != nil {
		return err
	}
	return attend(svscan, signals)
}

// directory is where the services are: what was asked for, otherwise /service;
// or /etc/service, if only that exists, as Debian has it.
func directory(args []string) string {
	if len(args) > 0 {
		if dir := strings.TrimRight(args[0], "/"); dir != "" {
			return dir
		}
		return args[0]
	}
	const ours, debian = "/service", "/etc/service"
	if _, err := os.Stat(ours); os.IsNotExist(err) {
		if _, err := os.Stat(debian); err == nil {
			return debian
		}
	}
	return ours
}

func searchPath(argv0 string) string {
	dir := path.Dir(argv0)
	if dir[0] != '/' {
		self, err := child.Self()
		if err != nil {
			return searched
		}
		dir = path.Dir(self)
	}
	if slices.Contains(strings.Split(searched, ":"), dir) {
		return searched
	}
	return dir + ":" + searched
}

// stopOld tells the supervisors of an earlier svscan to stop their services and
// to end. If svc cannot do it nobody could be told.
func stopOld(vars proc.Vars, dir string) {
	services, logs := glob(dir)
	if len(services) == 0 {
		return
	}
	svc, err := child.Start(&child.Command{
		Argv: slices.Concat([]string{"svc", "-dx"}, services, logs), Vars: vars, Files: []int{0, 1, 2},
	})
	if err == nil {
		svc.Wait()
	}
}

// glob returns what a shell makes of dir/* and dir/*/log.
func glob(dir string) (services, logs []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		name := strings.TrimSuffix(dir, "/") + "/" + e.Name()
		services = append(services, name)
		if _, err := os.Lstat(name + "/log"); err == nil {
			logs = append(logs, name+"/log")
		}
	}
	return services, logs
}

// start starts svscan and readproctitle with a pipe between them.
func start(vars proc.Vars, dir string) (*child.Process, error) {
	r, w, err := sys.Pipe()
	if err != nil {
		return nil, strerr.Unable("create pipe", "", err)
	}
	defer r.Close()
	defer w.Close()
	_, err = child.Start(&child.Command{
		Argv: []string{"readproctitle", "service", "errors:", strings.Repeat(".", window)}, Vars: vars,
		Files: []int{int(r.Fd()), 1, 2},
	})
	if err != nil {
		return nil, strerr.Unable("run", "readproctitle", err)
	}
	svscan, err := child.Start(&child.Command{
		Argv: []string{"svscan", dir}, Vars: vars, Files: []int{0, int(w.Fd()), int(w.Fd())},
	})
	if err != nil {
		return nil, strerr.Unable("run", "svscan", err)
	}
	return svscan, nil
}

// attend waits for svscan and hands TERM and HUP on to it, for whoever knows
// only this process: init, or a pid file. readproctitle ends by itself when
// nobody has the pipe any more.
func attend(svscan *child.Process, signals *sys.FD) error {
	got := make([]byte, 1)
	for {
		if _, err := signals.Read(got); err != nil {
			return strerr.Unable("read", "signals", err)
		}
		if sig := unix.Signal(got[0]); sig != unix.SIGCHLD {
			svscan.Signal(sig)
			continue
		}
		for {
			// Any child: as process 1 this one inherits others'.
			var ws unix.WaitStatus
			pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
			if err == unix.EINTR {
				continue
			}
			if err != nil || pid == 0 {
				break
			}
			if status := child.Status(ws); pid == svscan.PID {
				if status.Crashed() {
					return proc.Exit(proc.StatusTemporary)
				}
				return proc.Exit(status.Code())
			}
		}
	}
}
