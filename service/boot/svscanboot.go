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

// Svscanboot is started by /etc/inittab or a boot script. It starts svscan with a
// clean environment, and with its errors going to readproctitle.
var Svscanboot = proc.Program{Name: "svscanboot", Usage: "[ dir ]", Run: svscanboot}

// searched is the PATH of all services (svscanboot.sh). The directory of this
// program is put before it, if it is none of these.
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
	// Descriptors from init or a terminal must not be held open, neither by this
	// process, which stays, nor by a service.
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

// directory returns the directory of the services: the argument, otherwise
// /service, or /etc/service, as on Debian, if only that exists.
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
// exit. If svc fails, there is nobody to report that to.
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

// glob expands dir/* and dir/*/log as a shell does.
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

// attend waits for svscan and passes TERM and HUP on to it, because init, or a
// script with a pid file, knows only this process. readproctitle ends by itself
// when no process has the pipe open any more.
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
			// Reap any child: if we are process 1, we inherit those of others.
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
