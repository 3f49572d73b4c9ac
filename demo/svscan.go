package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// svscan is the running process tree. This process is its reaper: whoever
// loses its parent comes here, so that nothing can stay behind unseen.
type svscan struct {
	pid   int
	ended chan error    // svscan itself ended
	empty chan struct{} // every process ended
	once  sync.Once
	err   error
}

const prSetChildSubreaper = 36 // linux/prctl.h

func startSvscan(home string) (*svscan, error) {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		return nil, errno
	}
	log, err := os.OpenFile(filepath.Join(home, "log/svscan"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	process, err := os.StartProcess(filepath.Join(home, "bin/svscan"),
		[]string{"svscan", filepath.Join(home, "service")},
		&os.ProcAttr{
			Dir:   home,
			Env:   environment(home),
			Files: []*os.File{null, log, log},
			// A session of its own: Ctrl-C is for us, who stop it in order.
			// Should we be killed, it stops by itself.
			Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM},
		})
	if err != nil {
		return nil, err
	}
	s := &svscan{pid: process.Pid, ended: make(chan error, 1), empty: make(chan struct{})}
	go s.reap()
	return s, nil
}

func (s *svscan) reap() {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil: // ECHILD
			close(s.empty)
			return
		case pid == s.pid && ws.Signaled():
			s.ended <- errors.New(ws.Signal().String())
		case pid == s.pid:
			s.ended <- fmt.Errorf("exit status %d", ws.ExitStatus())
		}
	}
}

// stop stops every service in order and returns when no process is left.
func (s *svscan) stop() error {
	s.once.Do(func() { s.err = s.shutDown() })
	return s.err
}

func (s *svscan) shutDown() error {
	syscall.Kill(s.pid, syscall.SIGTERM)
	select {
	case <-s.empty:
		return nil
	case <-time.After(patience):
	}
	// A delivery that will not end: kill -9 loses no mail.
	say("some processes did not end; killing them")
	syscall.Kill(-s.pid, syscall.SIGKILL)
	select {
	case <-s.empty:
		return nil
	case <-time.After(patience):
		return errors.New("some processes cannot be killed")
	}
}

// waitPort waits until the SMTP server greets.
func (s *svscan) waitPort(port int, stop <-chan os.Signal) error {
	err := s.until(stop, func() error {
		c, err := dial(port)
		if err == nil {
			err = c.expect("220")
			c.conn.Close()
		}
		return err
	})
	if err != nil && err != errStopped {
		return fmt.Errorf("the SMTP port: %w", err)
	}
	return err
}

// until tries something again and again.
func (s *svscan) until(stop <-chan os.Signal, try func() error) error {
	deadline := time.Now().Add(patience)
	for {
		last := try()
		if last == nil {
			return nil
		}
		select {
		case err := <-s.ended:
			return fmt.Errorf("svscan ended by itself (%v)", err)
		case <-stop:
			return errStopped
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no answer: %w", last)
		}
	}
}

// lastLines returns the ends of the logs, for a start that failed.
func lastLines(home string) string {
	var b bytes.Buffer
	logs := []string{"svscan"}
	for _, service := range serviceNames() {
		logs = append(logs, service+"/current")
	}
	for _, name := range logs {
		text, err := os.ReadFile(filepath.Join(home, "log", name))
		if err != nil || len(text) == 0 {
			continue
		}
		lines := bytes.SplitAfter(text, []byte("\n"))
		fmt.Fprintf(&b, "--- the end of log/%s:\n%s", name, bytes.Join(lines[max(0, len(lines)-8):], nil))
	}
	return b.String()
}
