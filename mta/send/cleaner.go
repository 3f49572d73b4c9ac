package send

import (
	"io"
	"sync"

	"paperpath/mta/queue/store"
)

// cleaner is the connection to qmail-clean: commands one way, one byte each
// the other. Intake and finisher share it.
type cleaner struct {
	mu   sync.Mutex
	w    io.Writer
	r    io.Reader
	died func() // called once when the connection is lost
	dead bool
}

// maxCommands is how many commands are sent before their answers are read: a
// pipe holds them all, so that neither side waits for the other to read.
const maxCommands = 128

// do gives the command verb for each message and returns the answers, or
// false if qmail-clean is gone.
func (c *cleaner) do(verb string, ids ...store.ID) (answers []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answers = make([]byte, len(ids))
	for i := 0; i < len(ids); i += maxCommands {
		part := ids[i:min(i+maxCommands, len(ids))]
		var commands []byte
		for _, id := range part {
			commands = append(commands, verb...)
			commands = append(commands, id.String()...)
			commands = append(commands, 0)
		}
		if !c.exchange(commands, answers[i:i+len(part)]) {
			return nil, false
		}
	}
	return answers, true
}

func (c *cleaner) exchange(commands, answers []byte) bool {
	if c.dead {
		return false
	}
	_, err := c.w.Write(commands)
	if err == nil {
		_, err = io.ReadFull(c.r, answers)
	}
	if err != nil {
		c.dead = true
		c.died()
	}
	return err == nil
}
