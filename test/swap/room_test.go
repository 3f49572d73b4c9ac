package swap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// roomVariable tells this test's program that it is the first process of a room,
// and where the plan of it is.
const roomVariable = "PAPERPATH_SWAP_ROOM"

// patience is no measure of anything: a machine may be busy with other tests.
const patience = 2 * time.Minute

// A plan is what a room is made from.
type plan struct {
	C       string            // the queue of the C installation
	Home    string            // where its programs look for it
	Bin     map[string]string // what is in the home's bin: files by name
	Over    map[string]string // what lies over programs of the host: files by path
	Watched []string          // programs of the host whose execution is watched
	Root    string            // an empty directory
}

// What the first process leaves in Root for the test.
const (
	pictureFile    = "picture"
	executedFile   = "executed"
	transcriptFile = "transcript" // what is there of it, if the run did not end
)

const namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC

// unshared tries whether namespaces can be had.
func unshared() error {
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	return cmd.Run()
}

// run runs the scenario in a room. When it returns the room and all its
// processes are gone.
func (p *plan) run() (picture []byte, executed []string, err error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), roomVariable+"="+string(text))
	// The death of the first process is the death of all in its namespace. It
	// dies with this thread (prctl(2)), which therefore stays.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = errors.New("the scenario did not come to its end")
	}
	if err != nil {
		transcript, _ := os.ReadFile(filepath.Join(p.Root, transcriptFile))
		return append(transcript, out...), nil, err
	}
	if picture, err = os.ReadFile(filepath.Join(p.Root, pictureFile)); err != nil {
		return out, nil, err
	}
	names, err := os.ReadFile(filepath.Join(p.Root, executedFile))
	return picture, strings.Fields(string(names)), err
}

// inside is the first process of a room.
func inside(text string) {
	var p plan
	err := json.Unmarshal([]byte(text), &p)
	if err == nil {
		err = p.live()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "room:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// live furnishes the room, runs the scenario and leaves the picture.
func (p *plan) live() error {
	if err := p.furnish(); err != nil {
		return err
	}
	services, err := serve()
	if err != nil {
		return err
	}
	defer services.close()
	watch, err := newWatch(p.programs())
	if err != nil {
		return err
	}
	transcript, err := p.play()
	if err != nil {
		return err
	}
	var picture bytes.Buffer
	picture.WriteString(equalise(transcript))
	if err := draw(&picture, place); err != nil {
		return err
	}
	executed, err := watch.names()
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(p.Root, pictureFile), picture.Bytes(), 0o644),
		os.WriteFile(filepath.Join(p.Root, executedFile), []byte(strings.Join(executed, "\n")), 0o644))
}

// programs lists the files whose execution is watched.
func (p *plan) programs() []string {
	var files []string
	for name := range p.Bin {
		files = append(files, filepath.Join(p.Home, "bin", name))
	}
	return append(files, p.Watched...)
}

// play runs the scenario's shell and reaps what it and others leave behind, as
// the first process of a namespace must.
func (p *plan) play() (string, error) {
	file := filepath.Join(p.Root, transcriptFile)
	out, err := os.Create(file)
	if err != nil {
		return "", err
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return "", err
	}
	defer null.Close()
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", place + "/scenario/all.sh"}, &syscall.ProcAttr{
		Env:   []string{"PATH=/usr/bin:/bin", "QMAIL_HOME=" + p.Home, "TZ=UTC", "LC_ALL=C"},
		Files: []uintptr{null.Fd(), out.Fd(), out.Fd()},
	})
	if err != nil {
		return "", err
	}
	for {
		var status syscall.WaitStatus
		who, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return "", err
		}
		if who == pid {
			break
		}
	}
	text, err := os.ReadFile(file)
	return string(text), err
}
