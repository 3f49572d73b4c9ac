package service

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Rules are the settings that files in the service directory make, beyond those of
// daemontools. Without any of these files the Rules are DefaultRules, and the
// service is treated as daemontools treats it.
//
//	finish               runs after run has ended (s6, runit)
//	notification-fd      a number: run writes a newline to that descriptor when it is ready (s6)
//	notification-socket  run gets NOTIFY_SOCKET, and sends READY=1 when it is ready (sd_notify)
//	down-signal          name or number of the signal that 'd' sends in place of TERM (s6)
//	timeout-kill         milliseconds from 'd' to KILL; 0 is never (s6)
//	timeout-finish       milliseconds that finish may take; 0 is no limit (s6)
//	restart-delay        the pause between two starts doubles, up to this many
//	                     milliseconds; empty: a minute
//	after                names of services, one per line, or a directory of such names:
//	                     run is not started before they are up
//	permafail            exit code 100 of run means: do not restart
type Rules struct {
	NotifyFD     int // 0: none
	NotifySocket bool
	DownSignal   syscall.Signal
	KillAfter    time.Duration // 0: never
	FinishWithin time.Duration // 0: no limit
	MaxDelay     time.Duration // 0: the pause does not grow
	After        []string

	// Permafail is true if the file permafail or any of the other files exists: a
	// service with one of them is not a plain service of daemontools.
	Permafail bool
}

// DefaultRules are those of a service without any of the files.
var DefaultRules = Rules{DownSignal: unix.SIGTERM, FinishWithin: 5 * time.Second}

const (
	minNotifyFD = 1 // with s6, some programs announce readiness on standard output
	maxNotifyFD = 1023
	maxAfter    = 64 << 10 // bytes
)

// Rules reads the files. A file that cannot be used is warned of, and its setting
// keeps the default.
func (d *Dir) Rules(warn func(error)) Rules {
	r := DefaultRules
	read := func(name string, parse func(string) bool) {
		text, exists, err := d.setting(name)
		if err == nil && exists && !parse(text) {
			err = errors.New("not understood")
		}
		if err != nil {
			warn(strerr.Unable("use", name, err))
		}
		r.Permafail = r.Permafail || exists
	}
	read("notification-fd", func(s string) bool {
		n, err := strconv.Atoi(s)
		if err != nil || n < minNotifyFD || n > maxNotifyFD {
			return false
		}
		r.NotifyFD = n
		return true
	})
	read("notification-socket", func(string) bool { r.NotifySocket = true; return true })
	read("down-signal", func(s string) bool {
		sig, ok := signalNamed(s)
		if ok {
			r.DownSignal = sig
		}
		return ok
	})
	read("timeout-kill", milliseconds(&r.KillAfter))
	read("timeout-finish", milliseconds(&r.FinishWithin))
	read("restart-delay", func(s string) bool {
		if s == "" {
			r.MaxDelay = time.Minute
			return true
		}
		return milliseconds(&r.MaxDelay)(s)
	})
	read("permafail", func(string) bool { return true })
	r.After = d.after(warn)
	if !r.Permafail {
		finish, err := d.HasFinish()
		r.Permafail = len(r.After) > 0 || finish && err == nil
	}
	return r
}

// setting reads the first line of a file, without the white space around it.
func (d *Dir) setting(name string) (line string, exists bool, err error) {
	text, exists, err := d.read(name, 4096)
	line, _, _ = strings.Cut(text, "\n")
	return strings.TrimSpace(line), exists, err
}

func (d *Dir) read(name string, limit int64) (text string, exists bool, err error) {
	// Without O_NONBLOCK, opening a fifo of that name would block everything.
	fd, err := sys.OpenAt(d.at(), name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err == unix.ENOENT {
		return "", false, nil
	}
	if err != nil {
		return "", true, err
	}
	defer fd.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(fd.Fd()), &st); err != nil {
		return "", true, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", true, errors.New("not a regular file")
	}
	b, err := io.ReadAll(io.LimitReader(fd, limit))
	return string(b), true, err
}

func milliseconds(to *time.Duration) func(string) bool {
	return func(s string) bool {
		n, err := strconv.ParseUint(s, 10, 32)
		if err == nil {
			*to = time.Duration(n) * time.Millisecond
		}
		return err == nil
	}
}

// signalNamed parses the number or name of a signal, with or without SIG.
func signalNamed(s string) (syscall.Signal, bool) {
	if n, err := strconv.Atoi(s); err == nil {
		return syscall.Signal(n), n > 0 && n < 65
	}
	s = strings.ToUpper(s)
	if !strings.HasPrefix(s, "SIG") {
		s = "SIG" + s
	}
	sig := unix.SignalNum(s)
	return sig, sig != 0
}

// After reads the names of the services that come before this one.
func (d *Dir) After() []string { return d.after(func(error) {}) }

func (d *Dir) after(warn func(error)) []string {
	names, err := d.names()
	if err == unix.EFBIG {
		err = errors.New("too long")
	}
	if err != nil {
		warn(strerr.Unable("use", "after", err))
		return nil
	}
	return slices.DeleteFunc(names, func(name string) bool {
		service, log, _ := strings.Cut(name, "/")
		if service != "" && service[0] != '.' && (log == "" || log == "log") {
			return false
		}
		warn(strerr.Unable("use", "after", errors.New(strerr.Clean(name)+" is no name of a service")))
		return true
	})
}

// names reads the names in "after", a directory or a file. The error is EFBIG if
// that is longer than any sensible list of services.
func (d *Dir) names() (names []string, err error) {
	dir, err := sys.OpenAt(d.at(), "after", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	switch err {
	case nil:
		defer dir.Close()
		var buf [8192]byte
		for read := 0; ; {
			n, err := unix.ReadDirent(int(dir.Fd()), buf[:])
			if err != nil {
				return nil, err
			}
			if n == 0 {
				break
			}
			if read += n; read > maxAfter {
				return nil, unix.EFBIG
			}
			_, _, names = unix.ParseDirent(buf[:n], -1, names)
		}
		slices.Sort(names)
		return slices.DeleteFunc(names, func(s string) bool { return s[0] == '.' }), nil
	case unix.ENOTDIR:
	case unix.ENOENT:
		return nil, nil
	default:
		return nil, err
	}
	text, _, err := d.read("after", maxAfter+1)
	if len(text) > maxAfter {
		return nil, unix.EFBIG
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			names = append(names, line)
		}
	}
	return names, err
}
