// Package accept is qmail-queue: it takes one message and its envelope from a
// client and puts both into the queue, or leaves nothing behind.
//
// What it does to the queue directory, in this order (INTERNALS section 3;
// N is the inode number of the message file, S is N modulo 23):
//
//	create pid/PID.TIME.SEQ            a file, hence a number N of its own
//	link   pid/… mess/S/N              S2: the cleaner knows it from here on
//	unlink pid/…
//	write  mess/S/N                    Received line, message
//	create intd/N                      S3
//	write  intd/N                      u UID \0 p PID \0 F sender \0 T recipient \0 …
//	sync   mess/S/N, mess/S, intd/N    all that the next line promises, at once
//	link   intd/N todo/N               S4: queued
//	sync   todo                        and queued after a power cut
//
// (In a queue of the big-todo patch intd/S/N and todo/S/N, see package store.)
//
// C qmail leaves out both directory syncs and trusts link(2) to be
// synchronous, which on Linux it is not: messages acknowledged in the last
// five seconds before a cut were lost. Its sync of the message comes before
// the envelope is read; here nothing is synced for a client that gives up.
//
// The program is setuid. It parses nothing but the envelope's NULs and
// letters, and prints nothing: its exit status is all that its caller learns. Of
// the environment it reads QMAILHOME, and that only where it is not setuid.
package accept

import (
	"errors"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"paperpath/internal/date822"
	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/mta/queue/answer"
	"paperpath/mta/queue/store"
)

const (
	// death is how long a client may take. It must stay below ossified.
	death = 24 * time.Hour
	// ossified is the age at which qmail-send lets the cleaner remove what
	// never became a message: no living qmail-queue can still own it.
	ossified = 36 * time.Hour

	// numbers bounds the attempts at a pid name and at a number.
	numbers = 9
)

// Queue is a queue and what its messages get besides what their clients say.
type Queue struct {
	FS    fsys.FS
	Form  store.Form
	Zone  *time.Location // of the date in Received; nil: UTC, unnamed
	Extra []string       // recipients that every message gets: what QUEUE_EXTRA was to C
}

// Client is what the queue records about the caller of qmail-queue.
type Client struct {
	UID, PID int
	By       string    // the words after "invoked": "from network", "by uid 1000"
	Time     time.Time // of the start
}

// Accept queues one message. When it returns nil the message is queued and
// survives a power cut. Its errors are exit statuses; the message is then not
// queued, except that a failing sync of todo may leave it known to qmail-send:
// the client sends it again, and somebody gets it twice.
func Accept(q Queue, client Client, message, envelope io.Reader) error {
	m := &entry{fs: q.FS, queue: q, client: client}
	err := m.receive(message, envelope)
	if err == nil {
		err = m.settle()
	}
	if err != nil {
		m.discard()
		return err
	}
	return m.publish()
}

// entry is a message on its way into the queue.
type entry struct {
	fs     fsys.FS // the queue's
	queue  Queue
	client Client
	id     store.ID
	pid    []string  // names under pid/ still to be removed
	mess   fsys.File // open files; nil: not yet created
	intd   fsys.File
}

func (m *entry) todo() string     { return m.queue.Form.Todo(m.id) }
func (m *entry) intdName() string { return m.queue.Form.Intd(m.id) }

func (m *entry) receive(message, envelope io.Reader) error {
	if err := m.number(); err != nil {
		return err
	}
	if err := m.writeMessage(message); err != nil {
		return err
	}
	return m.writeEnvelope(envelope)
}

// number creates the message file and gives it its number and name.
//
// A number may be taken although its inode was free: power cuts and restored
// backups leave names without their message. A todo/N like that would send
// this message to the recipients of an old one. Such a number is skipped, and
// its file kept meanwhile, so that the file system must hand out another.
func (m *entry) number() error {
	status := answer.Pid
	for seq := 1; seq <= numbers; seq++ {
		pid := "pid/" + strconv.Itoa(m.client.PID) + "." +
			strconv.FormatInt(m.client.Time.Unix(), 10) + "." + strconv.Itoa(seq)
		f, err := m.fs.Open(pid, fsys.WRONLY|fsys.CREATE|fsys.EXCL, 0o644)
		if errors.Is(err, syscall.EEXIST) {
			continue // of a process with our pid in another namespace, or long dead
		}
		if err != nil {
			return proc.Exit(answer.Pid)
		}
		m.pid = append(m.pid, pid)
		status, err = m.name(f, pid)
		if err == nil {
			m.mess = f
			if m.removePid() != nil {
				return proc.Exit(answer.Pid)
			}
			return nil
		}
		f.Close()
		if !errors.Is(err, syscall.EEXIST) {
			break
		}
	}
	return proc.Exit(status)
}

// name links the new file f to its name under mess/. The error is EEXIST if
// the queue knows the number from an earlier message.
func (m *entry) name(f fsys.File, pid string) (status int, err error) {
	info, err := f.Stat()
	if err != nil {
		return answer.Pid, err
	}
	m.id = store.ID(info.Ino)
	switch taken, err := m.queue.Form.InTodo(m.fs, m.id); {
	case err != nil:
		return answer.Todo, err
	case taken:
		return answer.Todo, syscall.EEXIST
	}
	if err := m.removeStale(m.intdName()); err != nil {
		return answer.Intd, err
	}
	return answer.Mess, m.fs.Link(pid, m.id.Mess())
}

// removeStale removes an abandoned intd/N. Nobody else would: the cleaner
// looks for messages, and this one is gone.
func (m *entry) removeStale(intd string) error {
	info, err := m.fs.Lstat(intd)
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	if m.client.Time.Sub(info.Ctime) < ossified {
		return syscall.EEXIST
	}
	return m.fs.Remove(intd)
}

// removePid removes the names under pid/.
func (m *entry) removePid() error {
	for len(m.pid) > 0 {
		if err := m.fs.Remove(m.pid[0]); err != nil {
			return err
		}
		m.pid = m.pid[1:]
	}
	return nil
}

func (m *entry) writeMessage(r io.Reader) error {
	b := make([]byte, 0, 64<<10) // what a pipe holds
	b = append(b, "Received: (qmail "...)
	b = strconv.AppendInt(b, int64(m.client.PID), 10)
	b = append(b, " invoked "...)
	b = append(b, m.client.By...)
	b = append(b, "); "...)
	b = date822.AppendIn(b, m.client.Time, m.queue.Zone)
	b = append(b, '\n')
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if len(b) == cap(b) || err != nil {
			if _, err := m.mess.Write(b); err != nil {
				return proc.Exit(answer.Write)
			}
			b = b[:0]
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return readStatus(err)
		}
	}
}

// readStatus tells a client that was too slow from one that broke off.
func readStatus(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return proc.Exit(answer.Timeout)
	}
	return proc.Exit(answer.Read)
}

func (m *entry) writeEnvelope(r io.Reader) error {
	f, err := m.fs.Open(m.intdName(), fsys.WRONLY|fsys.CREATE|fsys.EXCL, 0o644)
	if err != nil {
		return proc.Exit(answer.Intd)
	}
	m.intd = f
	head := "u" + strconv.Itoa(m.client.UID) + "\x00p" + strconv.Itoa(m.client.PID) + "\x00"
	return copyEnvelope(f, head, m.queue.Extra, r)
}

// settle makes durable what todo/N will refer to. The three do not depend on
// one another; begun together they cost the file system one journal commit
// where one after the other they cost two or three.
func (m *entry) settle() error {
	var mess, intd, name error
	var others sync.WaitGroup
	others.Go(func() { intd = m.intd.Sync() })
	others.Go(func() { name = m.fs.SyncDir(m.id.Dir("mess")) })
	mess = m.mess.Sync()
	others.Wait()
	if mess != nil || intd != nil || m.mess.Close() != nil || m.intd.Close() != nil {
		return proc.Exit(answer.Write)
	}
	if name != nil {
		return proc.Exit(answer.Mess)
	}
	if m.expired() {
		return proc.Exit(answer.Timeout)
	}
	return nil
}

// publish queues the message. From the link on it belongs to qmail-send, which
// may have read todo/N before a failure here takes it back; so only the name
// is taken back, and mess and intd stay until the cleaner has made sure, after
// 36 hours, that no info/N grew out of it.
func (m *entry) publish() error {
	if m.fs.Link(m.intdName(), m.todo()) != nil {
		m.discard()
		return proc.Exit(answer.Todo)
	}
	if m.fs.SyncDir(m.queue.Form.TodoDir(m.id)) != nil {
		m.fs.Remove(m.todo())
		return proc.Exit(answer.Todo)
	}
	if m.expired() {
		m.fs.Remove(m.todo())
		return proc.Exit(answer.Timeout)
	}
	return nil
}

// expired reports whether the cleaner may soon take, or have taken, the
// message for abandoned. The program's timer has ended it before that, unless
// it was stopped or the machine suspended in between; hence the wall clock.
func (m *entry) expired() bool {
	return time.Since(m.client.Time.Round(0)) > death
}

// discard removes what there is: intd before mess, because what stays of the
// former must not meet a new message with the number of the latter.
func (m *entry) discard() {
	m.removePid()
	if m.intd != nil {
		m.intd.Close()
		if m.fs.Remove(m.intdName()) != nil {
			return
		}
	}
	if m.mess != nil {
		m.mess.Close()
		m.fs.Remove(m.id.Mess())
	}
}
