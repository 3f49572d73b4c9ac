package pop3

import (
	"bufio"
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/decimal"
	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/mta/maildir"
)

// QmailPop3d is the program qmail-pop3d(8): it serves a Maildir to its owner.
var QmailPop3d = proc.Program{Name: "qmail-pop3d", Usage: "maildir", Run: pop3d}

func pop3d(ctx context.Context, env *proc.Env) error {
	sys.IgnoreSIGPIPE()
	if unix.Getuid() == 0 {
		return proc.Verbatim(1, "qmail-pop3d invoked as uid 0, terminating")
	}
	return transact(ctx, env)
}

// transact is the conversation from the TRANSACTION state on. As in C its end is
// always a success.
func transact(_ context.Context, env *proc.Env) error {
	s := &mailbox{}
	s.start(timed{env.Files[0]}, timed{env.Files[1]}, 512, 16<<10)
	if err := s.open(env); err != "" {
		s.err(err)
		s.out.Flush()
		return nil
	}
	s.ok()
	s.serve(s.do)
	return nil
}

// mailbox is a Maildir as it was when the client came.
type mailbox struct {
	dialogue
	fs       fsys.FS
	messages []message
	last     int // the highest number that was deleted
}

type message struct {
	maildir.Entry
	deleted bool
}

// open reads the mailbox; what it returns is for the client.
func (s *mailbox) open(env *proc.Env) (trouble string) {
	const none = "this user has no $HOME/Maildir"
	if len(env.Args) < 2 || env.Args[1] == "" {
		return none
	}
	fs, err := fsys.OS{Root: env.Dir}.Held(env.Args[1])
	if err != nil {
		return none
	}
	s.fs = fs
	now := time.Now()
	maildir.Clean(fs, now)
	entries, err := maildir.Scan(fs, now)
	if err != nil {
		return "unable to scan $HOME/Maildir"
	}
	s.messages = make([]message, len(entries))
	for i, e := range entries {
		s.messages[i].Entry = e
	}
	return ""
}

func (s *mailbox) do(verb string, raw []byte) error {
	arg := string(raw)
	switch verb {
	case "stat":
		s.stat()
	case "list":
		s.listing(arg, func(m *message) string { return strconv.FormatInt(m.Size, 10) })
	case "uidl":
		s.listing(arg, func(m *message) string { return printable(m.Unique()) })
	case "retr", "top":
		return s.retrieve(arg)
	case "dele":
		if i, ok := s.find(arg); ok {
			s.messages[i].deleted = true
			s.last = max(s.last, i+1)
			s.ok()
		}
	case "rset":
		for i := range s.messages {
			s.messages[i].deleted = false
		}
		s.last = 0
		s.ok()
	case "last":
		s.say("+OK ", strconv.Itoa(s.last))
	case "noop":
		s.ok()
	case "capa": // RFC 2449 section 5
		s.ok()
		s.list("USER", "TOP", "UIDL", "PIPELINING")
	case "quit":
		s.update()
		s.ok()
		return errEnd
	default:
		s.err("unimplemented")
	}
	return nil
}

// stat counts the messages that are not marked as deleted (RFC 1939 section 5).
func (s *mailbox) stat() {
	n, size := 0, int64(0)
	for i := range s.messages {
		if !s.messages[i].deleted {
			n++
			size += s.messages[i].Size
		}
	}
	s.say("+OK ", strconv.Itoa(n), " ", strconv.FormatInt(size, 10))
}

// find returns the message whose number arg begins with, or says why not.
func (s *mailbox) find(arg string) (i int, ok bool) {
	n, digits := decimal.Int(arg)
	switch {
	case digits == 0:
		s.err("syntax error")
	case n == 0:
		s.err("messages are counted from 1")
	case n > len(s.messages):
		s.err("not that many messages")
	case s.messages[n-1].deleted:
		s.err("already deleted")
	default:
		return n - 1, true
	}
	return 0, false
}

// listing says something of one message, or of all.
func (s *mailbox) listing(arg string, what func(*message) string) {
	text := func(i int) string { return strconv.Itoa(i+1) + " " + what(&s.messages[i]) }
	if arg != "" {
		if i, ok := s.find(arg); ok {
			s.say("+OK ", text(i))
		}
		return
	}
	s.ok()
	for i := range s.messages {
		if !s.messages[i].deleted {
			s.say(text(i))
		}
	}
	s.say(".")
}

// printable writes what may not be in a unique-id (RFC 1939 section 7), and may in a
// file's name, in hexadecimal. Bytes above 126 stay, as in C.
func printable(name string) string {
	const digits = "0123456789ABCDEF"
	var b []byte
	for _, c := range []byte(name) {
		if c <= ' ' || c == 0x7f {
			b = append(b, '=', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// retrieve sends a message, with a second number only so many lines of its body
// (and RETR, as ever, takes one too).
func (s *mailbox) retrieve(arg string) error {
	i, ok := s.find(arg)
	if !ok {
		return nil
	}
	file, err := s.fs.Open(s.messages[i].Name, fsys.RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		s.err("unable to open that message")
		return nil
	}
	defer file.Close()
	s.ok()
	_, skip := decimal.Int(arg)
	if lines, digits := decimal.Int(strings.TrimLeft(arg[skip:], " ")); digits > 0 {
		return s.blast(file, lines)
	}
	return s.blast(file, -1)
}

// blast sends a file and the end of a message: line feeds become CRLF, and a dot
// in front is doubled. lines is how much of the body is wanted, negative for all.
// A line may be longer than memory. An error ends the conversation: in the middle
// of a message nothing else can be told.
func (s *mailbox) blast(file io.Reader, lines int) error {
	in := bufio.NewReaderSize(file, 16<<10)
	inBody, atStart := false, true
	for {
		part, err := in.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		if len(part) == 0 {
			if !atStart { // a last line without a line feed, that ended with the buffer
				s.say()
			}
			break
		}
		if atStart {
			if inBody && lines >= 0 {
				if lines == 0 {
					break
				}
				lines--
			}
			if part[0] == '\n' {
				inBody = true
			}
			if part[0] == '.' {
				s.out.WriteByte('.')
			}
		}
		atStart = err != bufio.ErrBufferFull
		if atStart { // its end: the file's last line may lack a line feed
			s.say(strings.TrimSuffix(string(part), "\n"))
			continue
		}
		if _, err := s.out.Write(part); err != nil {
			return err
		}
	}
	s.say()
	s.say(".")
	return nil
}

// update marks what stays as seen, and removes the rest (RFC 1939 section 6). What
// a client was told to be gone shall not come back after a power cut: its mail
// reader would take it for new mail.
func (s *mailbox) update() {
	var changed, removed [2]bool // cur/, new/
	var gone []maildir.Entry
	whole := true
	for i := range s.messages {
		m := &s.messages[i]
		unread := strings.HasPrefix(m.Name, "new/")
		switch {
		case !m.deleted:
			changed[0] = unread && s.see(m) || changed[0]
		case s.fs.Remove(m.Name) != nil:
			s.err(notRemoved)
			whole = false
		case unread:
			changed[1], removed[1] = true, true
			gone = append(gone, m.Entry)
		default:
			changed[0], removed[0] = true, true
			gone = append(gone, m.Entry)
		}
	}
	maildir.Removed(s.fs, ".", gone)
	// cur/ first: what moved there is to be safe before new/ forgets it.
	for i, sub := range []string{"cur", "new"} {
		if changed[i] && s.fs.SyncDir(sub) != nil && removed[i] && whole {
			s.err(notRemoved)
			whole = false
		}
	}
}

const notRemoved = "unable to unlink all deleted messages"

// see moves a message from new/ to cur/. If that fails it stays new. A rename is
// one change to every file system with a journal, so that no cut takes both names;
// but it would take the place of a file that has the name already.
func (s *mailbox) see(m *message) bool {
	seen := "cur/" + m.Name[len("new/"):] + ":2,"
	if _, err := s.fs.Lstat(seen); err != unix.ENOENT {
		return false
	}
	return s.fs.Rename(m.Name, seen) == nil
}
