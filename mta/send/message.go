package send

import (
	"bufio"
	"errors"
	"os"
	"syscall"
	"time"

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
	bad    string // the corrupt file

	about      string // its line in the log, when the sender is known
	announced  bool
	sender     string
	recipients int
	channel    channel // of the first recipient
	first      string
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
	single          // one recipient: to be tried before there are lists
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
	var todo fsys.File
	var todoName string
	var err error
	for _, todoName = range m.in.form.Todos(m.id) {
		todo, err = fs.Open(todoName, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if !errors.Is(err, syscall.ENOENT) {
			break
		}
	}
	if errors.Is(err, syscall.ENOENT) {
		return gone
	}
	if err != nil {
		return warn("unable to open", todoName)
	}
	defer todo.Close()
	mess, err := fs.Stat(m.id.Mess())
	if err != nil {
		warn("unable to stat", m.id.Mess())
		if errors.Is(err, syscall.ENOENT) {
			m.bad = m.id.Mess()
			return corrupt
		}
		return trouble
	}
	old, name, err := m.removeOld()
	if err != nil {
		return warn("unable to unlink", name)
	}
	err = store.ReadEnvelope(todo, func(env store.Envelope) error {
		m.sender = env.Sender
		m.about = "info msg " + m.id.String() + ": bytes " + decimal(mess.Size) + " from <" + safe(env.Sender) +
			"> qp " + decimal(env.PID) + " uid " + decimal(env.UID)
		return nil
	}, m.recipient)
	if err == nil && m.recipients < 2 {
		// That what was removed is gone must be known to the disk before
		// todo/N goes: so if there was anything, lists are written.
		if m.recipients == 1 && !old && m.in.try(m.id) {
			m.announce()
			return single
		}
		err = m.begin()
	}
	switch {
	case errors.Is(err, errLogged):
		return trouble
	case errors.Is(err, store.ErrCorrupt):
		m.announce()
		m.bad = todoName
		warn("unknown record type in", m.bad)
		return corrupt
	case err != nil:
		m.announce()
		return warn("trouble reading", todoName)
	}
	return m.flush()
}

// settle writes the lists of a message that was tried, or was to be, without.
func (m *message) settle(birth int64) outcome {
	m.announced = true
	m.recipients = 1
	if _, name, err := m.removeOld(); err != nil {
		m.in.log.line("warning: unable to unlink ", name)
		return trouble
	}
	if m.begin() != nil || m.flush() != done {
		return trouble
	}
	if err := m.in.fs.SetTimes(m.id.Info(), time.Unix(birth, 0)); err != nil {
		m.in.log.line("warning: unable to utime ", m.id.Info())
		return trouble
	}
	return done
}

// announce writes the message's lines to the log, once.
func (m *message) announce() {
	if m.announced {
		return
	}
	m.announced = true
	m.in.log.line("new msg ", m.id.String())
	if m.about != "" {
		m.in.log.line(m.about)
	}
}

// begin begins the lists with the sender and the first recipient, if any.
func (m *message) begin() error {
	info, err := m.create(m.id.Info(), m.id.Dir("info"))
	if err != nil {
		return err
	}
	m.announce()
	if err := info.add(m, store.LetterSender, m.sender); err != nil || m.recipients == 0 {
		return err
	}
	return m.add(m.channel, m.first)
}

func (m *message) flush() outcome {
	for _, l := range m.lists {
		if l.w.Flush() != nil {
			m.in.log.line("warning: trouble writing to ", l.name)
			return trouble
		}
	}
	return done
}

// removeOld removes what an attempt left that a crash ended, or an older
// message with this number: a bounce then, which would go to a stranger. It
// reports whether there was anything.
func (m *message) removeOld() (any bool, name string, err error) {
	for _, name := range [...]string{m.id.Local(), m.id.Remote(), m.id.Info(), m.id.Bounce()} {
		was, err := removeIfThere(m.in.fs, name)
		any = any || was
		if err == nil && was && name == m.id.Bounce() {
			err = m.in.fs.SyncDir("bounce")
		}
		if err != nil {
			return any, name, err
		}
	}
	return any, "", nil
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
	switch m.recipients++; m.recipients {
	case 1:
		m.channel, m.first = c, addr
		return nil
	case 2:
		if err := m.begin(); err != nil {
			return err
		}
	}
	return m.add(c, addr)
}

func (m *message) add(c channel, addr string) error {
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
