// Package spawn is qmail-lspawn and qmail-rspawn: the protocol by which
// qmail-send has messages delivered, and the two ways of delivering.
//
//	to the spawner, descriptor 0     from it, descriptor 1
//
//	                                 C  once: deliveries at a time, at most
//	D file \0 sender \0 recipient \0
//	                                 D verdict text \0
//
// D is the delivery's number, chosen by qmail-send, of one byte or two, see
// package delnum; file is the message's name below queue/mess; the verdict is K (delivered), Z (try again)
// or D (never). Reports come in the order in which deliveries end (spawn.c).
//
//	command → checked, message opened → deliverer → report
//
// How a delivery is carried out is the [deliverer]'s affair. At the end of its
// input a spawner finishes what it has begun and exits.
package spawn

import (
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/mta/layout"
	"paperpath/mta/spawn/delnum"
)

const (
	// fieldSize bounds each string of a command, far above any address that
	// qmail-queue takes.
	fieldSize = 64 << 10

	messidSize = 100 // with its NUL
)

// A delivery is one message for one recipient.
type delivery struct {
	message   fsys.File // at its beginning; whoever gets the delivery closes it
	sender    string
	recipient string
	at        int // where the recipient's last @ is
}

// descriptor is the message's, for a child.
func (d *delivery) descriptor() int { return int(d.message.(interface{ Fd() uintptr }).Fd()) }

func (d *delivery) local() string { return d.recipient[:d.at] }
func (d *delivery) host() string  { return d.recipient[d.at+1:] }

// A deliverer carries out deliveries. begin does not wait for the delivery; it
// calls done once, from any goroutine, with the verdict and its text, which
// has no NUL in it.
type deliverer interface {
	begin(d *delivery, done func(report string))
}

// A spawner serves one qmail-send.
type spawner struct {
	queue fsys.OS // queue/mess
	owner uint32  // whose the message files are
	with  deliverer

	limit int // deliveries at a time, if qmail-send has numbers for them

	running sync.WaitGroup

	mu    sync.Mutex
	width delnum.Width
	used  []bool    // by number, as many as width has
	out   proc.File // nil once qmail-send does not listen any more
}

// newSpawner checks what it can before the first command.
func newSpawner(env *proc.Env) (*spawner, error) {
	s := &spawner{
		queue: fsys.OS{Root: layout.Home(env.Vars) + "/queue/mess"},
		out:   env.Files[1],
		limit: room(),
	}
	info, err := s.queue.Stat(".")
	if err != nil || !info.IsDir() {
		return nil, proc.Exit(proc.StatusTemporary) // in silence, as ever
	}
	// The message files are qmailq's, who has to be trusted, except where the
	// whole system is one user's and the queue is our own.
	if uid := os.Geteuid(); uid != 0 && info.UID == uint32(uid) {
		s.owner = uint32(uid)
		return s, nil
	}
	account, err := sys.LookupAccount(layout.UserQueue)
	if err != nil {
		return nil, unknown("user", layout.UserQueue)
	}
	s.owner = uint32(account.UID)
	return s, nil
}

func unknown(kind, name string) error {
	return proc.Verbatim(proc.StatusTemporary, "fatal: unable to find "+kind+" "+name)
}

// room is how many deliveries the limit of open files has room for: each has
// the message and a pipe. (The runtime has raised the soft limit to the hard
// one.)
func room() int {
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) != nil {
		return delnum.MaxNarrow
	}
	const each, others = 2, 100
	n := min(files.Cur, each*layout.Spawn+others)
	return max((int(n)-others)/each, delnum.MaxNarrow)
}

// serve announces itself, reads commands until the end of in, and waits for
// what it has begun. An error of the input is its end.
func (s *spawner) serve(in proc.File) {
	s.width, s.used = delnum.Narrow, make([]bool, delnum.MaxNarrow)
	s.write([]byte{delnum.MaxNarrow})
	c := command{width: s.width}
	buf := make([]byte, 1024)
	for {
		n, err := in.Read(buf)
		for _, b := range buf[:n] {
			if c.add(b) {
				s.execute(&c)
				c = command{width: s.width}
			}
		}
		if err != nil {
			break
		}
	}
	s.running.Wait()
}

// A command is being read: the number, then three strings.
type command struct {
	width   delnum.Width
	number  []byte
	fields  [3][]byte // file, sender, recipient
	at      int       // the field being read
	tooLong bool
}

// add takes the next byte and reports whether the command is complete.
func (c *command) add(b byte) bool {
	switch {
	case len(c.number) < int(c.width):
		c.number = append(c.number, b)
	case b == 0:
		c.at++
	case len(c.fields[c.at]) == fieldSize:
		c.tooLong = true
	default:
		c.fields[c.at] = append(c.fields[c.at], b)
	}
	return c.at == len(c.fields)
}

// execute begins the delivery, or says why not (docmd in spawn.c).
func (s *spawner) execute(c *command) {
	number := c.width.Number(c.number)
	if c.asksForWide() {
		s.widen()
		return
	}
	d, refusal := s.check(c, number)
	if refusal != "" {
		s.report(number, refusal)
		return
	}
	s.setUsed(number, true)
	s.running.Add(1)
	s.with.begin(d, func(report string) {
		// Free before the report is out: qmail-send may use the number again
		// as soon as it has read it.
		s.setUsed(number, false)
		s.report(number, report)
		s.running.Done()
	})
}

// asksForWide reports whether the command is delnum.Question.
func (c *command) asksForWide() bool {
	return c.width == delnum.Narrow && c.number[0] == delnum.MaxNarrow &&
		string(c.fields[0]) == delnum.Ask && len(c.fields[1]) == 0 && len(c.fields[2]) == 0
}

// widen says so and takes numbers of two bytes from now on.
func (s *spawner) widen() {
	s.report(delnum.MaxNarrow, delnum.Answer(s.limit))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.width = delnum.Wide
	s.used = append(s.used, make([]bool, s.limit-len(s.used))...)
}

func (s *spawner) check(c *command, number int) (d *delivery, refusal string) {
	file, recipient := string(c.fields[0]), string(c.fields[2])
	switch {
	case c.tooLong:
		return nil, "Zqmail-spawn out of memory. (#4.3.0)\n"
	case number >= len(s.used):
		return nil, "ZInternal error: delnum too big. (#4.3.5)\n"
	case s.inUse(number):
		return nil, "ZInternal error: delnum in use. (#4.3.5)\n"
	case strings.Trim(file, "0123456789/") != "" || strings.HasPrefix(file, "/"):
		return nil, "DInternal error: messid has nonnumerics. (#5.3.5)\n"
	case len(file)+1 > messidSize:
		return nil, "DInternal error: messid too long. (#5.3.5)\n"
	case file == "":
		return nil, "DInternal error: messid too short. (#5.3.5)\n"
	}
	at := strings.LastIndexByte(recipient, '@')
	if at < 0 {
		return nil, "DSorry, address must include host name. (#5.1.3)\n"
	}
	message, refusal := s.open(file)
	if refusal != "" {
		return nil, refusal
	}
	return &delivery{message, string(c.fields[1]), recipient, at}, ""
}

func (s *spawner) inUse(number int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used[number]
}

func (s *spawner) setUsed(number int, used bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[number] = used
}

// open opens a message file and makes sure that it is one.
func (s *spawner) open(file string) (message fsys.File, refusal string) {
	f, err := s.queue.Open(file, fsys.RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, "Zqmail-spawn unable to open message. (#4.3.0)\n"
	}
	switch info, err := f.Stat(); {
	case err != nil:
		refusal = "Zqmail-spawn unable to fstat message. (#4.3.0)\n"
	case !info.IsRegular():
		refusal = "ZSorry, message has wrong type. (#4.3.5)\n"
	case info.UID != s.owner:
		refusal = "ZSorry, message has wrong owner. (#4.3.5)\n"
	default:
		return f, ""
	}
	f.Close()
	return nil, refusal
}

// report writes a report, whole.
func (s *spawner) report(number int, report string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := make([]byte, 0, len(report)+3)
	b = s.width.Append(b, number)
	b = append(b, report...)
	s.write(append(b, 0))
}

// write writes to qmail-send. Without a listener the deliveries go on: they
// are under way.
func (s *spawner) write(b []byte) {
	if s.out == nil {
		return
	}
	if _, err := s.out.Write(b); err != nil {
		s.out.Close()
		s.out = nil
	}
}

// startRefusal is the report when a program could not even be started: by
// what kept it from starting, all of it the system's fault and not the
// message's. (The C programs bounce mail while a binary is missing.)
func startRefusal(err error, program string) string {
	switch {
	case errors.Is(err, errPipe):
		return "Zqmail-spawn unable to create pipe. (#4.3.0)\n"
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM):
		return "Zqmail-spawn unable to fork. (#4.3.0)\n"
	}
	return "ZUnable to run " + program + ".\n"
}

// crashed reports whether a program came to a sudden end. Before main a Go
// runtime that cannot go on (no memory, no thread) knows no better way than
// status 2, which qmail-local and qmail-remote never choose themselves; as an
// unknown status it would bounce the message.
func crashed(status child.Status) bool { return status.Crashed() || status.Code() == 2 }
