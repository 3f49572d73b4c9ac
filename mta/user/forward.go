// Package user is what people write in .qmail files.
//
//	|forward ADDRESS …      a new copy to other addresses
//
// The programs are qmail-local's commands (qmail-command(8)): the message on
// descriptor 0, its addresses in the environment, and the exit status says
// what becomes of the delivery.
package user

import (
	"context"
	"errors"
	"io"
	"strconv"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/mta/layout"
	"paperpath/mta/queue"
)

// Forward is the program forward(1).
var Forward = proc.Program{Name: "forward", Usage: "address ...", Run: forward}

func forward(_ context.Context, env *proc.Env) error {
	sender, ok := env.Vars.Get("NEWSENDER")
	if !ok {
		return proc.Permanent(errors.New("NEWSENDER not set"))
	}
	delivered, ok := env.Vars.Get("DTLINE")
	if !ok {
		return proc.Permanent(errors.New("DTLINE not set"))
	}
	q, err := queue.Start(layout.Home(env.Vars), env.Vars)
	if err != nil {
		return strerr.Unable("fork", "", err)
	}
	io.WriteString(q, delivered)
	if err := copyMessage(q, env.Files[0]); err != nil {
		q.Fail()
		q.Close()
		return strerr.Unable("read message", "", err)
	}
	q.Envelope(sender)
	for _, address := range env.Args[1:] {
		q.Recipient(address)
	}
	pid := q.PID()
	switch answer := q.Close(); {
	case answer == "":
		env.Say("qp " + strconv.Itoa(pid))
		return nil
	case answer[0] == 'D':
		return proc.Permanent(errors.New(answer[1:]))
	default:
		return proc.Temporary(errors.New(answer[1:]))
	}
}

// copyMessage copies the message. Only errors of reading it are returned: those
// of the queue come with its answer.
func copyMessage(q *queue.Client, message io.Reader) error {
	block := make([]byte, 32<<10)
	for {
		n, err := message.Read(block)
		q.Write(block[:n])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
