package sys

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// elsewhere reports whether nsswitch.conf(5) names a source of a database
// beside the files. A system without that file, or that line, has only those.
func (a *accounts) elsewhere(database string) (bool, error) {
	var sources string
	err := eachLine(a.nsswitch, func(line string) (more bool) {
		line, _, _ = strings.Cut(line, "#")
		name, list, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok && strings.TrimSpace(name) == database {
			sources = list
		}
		return sources == ""
	})
	if err == unix.ENOENT {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for sources != "" {
		var word string
		// A source, or [STATUS=action …] about the one before it.
		word, sources, _ = strings.Cut(strings.TrimLeft(sources, " \t"), " ")
		if strings.HasPrefix(word, "[") {
			_, sources, _ = strings.Cut(word+" "+sources, "]")
			continue
		}
		switch strings.Trim(word, "\t") {
		case "", "files", "compat", "systemd":
			// systemd has no accounts that get mail or run services: they
			// live as long as one of its units does.
		default:
			return true, nil
		}
	}
	return false, nil
}

const (
	getentTime = 60 * time.Second // a directory server may be slow; one that is dead is no answer
	maxEntry   = 16 << 20
)

var errGetent = errors.New("getent gave no answer")

// ask asks getent(1): one entry on its output and status 0, or status 2 for none.
// It runs with an environment of its own, because programs that come here may
// be more trusted than who called them.
func (a *accounts) ask(database, name string, least, fields int) ([]string, error) {
	null, err := Open("/dev/null", unix.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	r, w, err := Pipe()
	if err != nil {
		return nil, err
	}
	pid, err := syscall.ForkExec(a.getent, []string{"getent", "--", database, name}, &syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{"PATH=/usr/bin:/bin", "LC_ALL=C"},
		Files: []uintptr{null.Fd(), w.Fd(), null.Fd()},
	})
	w.Close()
	if err != nil {
		r.Close()
		return nil, err
	}
	r.SetReadDeadline(time.Now().Add(getentTime))
	out, err := io.ReadAll(io.LimitReader(r, maxEntry))
	r.Close() // whoever still writes is not waited for
	if err != nil {
		unix.Kill(pid, unix.SIGKILL)
	}
	var status unix.WaitStatus
	for {
		_, e := unix.Wait4(pid, &status, 0, nil)
		if e == unix.EINTR {
			continue
		}
		if err == nil {
			err = e
		}
		break
	}
	if err != nil {
		return nil, err
	}
	switch {
	case status.ExitStatus() == 2:
		return nil, ErrNoAccount
	case status.ExitStatus() != 0:
		return nil, errGetent
	}
	line, _, _ := strings.Cut(string(out), "\n")
	f := entry(line, least, fields)
	if f == nil {
		return nil, errGetent
	}
	// getent takes a number for an id. A directory may ignore case.
	if !strings.EqualFold(f[0], name) {
		return nil, ErrNoAccount
	}
	return f, nil
}
