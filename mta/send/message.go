package send

import (
	"bufio"
	"errors"
	"os"
	"syscall"

	"paperpath/internal/fsys"
	"paperpath/mta/queue/store"
)

// message is one message while it is preprocessed.
type message struct {
	id     store.ID
	in     *intake
	rules  *rules
	lists  []*list // info, local, remote; those there are
	on     [channels]*list
	has    [channels]bool
	failed bool
}

// list is a file being written.
type list struct {
	name, dir string
	file      fsys.File
	w         *bufio.Writer
}

// outcome is what became of writing the lists.
type outcome int

const (
	done    outcome = iota
	gone            // todo/N is not there
	trouble         // the system's; logged
	corrupt         // todo/N or mess/N will never be right
)

// errLogged means that trouble has been logged where it happened.
var errLogged = errors.New("logged")

// write reads todo/N and writes the lists, which stay open to be synced.
func (m *message) write() outcome {
	warn := func(what, name string) outcome {
		m.in.log.line("warning: ", what, " ", name)
		return trouble
	}
	fs := m.in.fs
	todo, err := fs.Open(m.id.Todo(), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENOENT) {
		return gone
	}
	if err != nil {
		return warn("unable to open", m.id.Todo())
	}
	defer todo.Close()
	mess, err := fs.Stat(m.id.Mess())
	if err != nil {
		warn("unable to stat", m.id.Mess())
		if errors.Is(err, syscall.ENOENT) {
			return corrupt
		}
		return trouble
	}
	if name, err := m.removeOld(); err != nil {
		return warn("unable to unlink", name)
	}
	info, err := m.create(m.id.Info(), m.id.Dir("info"))
	if err != nil {
		return trouble
	}
	m.in.log.line("new msg ", m.id.String())

	err = store.ReadEnvelope(todo, func(env store.Envelope) error {
		m.in.log.line("info msg ", m.id.String(), ": bytes ", decimal(mess.Size), " from <", safe(env.Sender),
			"> qp ", decimal(env.PID), " uid ", decimal(env.UID))
		return info.add(m, store.LetterSender, env.Sender)
	}, m.recipient)
	switch {
	case errors.Is(err, errLogged):
		return trouble
	case errors.Is(err, store.ErrCorrupt):
		warn("unknown record type in", m.id.Todo())
		return corrupt
	case err != nil:
		return warn("trouble reading", m.id.Todo())
	}
	for _, l := range m.lists {
		if l.w.Flush() != nil {
			return warn("trouble writing to", l.name)
		}
	}
	return done
}

// removeOld removes what an attempt left that a crash ended, or an older
// message with this number: a bounce then, which would go to a stranger.
func (m *message) removeOld() (name string, err error) {
	for _, name := range [...]string{m.id.Local(), m.id.Remote(), m.id.Info(), m.id.Bounce()} {
		was, err := removeIfThere(m.in.fs, name)
		if err == nil && was && name == m.id.Bounce() {
			err = m.in.fs.SyncDir("bounce")
		}
		if err != nil {
			return name, err
		}
	}
	return "", nil
}

func (m *message) create(name, dir string) (*list, error) {
	f, err := m.in.fs.Open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		m.in.log.line("warning: unable to create ", name)
		return nil, errLogged
	}
	l := &list{name, dir, f, bufio.NewWriterSize(f, 1024)}
	m.lists = append(m.lists, l)
	return l, nil
}

func (m *message) recipient(addr string) error {
	c, addr := m.rules.rewrite(addr)
	if m.on[c] == nil {
		l, err := m.create(c.file(m.id), m.id.Dir(c.String()))
		if err != nil {
			return err
		}
		m.on[c], m.has[c] = l, true
	}
	return m.on[c].add(m, store.LetterRecipient, addr)
}

func (l *list) add(m *message, letter byte, text string) error {
	l.w.WriteByte(letter)
	l.w.WriteString(text)
	if l.w.WriteByte(0) != nil { // bufio keeps the first error
		m.in.log.line("warning: trouble writing to ", l.name)
		return errLogged
	}
	return nil
}

// close closes the lists. Nothing depends on it: they are synced or worthless.
func (m *message) close() {
	for _, l := range m.lists {
		l.file.Close()
	}
}
