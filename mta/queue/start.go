package queue

import (
	"bufio"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/mta/queue/answer"
)

// bufferSize saves system calls and stays below what a pipe holds (64 kB).
const bufferSize = 16 << 10

// maxText bounds what is read from descriptor 6, as qmail.c does.
const maxText = 255

// ours is the program that runs where $QMAILQUEUE names no other, relative to
// the qmail home directory.
const ours = "bin/qmail-queue"

// Start runs $QMAILQUEUE, or bin/qmail-queue in the qmail home directory, with
// vars as its environment and home as its directory. Only the lack of a pipe
// or a process is an error. A program that cannot be run is for Close to
// report, as it is in qmail.c, where the child finds out.
func Start(home string, vars proc.Vars) (*Client, error) { return StartWith(home, vars, 2) }

// StartWith is Start for a program whose complaints go to the descriptor
// complaints; Start's go where this process's go.
func StartWith(home string, vars proc.Vars, complaints int) (*Client, error) {
	return start(home, vars, complaints, false)
}

// start is StartWith; with polled, for a process that runs many of them at a time,
// the runtime's poller waits for them, and none takes a thread.
func start(home string, vars proc.Vars, complaints int, polled bool) (*Client, error) {
	file, ok := vars.Get("QMAILQUEUE")
	if !ok {
		file = ours
	}
	message, messageW, err := sys.Pipe()
	if err != nil {
		return nil, err
	}
	defer message.Close()
	envelope, envelopeW, err := sys.Pipe()
	if err != nil {
		messageW.Close()
		return nil, err
	}
	defer envelope.Close()
	textR, text, err := sys.Pipe()
	if err != nil {
		messageW.Close()
		envelopeW.Close()
		return nil, err
	}
	defer text.Close()

	p := &process{message: messageW, envelope: envelopeW, text: textR, wait: (*child.Process).Wait}
	if polled {
		p.message, p.envelope, p.text = pollable(messageW), pollable(envelopeW), pollable(textR)
		p.wait = (*child.Process).Await
	}
	p.w = bufio.NewWriterSize(p.message, bufferSize)
	p.child, err = child.Start(&child.Command{
		Argv:  []string{file},
		Path:  file,
		Vars:  vars,
		Dir:   home,
		Files: []int{int(message.Fd()), int(envelope.Fd()), complaints, -1, -1, -1, int(text.Fd())},
	})
	switch {
	case err == nil:
	case child.Exhausted(err):
		p.message.Close()
		p.envelope.Close()
		p.text.Close()
		return nil, err // fork(2) or its pipe
	case unix.Access(home+"/.", unix.X_OK) != nil:
		p.notRun = answer.Home
	default:
		p.notRun = answer.NotRun
	}
	return &Client{program: p}, nil
}

// process is a qmail-queue of its own for one message.
type process struct {
	child    *child.Process // nil if no program ran
	notRun   int            // the status that says why
	message  io.WriteCloser // nil when ended
	envelope io.WriteCloser
	text     io.ReadCloser
	w        *bufio.Writer // to message, then to envelope
	wait     func(*child.Process) (child.Status, error)
}

// pollable is this process's end of a pipe, as the poller waits for it.
func pollable(fd *sys.FD) *os.File {
	unix.SetNonblock(int(fd.Fd()), true)
	return os.NewFile(fd.Fd(), "pipe")
}

func (p *process) PID() int {
	if p.child == nil {
		return 0
	}
	return p.child.PID
}

func (p *process) Write(b []byte) (int, error) { return p.w.Write(b) }

func (p *process) EndMessage() error {
	err := p.w.Flush()
	p.message.Close()
	p.message = nil
	p.w.Reset(p.envelope)
	return err
}

func (p *process) Close(failed bool) string {
	if p.message != nil {
		p.message.Close()
	}
	if !failed {
		failed = p.w.Flush() != nil
	}
	p.envelope.Close()
	if p.child == nil {
		p.text.Close()
		return answer.Text(p.notRun)
	}
	// Before waiting: the program may block on a full pipe. Closing then cuts
	// off one that goes on talking.
	text, _ := io.ReadAll(io.LimitReader(p.text, maxText))
	p.text.Close()
	status, err := p.wait(p.child)
	switch {
	case err != nil:
		return "Zqq waitpid surprise (#4.3.0)"
	case status.Crashed():
		return crashed
	}
	return verdict(status.Code(), string(text), failed)
}
