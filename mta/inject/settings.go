package inject

import (
	"errors"
	"os"
	"strconv"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/header"
	"paperpath/internal/proc"
	"paperpath/internal/quote"
	"paperpath/internal/strerr"
	"paperpath/internal/token822"
	"paperpath/mta/control"
	"paperpath/mta/layout"
)

// message is a message on its way through qmail-inject: how it is to be
// completed, and what was seen of it.
type message struct {
	home  string
	start time.Time
	zone  *time.Location // of Date

	// Letters of QMAILINJECT.
	nameInComment   bool // c
	dropReturnPath  bool // s
	dropFrom        bool // f
	dropMessageID   bool // i
	verpByRecipient bool // r
	verpByMessage   bool // m

	user, host             variable // of From
	senderUser, senderHost variable // of the envelope
	fullName               variable

	idHost      string
	defaultHost []token822.Token // @ and the host
	defaultDot  []token822.Token // dot and defaultdomain
	plusDot     []token822.Token // dot and plusdomain
	lists       control.Map      // of QMAILMFTFILE, nil without

	sender    string // of the envelope
	hasSender bool
	arguments []string // recipients of the command line
	header    []string // recipients of To, Cc, Bcc, Apparently-To
	resent    []string // recipients of Resent-To, Resent-Cc, Resent-Bcc
	followup  []string // those of To and Cc
	seen      [header.Fields]bool
	kept      []byte // fields
	head      []byte // the finished header
}

// variable is an environment variable: set to nothing is not the same as not
// set.
type variable struct {
	value string
	set   bool
}

// firstOf returns the first of several variables that is set.
func firstOf(vars proc.Vars, names ...string) (v variable) {
	for _, name := range names {
		if v.value, v.set = vars.Get(name); v.set {
			break
		}
	}
	return v
}

func newMessage(vars proc.Vars) *message {
	m := &message{home: layout.Home(vars), start: time.Now()}
	for _, letter := range []byte(vars.Value("QMAILINJECT")) {
		switch letter {
		case 'c':
			m.nameInComment = true
		case 's':
			m.dropReturnPath = true
		case 'f':
			m.dropFrom = true
		case 'i':
			m.dropMessageID = true
		case 'r':
			m.verpByRecipient = true
		case 'm':
			m.verpByMessage = true
		}
	}
	m.host = firstOf(vars, "QMAILHOST", "MAILHOST")
	m.senderHost = firstOf(vars, "QMAILSHOST", "QMAILHOST", "MAILHOST")
	m.user = firstOf(vars, "QMAILUSER", "MAILUSER", "USER", "LOGNAME")
	if !m.user.set {
		m.user.value = "anonymous"
	}
	m.senderUser = m.user
	if v := firstOf(vars, "QMAILSUSER"); v.set {
		m.senderUser = v
	}
	m.fullName = firstOf(vars, "QMAILNAME", "MAILNAME", "NAME")
	return m
}

// readControls reads the control files and the variables that override them.
func (m *message) readControls(env *proc.Env) error {
	// Before the home directory: the name is relative to where we are.
	if name, ok := env.Vars.Get("QMAILMFTFILE"); ok {
		lines, ok, err := control.ReadList(fsys.OS{Root: env.Dir}, name)
		if err != nil {
			return errRead
		}
		if ok {
			m.lists = control.Set(lines)
		}
	}
	if _, err := os.Stat(m.home + "/."); err != nil {
		return errors.New("internal bug") // what C says when chdir(2) fails
	}
	files := control.Home(m.home)
	me, hasMe, err := files.Line("me")
	if err != nil {
		return errRead
	}
	if m.zone, err = files.DateZone(env.Vars); err != nil {
		return errRead
	}
	setting := func(name, variable string) (string, error) {
		line, ok, err := files.Line(name)
		switch {
		case err != nil:
			return "", errRead
		case !ok && hasMe:
			line = me
		case !ok:
			line = name // "which is probably not what you want"
		}
		if v, ok := env.Vars.Get(variable); ok {
			line = v
		}
		return line, nil
	}
	parsed := func(mark, name, variable string) ([]token822.Token, error) {
		line, err := setting(name, variable)
		if err != nil {
			return nil, err
		}
		tokens, ok := token822.Parse(mark + line)
		if !ok {
			return nil, unparsable(mark + line)
		}
		return tokens, nil
	}
	if m.defaultDot, err = parsed(".", "defaultdomain", "QMAILDEFAULTDOMAIN"); err != nil {
		return err
	}
	if m.defaultHost, err = parsed("@", "defaulthost", "QMAILDEFAULTHOST"); err != nil {
		return err
	}
	if m.plusDot, err = parsed(".", "plusdomain", "QMAILPLUSDOMAIN"); err != nil {
		return err
	}
	m.idHost, err = setting("idhost", "QMAILIDHOST")
	return err
}

// setSender is option -f.
func (m *message) setSender(addr string) error {
	quoted := quote.Address(addr)
	tokens, ok := token822.Parse(quoted)
	if !ok {
		return unparsable(quoted)
	}
	m.sender, m.hasSender = token822.Unquote(m.complete(tokens)), true
	return nil
}

// addRecipient takes an argument.
func (m *message) addRecipient(addr string) error {
	tokens, ok := token822.Parse(quote.Address(addr))
	if !ok {
		return proc.Permanent(errors.New("unable to parse address: " + strerr.Clean(addr)))
	}
	m.arguments = append(m.arguments, token822.Unquote(m.complete(tokens)))
	return nil
}

// verpStamp is what letter m adds to the sender: each message its own.
func (m *message) verpStamp() string {
	return "-" + strconv.FormatInt(m.start.Unix(), 10) + "." + strconv.Itoa(os.Getpid())
}
