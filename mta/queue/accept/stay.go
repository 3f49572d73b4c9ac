package accept

import (
	"bufio"
	"errors"
	"io"
	"os"
	"time"

	"paperpath/internal/proc"
	"paperpath/mta/queue/answer"
	"paperpath/mta/queue/resident"
)

// stay takes messages from a client that keeps qmail-queue for several (package
// resident) until one fails, the client goes, or nothing comes for a while. The
// client is whoever ran this program and gets no more trust for that: each
// message is bounded and judged as if it were the only one. enter goes into the
// queue directory, again for each message: an administrator who puts another in
// its place wants the next message there.
func stay(enter func() (Queue, error), client Client, socket proc.File) error {
	if _, err := io.WriteString(socket, resident.Greeting); err != nil {
		return proc.Exit(answer.Read)
	}
	in := bufio.NewReaderSize(socket, resident.MaxPiece)
	for {
		socket.SetReadDeadline(time.Now().Add(resident.Idle))
		_, err := in.Peek(1)
		switch {
		case err == io.EOF, errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return proc.Exit(answer.Read)
		}
		client.Time = time.Now()
		socket.SetReadDeadline(client.Time.Add(death))
		if err := acceptOne(enter, client, in, socket); err != nil {
			return err
		}
	}
}

// acceptOne queues one message and says so, or why not. An error means that the
// next message must not be waited for: what comes may be the rest of this one.
func acceptOne(enter func() (Queue, error), client Client, in *bufio.Reader, socket proc.File) error {
	message, envelope := resident.NewReader(in), resident.NewReader(in)
	queue, err := enter()
	if err == nil {
		err = Accept(queue, client, message, envelope)
	}
	status := answer.Queued
	var exit proc.Exit
	switch {
	case err == nil:
		pullTrigger()
	case errors.As(err, &exit):
		status = int(exit)
	default:
		status = answer.Bug
	}
	if _, err := socket.Write([]byte{byte(status)}); err != nil {
		return proc.Exit(answer.Read)
	}
	if err != nil {
		return err
	}
	// What follows the envelope's last NUL means nothing, as ever.
	if _, err := io.Copy(io.Discard, envelope); err != nil {
		return proc.Exit(answer.Read)
	}
	return nil
}
