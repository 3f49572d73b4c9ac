package admin

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"paperpath/internal/decimal"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/mta/control"
	"paperpath/mta/layout"
)

// QmailShowctl is the program qmail-showctl(8): it explains the configuration,
// file by file. What it prints gets pasted into mail to those who help.
var QmailShowctl = proc.Program{Name: "qmail-showctl", Run: showctl}

// file is a control file and what it means.
type file struct {
	name string
	kind byte   // n a number, s a line, m a line that control/me stands in for, l a list
	def  string // the default; of a list: what having none means
	pre  string
	post string
}

// files are those that every qmail has, in the order of qmail-showctl.c.
var files = []file{
	{"badmailfrom", 'l', "Any MAIL FROM is allowed.", "", " not accepted in MAIL FROM."},
	{"bouncefrom", 's', "MAILER-DAEMON", "Bounce user name is ", ""},
	{"bouncehost", 'm', "bouncehost", "Bounce host name is ", ""},
	{"concurrencylocal", 'n', "10", "Local concurrency is ", ""},
	{"concurrencyremote", 'n', "20", "Remote concurrency is ", ""},
	{"databytes", 'n', "0", "SMTP DATA limit is ", " bytes"},
	{"defaultdomain", 'm', "defaultdomain", "Default domain name is ", ""},
	{"defaulthost", 'm', "defaulthost", "Default host name is ", ""},
	{"doublebouncehost", 'm', "doublebouncehost", "2B recipient host: ", ""},
	{"doublebounceto", 's', "postmaster", "2B recipient user: ", ""},
	{"envnoathost", 'm', "envnoathost", "Presumed domain name is ", ""},
	{"helohost", 'm', "helohost", "SMTP client HELO host name is ", ""},
	{"idhost", 'm', "idhost", "Message-ID host name is ", ""},
	{"localiphost", 'm', "localiphost", "Local IP address becomes ", ""},
	{"locals", 'l', "Messages for me are delivered locally.", "Messages for ", " are delivered locally."},
	{"me", 's', "undefined! Uh-oh", "My name is ", ""},
	{"percenthack", 'l', "The percent hack is not allowed.", "The percent hack is allowed for user%host@", "."},
	{"plusdomain", 'm', "plusdomain", "Plus domain name is ", ""},
	{"qmqpservers", 'l', "No QMQP servers.", "QMQP server: ", "."},
	{"queuelifetime", 'n', "604800", "Message lifetime in the queue is ", " seconds"},
	{"rcpthosts", 'l', "SMTP clients may send messages to any recipient.", "SMTP clients may send messages to recipients at ", "."},
	moreHosts,
	{"smtpgreeting", 'm', "smtpgreeting", "SMTP greeting: 220 ", ""},
	{"smtproutes", 'l', "No artificial SMTP routes.", "SMTP route: ", ""},
	{"timeoutconnect", 'n', "60", "SMTP client connection timeout is ", " seconds"},
	{"timeoutremote", 'n', "1200", "SMTP client data timeout is ", " seconds"},
	{"timeoutsmtpd", 'n', "1200", "SMTP server data timeout is ", " seconds"},
	{"virtualdomains", 'l', "No virtual domains.", "Virtual domain: ", ""},
}

var moreHosts = file{"morercpthosts", 'l', "No effect.", "SMTP clients may send messages to recipients at ", "."}

// others are files of Life with qmail's scripts and of what came to qmail as
// patches: explained where they exist.
var others = []file{
	{"badhelo", 'l', "", "", " denied in HELO, as a pattern."},
	{"badmailfrom-unknown", 'l', "", "", " not accepted in MAIL FROM from host without PTR."},
	{"badmailfromnorelay", 'l', "", "", " not accepted in MAIL FROM, as a pattern, if RELAYCLIENT is not set."},
	{"badmailto", 'l', "", "", " not accepted in RCPT TO, as a pattern."},
	{"badmailtonorelay", 'l', "", "", " not accepted in RCPT TO, as a pattern, if RELAYCLIENT is not set."},
	{"badrcptto", 'l', "", "", " not accepted in RCPT TO."},
	{"bouncemaxbytes", 'n', "", "Of a message that bounces go back at most ", " bytes"},
	{"concurrencyincoming", 'n', "", "Concurrency of incoming SMTP is ", ""},
	{"conf-common", 'l', "", "For run scripts: ", ""},
	{"conf-pop3d", 'l', "", "For run scripts: ", ""},
	{"conf-qmqpd", 'l', "", "For run scripts: ", ""},
	{"conf-qmtpd", 'l', "", "For run scripts: ", ""},
	{"conf-send", 'l', "", "For run scripts: ", ""},
	{"conf-smtpd", 'l', "", "For run scripts: ", ""},
	{"datelocaltime", 'n', "0", "Dates are in local time unless this is 0: ", ""},
	{"defaultdelivery", 'l', "", "Delivery instructions without .qmail: ", ""},
	{"extraqueue", 'l', "", "Every message also goes to ", "."},
	{"holdlocal", 'n', "0", "Local deliveries are held unless this is 0: ", ""},
	{"holdremote", 'n', "0", "Remote deliveries are held unless this is 0: ", ""},
	moreBadRecipients,
	{"qmtproutes", 'l', "", "QMTP route: ", ""},
	{"rejectmultibounce", 'n', "0", "Bounces to more than one recipient are refused unless this is 0: ", ""},
	{"rejectrelaytest", 'n', "0", "Recipients that test for an open relay are refused unless this is 0: ", ""},
}

var moreBadRecipients = file{"morebadrcptto", 'l', "", "", " not accepted in RCPT TO."}

// account and groups in the order of their ids in the original's output.
var (
	users  = []string{layout.UserAlias, layout.UserDaemon, layout.UserLog, "root", layout.UserPasswd, layout.UserQueue, layout.UserRemote, layout.UserSend}
	groups = []string{layout.GroupNofiles, layout.GroupQmail}
)

func showctl(_ context.Context, env *proc.Env) error {
	home := layout.Home(env.Vars)
	r := &report{home: home, dir: control.Home(home)}
	status := r.all()
	env.Files[1].Write(r.out)
	return status
}

// report is the text so far.
type report struct {
	home  string
	dir   *control.Dir
	me    string
	hasMe bool
	out   []byte
}

func (r *report) put(texts ...string) {
	for _, text := range texts {
		r.out = append(r.out, text...)
	}
}

func (r *report) all() error {
	r.put("qmail home directory: ", r.home, ".\n",
		"user-ext delimiter: ", string(rune(layout.Break)), ".\n",
		"paternalism (in decimal): ", strconv.Itoa(layout.Patrn), ".\n",
		"silent concurrency limit: ", strconv.Itoa(layout.Spawn), ".\n",
		"subdirectory split: ", strconv.Itoa(layout.Split), ".\n")
	r.ids("user ids: ", users, func(name string) (int, error) {
		account, err := sys.LookupAccount(name)
		if err != nil {
			return 0, err
		}
		return account.UID, nil
	})
	r.ids("group ids: ", groups, sys.LookupGroup)

	for _, d := range []struct{ path, trouble string }{
		{r.home + "/.", "Unable to chdir to " + r.home},
		{r.home + "/control/.", "Unable to chdir to control"},
	} {
		if _, err := os.Stat(d.path); err != nil {
			return r.oops(d.trouble + ".\n")
		}
	}
	names, err := os.ReadDir(r.home + "/control")
	if err != nil {
		return r.oops("Unable to open current directory.\n")
	}
	if r.me, r.hasMe, err = r.dir.Line("me"); err != nil {
		return r.oops("Trouble reading control/me.")
	}
	known := []string{"morercpthosts.cdb"}
	limited := true // control/rcpthosts exists, or nobody knows
	for _, f := range files {
		known = append(known, f.name)
		if f.name == moreHosts.name && !limited {
			f.def, f.pre = "No rcpthosts; morercpthosts is irrelevant.", "No rcpthosts; doesn't matter that morercpthosts has "
		}
		exists := r.file(f)
		switch f.name {
		case "rcpthosts":
			limited = exists
		case moreHosts.name:
			r.database(moreHosts)
		}
	}
	for _, entry := range names {
		r.rest(entry.Name(), known)
	}
	return nil
}

func (r *report) oops(trouble string) error {
	r.put("Oops! ", trouble)
	return proc.Exit(proc.StatusTemporary)
}

// ids lists numbers; a system that runs under one ordinary user has none.
func (r *report) ids(title string, names []string, find func(string) (int, error)) {
	for _, name := range names {
		id := "none"
		if n, err := find(name); err == nil {
			id = strconv.Itoa(n)
		}
		r.put(title, id)
		title = ", "
	}
	r.put(".\n")
}

// file explains one file. It reports whether the file exists; one that cannot
// be read counts as existing.
func (r *report) file(f file) (exists bool) {
	r.put("\n", f.name, ": ")
	switch f.kind {
	case 'l':
		return r.list(f)
	case 'n':
		return r.number(f)
	}
	line, exists, err := r.dir.Line(f.name)
	if err != nil {
		r.put("Oops! Trouble reading this file.\n")
		return true
	}
	if !exists {
		line = f.def
		if f.kind == 'm' && r.hasMe {
			line = r.me
		}
		r.put("(Default.) ")
	}
	r.put(f.pre, visible(line), ".\n")
	return exists
}

func (r *report) number(f file) (exists bool) {
	line, exists, err := r.dir.Line(f.name)
	if err != nil {
		r.put("Oops! Trouble reading this file.\n")
		return true
	}
	value := f.def
	if n, digits := decimal.Prefix(line); digits > 0 {
		value = strconv.FormatUint(n, 10)
	} else {
		r.put("(Default.) ")
	}
	r.put(f.pre, value, f.post, ".\n")
	return exists
}

func (r *report) list(f file) (exists bool) {
	lines, exists, err := r.dir.List(f.name)
	switch {
	case err != nil:
		r.put("Oops! Trouble reading this file.\n")
		return true
	case !exists:
		r.put("(Default.) ", f.def, "\n")
		return false
	}
	r.put("\n")
	for _, line := range lines {
		r.put(f.pre, visible(line), f.post, "\n")
	}
	return true
}

// database says whether the database of a list goes with the list.
func (r *report) database(list file) {
	text, none := os.Stat(r.home + "/control/" + list.name)
	table, noTable := os.Stat(r.home + "/control/" + list.name + ".cdb")
	r.put("\n", list.name, ".cdb: ")
	switch {
	case none != nil && noTable != nil:
		r.put("(Default.) No effect.\n")
	case none != nil:
		r.put("Oops! ", list.name, ".cdb exists but ", list.name, " doesn't.\n")
	case noTable != nil:
		r.put("Oops! ", list.name, " exists but ", list.name, ".cdb doesn't.\n")
	case text.ModTime().Truncate(time.Second).After(table.ModTime()):
		r.put("Oops! ", list.name, ".cdb is older than ", list.name, ".\n")
	default:
		r.put("Modified recently enough; hopefully up to date.\n")
	}
}

// rest explains a file that not every qmail has, if anybody can.
func (r *report) rest(name string, known []string) {
	if slices.Contains(known, name) {
		return
	}
	if list, ok := strings.CutSuffix(name, ".cdb"); ok && list == moreBadRecipients.name {
		if _, err := os.Stat(r.home + "/control/" + list); err != nil {
			r.database(moreBadRecipients) // else it comes with its list
		}
		return
	}
	for _, f := range others {
		if f.name == name {
			r.file(f)
			if f == moreBadRecipients {
				r.database(f)
			}
			return
		}
	}
	r.put("\n", visible(name), ": I have no idea what this file does.\n")
}

// visible shows printable ASCII; any other byte is a question mark.
func visible(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < 32 || c > 126 {
			b[i] = '?'
		}
	}
	return string(b)
}
