package user

import (
	"errors"
	"io"
	"strconv"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/mta/layout"
	"paperpath/mta/queue"
)

// requeue sends the message on descriptor 0, behind its Delivered-To line, from
// sender to recipients. The result is how qmail-queue called it.
func requeue(env *proc.Env, delivered, sender string, recipients ...string) (qp string, err error) {
	q, err := queue.Start(layout.Home(env.Vars), env.Vars)
	if err != nil {
		return "", strerr.Unable("fork", "", err)
	}
	io.WriteString(q, delivered)
	if err := copyMessage(q, env.Files[0]); err != nil {
		q.Fail()
		q.Close()
		return "", strerr.Unable("read message", "", err)
	}
	q.Envelope(sender)
	for _, address := range recipients {
		q.Recipient(address)
	}
	qp = "qp " + strconv.Itoa(q.PID())
	switch answer := q.Close(); {
	case answer == "":
		return qp, nil
	case answer[0] == 'D':
		return "", proc.Permanent(errors.New(answer[1:]))
	default:
		return "", proc.Temporary(errors.New(answer[1:]))
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

// required returns a variable that qmail-local sets for every command.
func required(env *proc.Env, name string) (string, error) {
	value, ok := env.Vars.Get(name)
	if !ok {
		return "", proc.Permanent(errors.New(name + " not set"))
	}
	return value, nil
}
