package swap

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"paperpath"
	"paperpath/internal/programs"
)

// Where C programs come from.
const (
	notqmail = "notqmail"
	debian   = "Debian's daemontools and ucspi-tcp"
)

// An original is the C program by the name of one of ours.
type original struct {
	from string // "" if there is none to run
	by   string // who runs it, if not the scenario itself
	not  string // why there is none, or why the scenario does not run it
}

// originals lists every program of PROGRAMS, and C programs besides that the
// scenario runs.
var originals = map[string]original{
	"svscan":        {from: debian, by: "svscanboot"},
	"supervise":     {from: debian, by: "svscan"},
	"svc":           {from: debian},
	"svok":          {from: debian},
	"svstat":        {from: debian},
	"multilog":      {from: debian},
	"tai64n":        {from: debian},
	"tai64nlocal":   {from: debian},
	"setuidgid":     {from: debian},
	"envdir":        {from: debian},
	"softlimit":     {from: debian},
	"setlock":       {from: debian},
	"envuidgid":     {from: debian},
	"pgrphack":      {from: debian},
	"fghack":        {from: debian},
	"readproctitle": {from: debian},
	"svscanboot":    {from: debian},

	"tcpserver":     {from: debian},
	"tcprules":      {from: debian},
	"tcprulescheck": {from: debian},
	"tcpclient":     {from: debian},
	"mconnect":      {from: debian},
	"mconnect-io":   {from: debian},
	"tcpcat":        {from: debian},
	"who@":          {from: debian},
	"date@":         {from: debian},
	"finger@":       {from: debian},
	"http@":         {from: debian},
	"recordio":      {from: debian},
	"fixcrio":       {from: debian},
	"addcr":         {from: debian},
	"delcr":         {from: debian},
	"argv0":         {from: debian},
	"rblsmtpd":      {from: debian},

	"qmail-queue":   {from: notqmail, by: "qmail-inject"},
	"qmail-inject":  {from: notqmail},
	"sendmail":      {from: notqmail},
	"qmail-smtpd":   {from: notqmail},
	"qmail-start":   {from: notqmail},
	"qmail-send":    {from: notqmail, by: "qmail-start"},
	"qmail-clean":   {from: notqmail, by: "qmail-start"},
	"qmail-lspawn":  {from: notqmail, by: "qmail-start"},
	"qmail-rspawn":  {from: notqmail, by: "qmail-start"},
	"qmail-getpw":   {from: notqmail},
	"qmail-local":   {from: notqmail},
	"qmail-remote":  {from: notqmail},
	"qmail-newu":    {from: notqmail},
	"qmail-pw2u":    {from: notqmail},
	"qmail-showctl": {from: notqmail},
	"qmail-newmrh":  {from: notqmail},
	"qmail-tcpto":   {from: notqmail},
	"qmail-tcpok":   {from: notqmail},
	"qmail-qread":   {from: notqmail},
	"qmail-qstat":   {from: notqmail},
	"qmail-qmtpd":   {from: notqmail},
	"qmail-qmqpd":   {from: notqmail},
	"qmail-qmqpc":   {from: notqmail},
	"qmail-popup":   {from: notqmail},
	"qmail-pop3d":   {from: notqmail},
	"splogger":      {from: notqmail},
	"tcp-env":       {from: notqmail},
	"maildirmake":   {from: notqmail},
	"maildir2mbox":  {from: notqmail},
	"forward":       {from: notqmail},
	"except":        {from: notqmail},
	"bouncesaying":  {from: notqmail},
	"condredirect":  {from: notqmail},
	"preline":       {from: notqmail},
	"predate":       {from: notqmail},
	"datemail":      {from: notqmail},
	"mailsubj":      {from: notqmail},
	"qreceipt":      {from: notqmail},
	"qbiff":         {from: notqmail},
	// These stay in the directory in which notqmail is compiled.
	"dnsip":     {from: notqmail},
	"dnsptr":    {from: notqmail},
	"dnsfq":     {from: notqmail},
	"hostname":  {from: notqmail},
	"ipmeprint": {from: notqmail},

	"dnsmxip":     {not: "of qmail 1.03; notqmail has it no more"},
	"dnscname":    {not: "of qmail 1.03; notqmail has it no more"},
	"qmail-upq":   {not: "moves the queue of a qmail older than these"},
	"instpackage": {not: "installs what the table HIER says, as notqmail's installs what its hier.c says: another system"},
	"instcheck":   {not: "checks what the table HIER says"},

	"cyclog":    {not: "of daemontools 0.53, which Debian never had"},
	"usually":   {not: "of daemontools 0.53"},
	"accustamp": {not: "of daemontools 0.53"},
	"tailocal":  {not: "of daemontools 0.53"},
	"setuser":   {not: "of daemontools 0.53"},
	"errorsto":  {not: "of daemontools 0.53"},
	"svwait":    {not: "ours"},

	"qmail-newbrt":      {not: "of a patch that notqmail has not taken"},
	"checkpassword":     {not: "Debian has none that is djb's; ours is in every run"},
	"checkpassword-set": {not: "ours"},
	"cmd5checkpw":       {not: "Debian has none"},
}

// Every program of PROGRAMS is exchanged, and the scenario or one of its
// programs names it, or there is a reason. TestSwap goes further: it asks the
// kernel whether the program was executed.
func TestOriginals(t *testing.T) {
	table, err := programs.Parse(paperpath.PROGRAMS)
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]bool{}
	for _, p := range table {
		ours[p.Name] = true
		if _, ok := originals[p.Name]; !ok {
			t.Errorf("%s is in PROGRAMS, and nothing says whether there is a C program to exchange it for", p.Name)
		}
	}
	text := scenarioText(t)
	for name, o := range originals {
		if (o.from == "") == (o.not == "") {
			t.Errorf("%s: either there is an original, or a reason why there is none", name)
		}
		if o.from == "" && !ours[name] {
			t.Errorf("%s is nobody's program", name)
		}
		if o.from != "" && o.by == "" && !names(text, name) {
			t.Errorf("%s does not occur in the scenario", name)
		}
		if o.by != "" && originals[o.by].from == "" {
			t.Errorf("%s is run by %s, which is not exchanged", name, o.by)
		}
	}
}

// names reports whether name is a word of text.
func names(text, name string) bool {
	return regexp.MustCompile(`(?m)(^|[^-@\w])` + regexp.QuoteMeta(name) + `($|[^-@\w])`).MatchString(text)
}

// scenarioText returns the commands of the scenario without its comments.
func scenarioText(t *testing.T) string {
	var text strings.Builder
	err := fs.WalkDir(scenario, "scenario", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		part, err := fs.ReadFile(scenario, path)
		text.Write(part)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^#.*`).ReplaceAllString(text.String(), "")
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		text string
		want bool
	}{
		{"svc -t x", true}, {"a | svc", true}, {"(svc)", true}, {"qmail/bin/svc\n", true},
		{"", false}, {"svcs", false}, {"x-svc", false}, {"svc-x", false}, {"svc@", false},
	} {
		if got := names(c.text, "svc"); got != c.want {
			t.Errorf("%q: %v", c.text, got)
		}
	}
}
