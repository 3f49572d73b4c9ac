package smtpd

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
)

// mail is a message as it went to a queue in memory.
type mail struct {
	text       bytes.Buffer
	sender     string
	recipients []string
	failed     bool
	answer     string // what the queue says of a whole message
	closed     bool
}

func (m *mail) Write(p []byte) (int, error) { return m.text.Write(p) }
func (m *mail) Fail()                       { m.failed = true }
func (m *mail) Envelope(sender string)      { m.sender = sender }
func (m *mail) Recipient(addr string)       { m.recipients = append(m.recipients, addr) }
func (m *mail) PID() int                    { return 7 }
func (m *mail) Close() string {
	m.closed = true
	if m.failed {
		return "Zqq read error (#4.3.0)"
	}
	return m.answer
}

// body is the text without the Received line.
func (m *mail) body(t *testing.T) string {
	t.Helper()
	received := regexp.MustCompile(`^Received: from .*\n  by .* with SMTP; .* -0000\n`)
	text := m.text.String()
	head := received.FindString(text)
	if head == "" {
		t.Errorf("no Received line: %q", text)
	}
	return text[len(head):]
}

// wire is a client that has sent everything already and is read from in pieces.
type wire struct {
	in   string
	size int // of a piece, 0 for all
	err  error
	idle func() // called when it has said all it has to say
	out  bytes.Buffer
}

func (w *wire) Read(p []byte) (int, error) {
	if w.in == "" {
		if w.idle != nil {
			w.idle()
		}
		if w.err != nil {
			return 0, w.err
		}
		return 0, io.EOF
	}
	if w.size > 0 && len(p) > w.size {
		p = p[:w.size]
	}
	n := copy(p, w.in)
	w.in = w.in[n:]
	return n, nil
}
func (w *wire) Write(p []byte) (int, error)    { return w.out.Write(p) }
func (*wire) Close() error                     { return nil }
func (*wire) SetReadDeadline(time.Time) error  { return nil }
func (*wire) SetWriteDeadline(time.Time) error { return nil }

// home makes a qmail home directory with control files.
func home(t testing.TB, files map[string]string) fsys.FS {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, files)
	return fsys.OS{Root: dir}
}

// write makes the control files of the home directory dir.
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, "control"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "control", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var controls = map[string]string{
	"me":          "me.example\n",
	"rcpthosts":   "me.example\nlocal.example\n.sub.example\n",
	"badmailfrom": "@bad.example\nevil@worse.example\n",
}

type visit struct {
	vars   proc.Vars
	shared *budget
	answer string
	open   error
	wire
	mails []*mail
	log   string
	err   error
}

// run serves one client. CR LF is "\n" in in and out where crlf is true.
func (v *visit) run(t testing.TB, fs fsys.FS) {
	t.Helper()
	s := newSession(&v.wire, &v.wire)
	s.open = func() (message, error) {
		if v.open != nil {
			return nil, v.open
		}
		m := &mail{answer: v.answer}
		v.mails = append(v.mails, m)
		return m, nil
	}
	s.recipients.budget = v.shared
	s.say = func(text string) { v.log += text + "\n" }
	set, err := load(fs)
	if err != nil {
		t.Fatal(err)
	}
	defer set.close()
	s.configure(set, v.vars)
	v.err = s.serve()
	for _, m := range v.mails {
		if !m.closed {
			t.Error("a message was neither finished nor given up")
		}
	}
}

func crlf(s string) string   { return strings.ReplaceAll(s, "\n", "\r\n") }
func uncrlf(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

var stamp = regexp.MustCompile(`250 ok \d+ qp 7`)

const begin = "MAIL FROM:<a@x.example>\nRCPT TO:<u@local.example>\nDATA\n"

func TestDialogues(t *testing.T) {
	fs := home(t, controls)
	long := strings.Repeat("x", 1000)
	for _, tt := range []struct {
		name string
		vars proc.Vars
		in   string
		out  string // without the greeting
		mail string // sender > recipients, of the messages queued
	}{
		{"a message", nil, "EHLO x\n" + begin + "hi\n.\nQUIT\n",
			"250-me.example\n250-PIPELINING\n250 8BITMIME\n250 ok\n250 ok\n354 go ahead\n250 ok T qp P\n221 me.example\n",
			"a@x.example > u@local.example\n"},
		{"two messages, without a greeting", nil, begin + ".\n" + begin + ".\nquit\n",
			"250 ok\n250 ok\n354 go ahead\n250 ok T qp P\n250 ok\n250 ok\n354 go ahead\n250 ok T qp P\n221 me.example\n",
			"a@x.example > u@local.example\na@x.example > u@local.example\n"},
		{"commands that are no commands", nil, "\nEXPN l\nSTARTTLS\n\x00NOOP\nNOO\x00P\nMAIL\tFROM:<a>\n x\nQUIT now\nNOOP\n",
			strings.Repeat("502 unimplemented (#5.5.1)\n", 7) + "221 me.example\n", ""},
		{"commands in any case and with anything behind", nil, "nOOp x\nVRFY u\nHELP me\nRSET 1\nHELO\nEHLO\nQUIT\n",
			"250 ok\n252 send some mail, i'll try my best\n214 qmail home page: https://cr.yp.to/qmail.html\n250 flushed\n" +
				"250 me.example\n250-me.example\n250-PIPELINING\n250 8BITMIME\n221 me.example\n", ""},
		{"commands with a NUL, where the line ends", nil, "NOOP\x00x\nRSET \x00\nMAIL\x00 FROM:<>\nMAIL FROM:<>\x00SIZE=x\nRCPT TO:<u>\x00\nDATA\x00\n.\nQUIT\x00 \n",
			"250 ok\n250 flushed\n" + badSyntax + "250 ok\n250 ok\n354 go ahead\n250 ok T qp P\n221 me.example\n", " > u\n"},
		{"out of order", nil, "RCPT TO:<u>\nDATA\nMAIL FROM:<>\nDATA\n" + "QUIT\n",
			"503 MAIL first (#5.5.1)\n503 MAIL first (#5.5.1)\n250 ok\n503 RCPT first (#5.5.1)\n221 me.example\n", ""},
		{"HELO, EHLO, RSET and MAIL forget the recipients", nil,
			"MAIL FROM:<>\nRCPT TO:<u>\nHELO x\nDATA\nMAIL FROM:<>\nRCPT TO:<u>\nEHLO x\nDATA\n" +
				"MAIL FROM:<>\nRCPT TO:<u>\nRSET\nDATA\nMAIL FROM:<>\nRCPT TO:<u>\nMAIL FROM:<>\nDATA\nQUIT\n",
			"250 ok\n250 ok\n250 me.example\n503 MAIL first (#5.5.1)\n" +
				"250 ok\n250 ok\n250-me.example\n250-PIPELINING\n250 8BITMIME\n503 MAIL first (#5.5.1)\n" +
				"250 ok\n250 ok\n250 flushed\n503 MAIL first (#5.5.1)\n" +
				"250 ok\n250 ok\n250 ok\n503 RCPT first (#5.5.1)\n221 me.example\n", ""},
		{"rcpthosts", nil, "MAIL FROM:<>\nRCPT TO:<u@other.example>\nRCPT TO:<u@LOCAL.example>\nRCPT TO:<u@sub.example>\n" +
			"RCPT TO:<u@a.b.sub.example>\nRCPT TO:<u@local.example@other.example>\nRCPT TO:<u%other.example@local.example>\n" +
			"RCPT TO:<postmaster>\nRCPT TO:<u@local.example.>\nDATA\n.\n",
			"250 ok\n" + nogateway + "250 ok\n" + nogateway + "250 ok\n" + nogateway + "250 ok\n250 ok\n" + nogateway +
				"354 go ahead\n250 ok T qp P\n",
			" > u@LOCAL.example u@a.b.sub.example u%other.example@local.example postmaster\n"},
		{"RELAYCLIENT", proc.Vars{"RELAYCLIENT="}, "MAIL FROM:<>\nRCPT TO:<u@other.example>\nDATA\n.\n",
			"250 ok\n250 ok\n354 go ahead\n250 ok T qp P\n", " > u@other.example\n"},
		{"RELAYCLIENT with a suffix", proc.Vars{"RELAYCLIENT=@fix.example"}, "MAIL FROM:<>\nRCPT TO:<u>\nDATA\n.\n",
			"250 ok\n250 ok\n354 go ahead\n250 ok T qp P\n", " > u@fix.example\n"},
		{"a suffix that makes the address too long for the queue", proc.Vars{"RELAYCLIENT=" + long[:200]},
			"MAIL FROM:<>\nRCPT TO:<" + long[:850] + ">\nDATA\n",
			"250 ok\n" + badSyntax + "503 RCPT first (#5.5.1)\n", ""},
		{"badmailfrom", nil, "MAIL FROM:<u@BAD.example>\nRCPT TO:<u>\nMAIL FROM:<EVIL@worse.example>\nRCPT TO:<u>\n" +
			"DATA\nMAIL FROM:<good@worse.example>\nRCPT TO:<u>\n",
			"250 ok\n" + barf + "250 ok\n" + barf + "503 RCPT first (#5.5.1)\n250 ok\n250 ok\n", ""},
		{"a double bounce of another qmail-send", nil, "MAIL FROM:<#@[]>\nRCPT TO:<postmaster>\nDATA\n.\n",
			"250 ok\n250 ok\n354 go ahead\n250 ok T qp P\n", "#@[] > postmaster\n"},
		{"VERP is for those who may relay", nil, "MAIL FROM:<l-owner-@x.example-@[]>\nMAIL FROM:<-@[]>\nRCPT TO:<u>\nMAIL FROM:<l@[]>\n",
			reservedSender + reservedSender + "503 MAIL first (#5.5.1)\n250 ok\n", ""},
		{"and they have it", proc.Vars{"RELAYCLIENT="}, "MAIL FROM:<l-owner-@x.example-@[]>\nRCPT TO:<u@y.example>\nDATA\n.\n",
			"250 ok\n250 ok\n354 go ahead\n250 ok T qp P\n", "l-owner-@x.example-@[] > u@y.example\n"},
		{"no recipient, no sender", nil, "MAIL\nMAIL FROM:\nMAIL FROM:<>\nRCPT\nRCPT TO:\nRCPT TO:<>\n",
			badSyntax + badSyntax + "250 ok\n" + badSyntax + badSyntax + badSyntax, ""},
		{"NUL, CR and escape sequences in addresses", nil, "MAIL FROM:<a\x00@b>\nMAIL FROM:<a\rb>\nMAIL FROM:<\x1b[m>\n" +
			"MAIL FROM:<>\nRCPT TO:<u@local.example\x00@other.example>\nRCPT TO:<\x7f>\n",
			badSyntax + badSyntax + badSyntax + "250 ok\n" + badSyntax + badSyntax, ""},
		{"an address in brackets that is ours", nil, "MAIL FROM:<>\nRCPT TO:<u@[127.0.0.1]>\nRCPT TO:<u@[IPv6:::]>\nRCPT TO:<u@[192.0.2.1]>\nDATA\n.\n",
			"250 ok\n250 ok\n250 ok\n" + nogateway + "354 go ahead\n250 ok T qp P\n",
			" > u@me.example u@me.example\n"},
		{"an address that was not ours", proc.Vars{"RELAYCLIENT="}, "MAIL FROM:<>\nRCPT TO:<u@[192.0.2.1]>\nDATA\n.\n",
			"250 ok\n250 ok\n354 go ahead\n250 ok T qp P\n", " > u@[192.0.2.1]\n"},
		{"parameters that are obeyed", nil, "MAIL FROM:<> SIZE=10 BODY=8BITMIME\nMAIL FROM:<> body=7bit\n", "250 ok\n250 ok\n", ""},
		{"parameters that need not be", nil, "MAIL FROM:<> AUTH=<>\nMAIL FROM:<> AUTH=a+3Db RET=HDRS ENVID=x SIZE=1\nMAIL FROM:<> FOO\nMAIL FROM:<> RCPT TO:<x>\n" +
			"RCPT TO:<u> NOTIFY=NEVER\nRCPT TO:<v> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;v@x\nRCPT TO:<w>  \nDATA\n.\n",
			"250 ok\n250 ok\n250 ok\n250 ok\n250 ok\n250 ok\n250 ok\n354 go ahead\n250 ok T qp P\n", " > u v w\n"},
		{"parameters that cannot be obeyed", nil, "MAIL FROM:<> BODY=BINARYMIME\nMAIL FROM:<> BODY\nMAIL FROM:<> SMTPUTF8\nMAIL FROM:<> AUTH=<> RequireTLS\nRCPT TO:<u>\n",
			badSyntax + badSyntax + badSyntax + badSyntax + "503 MAIL first (#5.5.1)\n", ""},
		{"sizes", nil, "MAIL FROM:<> SIZE=\nMAIL FROM:<> SIZE=x\nMAIL FROM:<> SIZE=-1\nMAIL FROM:<> SIZE=1k\n" +
			"MAIL FROM:<> SIZE=2147483648\nMAIL FROM:<> SIZE=18446744073709551617\nMAIL FROM:<> SIZE=100000000000000000000000000\n",
			strings.Repeat("501 syntax error in SIZE (#5.5.4)\n", 4) + "250 ok\n" + toobig + "501 syntax error in SIZE (#5.5.4)\n", ""},
		{"a size over the limit", proc.Vars{"DATABYTES=100"}, "MAIL FROM:<> SIZE=101\nRCPT TO:<u>\nMAIL FROM:<> SIZE=100\n",
			toobig + "503 MAIL first (#5.5.1)\n250 ok\n", ""},
		{"as many bytes as allowed", proc.Vars{"DATABYTES=4"}, begin + "a\n..\n.\n",
			"250 ok\n250 ok\n354 go ahead\n250 ok T qp P\n", "a@x.example > u@local.example\n"},
		{"a byte more, and what comes after is understood", proc.Vars{"DATABYTES=3"}, begin + "a\n..\n.\nNOOP\n",
			"250 ok\n250 ok\n354 go ahead\n" + toobig + "250 ok\n", ""},
		{"hops", nil, begin + strings.Repeat("Received: x\n", 99) + "\n" + long + "\n.\n" + begin + strings.Repeat("Delivered-To: x\n", 100) + ".\n",
			"250 ok\n250 ok\n354 go ahead\n250 ok T qp P\n250 ok\n250 ok\n354 go ahead\n554 too many hops, this message is looping (#5.4.6)\n",
			"a@x.example > u@local.example\n"},
		{"a long line is one bad command", nil, "NOOP " + strings.Repeat("\x00x", 5000) + "\nNOOP\n",
			"500 line too long (#5.5.2)\n250 ok\n", ""},
		{"a line without end", nil, strings.Repeat("NOOP ", 300000), "500 line too long (#5.5.2)\n", ""},
		{"a browser", nil, "POST / HTTP/1.1\nHost: x\n\n" + begin + ".\n", "502 unimplemented (#5.5.1)\n", ""},
	} {
		for _, size := range []int{0, 1, 7} {
			v := visit{vars: tt.vars, wire: wire{in: crlf(tt.in), size: size}}
			v.run(t, fs)
			out := stamp.ReplaceAllString(uncrlf(v.out.String()), "250 ok T qp P")
			if want := "220 me.example ESMTP\n" + tt.out; out != want {
				t.Errorf("%s, in pieces of %d:\n got %q\nwant %q", tt.name, size, out, want)
			}
			var mails strings.Builder
			for _, m := range v.mails {
				if !m.failed {
					mails.WriteString(m.sender + " > " + strings.Join(m.recipients, " ") + "\n")
				}
			}
			if mails.String() != tt.mail {
				t.Errorf("%s, in pieces of %d: queued %q, want %q", tt.name, size, mails.String(), tt.mail)
			}
			if quit := strings.Contains(out, "221 "); quit != (v.err == nil) {
				t.Errorf("%s: %v after %q", tt.name, v.err, out)
			}
		}
	}
}

const (
	nogateway      = "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)\n"
	barf           = "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)\n"
	reservedSender = "553 sorry, that envelope sender is reserved (#5.1.7)\n"
	toobig         = "552 sorry, that message size exceeds my databytes limit (#5.3.4)\n"
	badSyntax      = "555 syntax error (#5.5.4)\n"
)

// What the queue says reaches the client, and never as success.
func TestAnswers(t *testing.T) {
	fs := home(t, controls)
	for _, tt := range []struct {
		answer string
		open   error
		want   string
	}{
		{answer: "Dmail server permanently rejected message (#5.3.0)", want: "354 go ahead\r\n554 mail server permanently rejected message (#5.3.0)\r\n"},
		{answer: "Zqq write error or disk full (#4.3.0)", want: "354 go ahead\r\n451 qq write error or disk full (#4.3.0)\r\n"},
		{open: errors.New("no pipe"), want: "451 qqt failure (#4.3.0)\r\n"},
	} {
		v := visit{answer: tt.answer, open: tt.open, wire: wire{in: crlf(begin + "x\n.\nDATA\n")}}
		v.run(t, fs)
		if out := v.out.String(); !strings.Contains(out, "\r\n"+tt.want) {
			t.Errorf("%q, %v: %q, want %q", tt.answer, tt.open, out, tt.want)
		}
	}
}

// A client that stops in the middle leaves nothing behind and is told why, if
// it can hear.
func TestBrokenOff(t *testing.T) {
	fs := home(t, controls)
	for _, tt := range []struct {
		name, in, last string
		err            error
	}{
		{"gone before the dot", begin + "text\n", "354 go ahead\r\n", nil},
		{"gone behind the dot", begin + "text\n.", "354 go ahead\r\n", nil},
		{"connection reset", begin + "text\n", "354 go ahead\r\n", errors.New("reset")},
		{"silent in the text", begin + "text\n", "451 timeout (#4.4.2)\r\n", os.ErrDeadlineExceeded},
		{"silent in a command", "NOOP\nNOO", "451 timeout (#4.4.2)\r\n", os.ErrDeadlineExceeded},
		{"gone in a command", "NOOP\nQUIT", "250 ok\r\n", nil},
		{"LF without CR", begin + "text\n" + "a\x00LF", "451 See https://cr.yp.to/docs/smtplf.html.\r\n", nil},
	} {
		v := visit{wire: wire{in: strings.ReplaceAll(crlf(tt.in), "\x00LF", "\n.\nQUIT\r\n"), err: tt.err}}
		v.run(t, fs)
		if out := v.out.String(); !strings.HasSuffix(out, tt.last) || v.err != errEnd {
			t.Errorf("%s: %q, %v; want %q at the end", tt.name, out, v.err, tt.last)
		}
		for _, m := range v.mails {
			if !m.failed {
				t.Errorf("%s: a message was queued", tt.name)
			}
		}
	}
}

func TestReceivedLine(t *testing.T) {
	fs := home(t, controls)
	vars := proc.Vars{"TCPREMOTEHOST=client.example", "TCPREMOTEIP=192.0.2.7", "TCPLOCALHOST=here.example"}
	for _, tt := range []struct{ helo, want string }{
		{"", "Received: from client.example (192.0.2.7)\n  by here.example with SMTP; "},
		{"HELO CLIENT.example\r\n", "Received: from client.example (192.0.2.7)\n"},
		{"EHLO other\r\n", "Received: from client.example (HELO other) (192.0.2.7)\n"},
		{"HELO a b\x1b(c)\x01\x00d\r\n", "Received: from client.example (HELO a?b??c??) (192.0.2.7)\n"},
		{"HELO\r\n", "Received: from client.example (HELO ) (192.0.2.7)\n"},
	} {
		v := visit{vars: vars, wire: wire{in: tt.helo + crlf(begin+"x\n.\n")}}
		v.run(t, fs)
		if len(v.mails) != 1 || !strings.HasPrefix(v.mails[0].text.String(), tt.want) || v.mails[0].body(t) != "x\n" {
			t.Errorf("%q: %q", tt.helo, v.mails[0].text.String())
		}
	}
}

func TestManyRecipients(t *testing.T) {
	fs := home(t, controls)
	const n = 5000
	in := "MAIL FROM:<>\n" + strings.Repeat("RCPT TO:<u@local.example>\n", n) + "DATA\n.\n"
	v := visit{wire: wire{in: crlf(in)}}
	v.run(t, fs)
	if len(v.mails) != 1 || len(v.mails[0].recipients) != n {
		t.Fatalf("%d messages", len(v.mails))
	}
	// Without bound they would be the client's way to our memory.
	in = "MAIL FROM:<>\n" + strings.Repeat("RCPT TO:<"+strings.Repeat("u", 800)+">\n", 6000)
	v = visit{wire: wire{in: crlf(in)}}
	v.run(t, fs)
	if got := strings.Count(v.out.String(), "250 ok\r\n"); got < 5000 || got > maxEnvelope/800 {
		t.Errorf("%d recipients taken", got)
	}
	if !strings.HasSuffix(v.out.String(), "452 too many recipients (#4.5.3)\r\n") {
		t.Errorf("the last reply: %q", v.out.String()[v.out.Len()-50:])
	}
}

func TestConfiguration(t *testing.T) {
	with := func(extra map[string]string) map[string]string {
		m := map[string]string{"me": "me.example\n"}
		for k, v := range extra {
			m[k] = v
		}
		return m
	}
	for _, tt := range []struct {
		name  string
		files map[string]string
		in    string
		want  string
	}{
		{"smtpgreeting", with(map[string]string{"smtpgreeting": "hi there  \n"}), "HELO\n", "220 hi there ESMTP\n250 hi there\n"},
		{"smtpgreeting without me", map[string]string{"smtpgreeting": "hi\n"}, "", "220 hi ESMTP\n"},
		{"localiphost", with(map[string]string{"localiphost": "lip.example\n", "rcpthosts": "lip.example\n"}),
			"MAIL FROM:<>\nRCPT TO:<u@[127.0.0.1]>\n", "220 me.example ESMTP\n250 ok\n250 ok\n"},
		{"without rcpthosts everything goes", with(nil), "MAIL FROM:<>\nRCPT TO:<u@any.example>\n", "220 me.example ESMTP\n250 ok\n250 ok\n"},
		{"databytes", with(map[string]string{"databytes": "2\n"}), "MAIL FROM:<>\nRCPT TO:<u>\nDATA\nab\n.\n",
			"220 me.example ESMTP\n250 ok\n250 ok\n354 go ahead\n" + toobig},
		{"a damaged morercpthosts.cdb stops those who need it", with(map[string]string{"rcpthosts": "l.example\n", "morercpthosts.cdb": "x"}),
			"MAIL FROM:<>\nRCPT TO:<u@l.example>\nRCPT TO:<u@m.example>\nNOOP\n",
			"220 me.example ESMTP\n250 ok\n250 ok\n421 unable to read controls (#4.3.0)\n"},
	} {
		v := visit{wire: wire{in: crlf(tt.in)}}
		v.run(t, home(t, tt.files))
		if out := uncrlf(v.out.String()); out != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, out, tt.want)
		}
	}
}

// A session is a function of the bytes, not of how they were cut; every reply
// is one; every 354 has its message, with the text that the plainest reader
// finds; nothing goes to the queue that could be read as another record.
func FuzzSession(f *testing.F) {
	f.Add("EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<u>\r\nDATA\r\n..x\r\n.\r\nQUIT\r\n", 3)
	f.Add("mail <>\nrcpt <@a:\"u x\"@local.example>\ndata\na\rb\r\n.\r\nrset\n", 1)
	f.Add("MAIL FROM:<> SIZE=99999999999999999999\r\nRCPT TO:<u@[127.0.0.1]>\r\nDATA\r\n\n", 5)
	lists := maps.Clone(controls)
	lists["badmailto"] = "[%#]\n!.\n"
	lists["badrcptto"] = "gone@local.example\n"
	lists["rejectrelaytest"] = "1\n"
	lists["databytes"] = "1000\n"
	fs := home(f, lists)
	reply := regexp.MustCompile(`^(\d{3}[ -][^\x00-\x1f\x7f]*\r\n)*$`)
	f.Fuzz(func(t *testing.T, in string, size int) {
		whole := visit{wire: wire{in: in}}
		whole.run(t, fs)
		pieces := visit{wire: wire{in: in, size: 1 + int(uint(size)%100)}}
		pieces.run(t, fs)

		out := stamp.ReplaceAllString(whole.out.String(), "250 ok")
		if out != stamp.ReplaceAllString(pieces.out.String(), "250 ok") || !errors.Is(whole.err, pieces.err) {
			t.Errorf("%q: %q, in pieces of %d %q", in, out, pieces.size, pieces.out.String())
		}
		if !reply.MatchString(out) {
			t.Errorf("%q: bad replies %q", in, out)
		}
		if n := strings.Count(out, "354 go ahead\r\n"); n != len(whole.mails) {
			t.Errorf("%q: %d times 354, %d messages", in, n, len(whole.mails))
		}
		rest := in
		for i, m := range whole.mails {
			for _, a := range append(slices.Clone(m.recipients), m.sender) {
				if strings.ContainsFunc(a, func(r rune) bool { return r < ' ' || r == 127 }) || len(a) > maxAddress+len("me.example") {
					t.Errorf("%q: address %q", in, a)
				}
			}
			if i < len(pieces.mails) && m.failed != pieces.mails[i].failed {
				t.Errorf("%q: message %d fails or not, as it was cut", in, i)
			}
			if m.failed {
				continue
			}
			if rest = afterData(t, rest, m.body(t)); rest == "" && i < len(whole.mails)-1 {
				t.Errorf("%q: message %d not found", in, i)
			}
		}
	})
}

// afterData finds, behind a line that may be the DATA command, a text that the
// reference reads as body, and returns what follows.
func afterData(t *testing.T, in, body string) string {
	for from := 0; ; {
		i := strings.IndexByte(in[from:], '\n')
		if i < 0 {
			t.Errorf("no text in %q that means %q", in, body)
			return ""
		}
		line := in[from : from+i]
		from += i + 1
		if len(line) < 4 || !strings.EqualFold(line[:4], "data") {
			continue
		}
		if text, used, err := reference(in[from:]); err == nil && text == body {
			return in[from+used:]
		}
	}
}

// dripping is a client that is never silent for long.
type dripping struct {
	wire
	deadlines []time.Time
}

func (d *dripping) Read(p []byte) (int, error) { p[0] = 'x'; return 1, nil }
func (d *dripping) SetReadDeadline(t time.Time) error {
	d.deadlines = append(d.deadlines, t)
	return nil
}

func TestDeadlines(t *testing.T) {
	d := &dripping{}
	in := input{file: d, timeout: time.Hour, before: func() error { return nil }}
	start := time.Now()
	if _, err := in.line(); err != errVeryLong {
		t.Fatal(err)
	}
	for _, got := range d.deadlines {
		if got != d.deadlines[0] || got.Sub(start) < time.Hour {
			t.Fatalf("a byte bought time: %v after %v", got, d.deadlines[0])
		}
	}
	d.deadlines = nil
	end := start.Add(90 * time.Minute)
	for range 2 {
		if _, err := in.chunk(end); err != nil {
			t.Fatal(err)
		}
		end = start.Add(time.Minute)
	}
	if d.deadlines[0].Sub(start) < time.Hour || d.deadlines[0].After(start.Add(90*time.Minute)) || d.deadlines[1] != end {
		t.Errorf("%v from %v", d.deadlines, start)
	}
}

// What the patches added, and in which order it is looked at.
func TestRefusals(t *testing.T) {
	const (
		helo   = "553 sorry, your HELO host name has been denied (#5.7.1)\n"
		sender = "553 sorry, your envelope sender has been denied (#5.7.1)\n"
		rcpt   = "553 sorry, your envelope recipient has been denied (#5.7.1)\n"
		listed = "553 sorry, your envelope recipient is in my badrcptto list (#5.7.1)\n"
		relay  = "553 we don't relay (#5.7.1)\n"
		noName = "553 sorry, your mail from a host [192.0.2.7] without valid reverse DNS was administratively denied (#5.7.1)\n"
		multi  = "550 sorry, bounce messages should have a single envelope recipient (#5.7.1)\n"
		taken  = "354 go ahead\n250 ok T qp P\n"
		ok     = "250 ok\n"
	)
	ip := proc.Vars{"TCPREMOTEIP=192.0.2.7", "TCPREMOTEHOST=client.example"}
	relaying := append(ip.Clone(), "RELAYCLIENT=")
	noDNS := proc.Vars{"TCPREMOTEIP=192.0.2.7"}
	for _, tt := range []struct {
		name string
		file string
		text string
		vars proc.Vars
		in   string
		out  string // without the greeting
		log  string
	}{
		{"badmailfrom", "badmailfrom", "!@\n\\.bad\\.\n@plain.example\n", ip,
			"MAIL FROM:<u@a.bad.example>\nRCPT TO:<u>\nRCPT TO:<u>\nMAIL FROM:<u>\nRCPT TO:<u>\nMAIL FROM:<>\nRCPT TO:<u>\n" +
				"MAIL FROM:<u@plain.example>\nRCPT TO:<u>\nMAIL FROM:<u@plain.example.org>\nRCPT TO:<u>\n",
			ok + sender + sender + ok + sender + ok + ok + ok + barf + ok + ok,
			"badmailfrom: <u@a.bad.example> at 192.0.2.7\nbadmailfrom: <u@a.bad.example> at 192.0.2.7\nbadmailfrom: <u> at 192.0.2.7\n"},
		{"badmailfrom, for whoever sends", "badmailfrom", "!@", relaying, "MAIL FROM:<u>\nRCPT TO:<u>\n", ok + sender, "badmailfrom: <u> at 192.0.2.7\n"},
		{"badmailfromnorelay", "badmailfromnorelay", "@local", ip, "MAIL FROM:<u@LOCAL.example>\nRCPT TO:<u>\nMAIL FROM:<>\nRCPT TO:<u>\n",
			ok + sender + ok + ok, "badmailfrom: <u@LOCAL.example> at 192.0.2.7\n"},
		{"badmailfromnorelay of a client that may relay", "badmailfromnorelay", "@local", relaying,
			"MAIL FROM:<u@local.example>\nRCPT TO:<u>\n", ok + ok, ""},
		{"badmailfrom-unknown", "badmailfrom-unknown", "@big.example\nroot@\nu@x.example", noDNS,
			"MAIL FROM:<u@BIG.example>\nRCPT TO:<u>\nMAIL FROM:<root@other.example>\nMAIL FROM:<u@x.example>\nMAIL FROM:<v@x.example>\nMAIL FROM:<>\n",
			noName + "503 MAIL first (#5.5.1)\n" + noName + noName + ok + ok, ""},
		{"badmailfrom-unknown of a client with a name", "badmailfrom-unknown", "@big.example", ip, "MAIL FROM:<u@big.example>\n", ok, ""},
		{"badhelo", "badhelo", "!\\.", ip, "MAIL FROM:<>\nRCPT TO:<u>\nHELO x\x1b\nMAIL FROM:<>\nRCPT TO:<u>\nEHLO x.example\nMAIL FROM:<>\nRCPT TO:<u>\n",
			ok + ok + "250 me.example\n" + ok + helo + "250-me.example\n250-PIPELINING\n250 8BITMIME\n" + ok + ok, "badhelo: <x?> at 192.0.2.7\n"},
		{"NOBADHELO", "badhelo", "x", append(ip.Clone(), "NOBADHELO="), "HELO x\nMAIL FROM:<>\nRCPT TO:<u>\n", "250 me.example\n" + ok + ok, ""},
		{"badmailto", "badmailto", "[!%#:*^(){}]\n@.*@\n^no@", append(relaying.Clone(), "LOGREGEX="),
			"MAIL FROM:<>\nRCPT TO:<a%b@c>\nRCPT TO:<a@b@c>\nRCPT TO:<no@other>\nRCPT TO:<u@other>\nRCPT TO:<ano@other>\n",
			ok + rcpt + rcpt + rcpt + ok + ok,
			"badmailto: <a%b@c> matches pattern: [!%#:*^(){}]\nbadmailto: <a@b@c> matches pattern: @.*@\nbadmailto: <no@other> matches pattern: ^no@\n"},
		{"badmailto comes before rcpthosts", "badmailto", "other", ip, "MAIL FROM:<>\nRCPT TO:<u@other.example>\n", ok + rcpt, "badmailto: <u@other.example> at 192.0.2.7\n"},
		{"badmailtonorelay", "badmailtonorelay", "^private@", ip, "MAIL FROM:<>\nRCPT TO:<private@local.example>\n", ok + rcpt, "badmailto: <private@local.example> at 192.0.2.7\n"},
		{"badmailtonorelay of a client that may relay", "badmailtonorelay", "^private@", relaying, "MAIL FROM:<>\nRCPT TO:<private@local.example>\n", ok + ok, ""},
		{"badrcptto", "badrcptto", "Gone@local.example\n@sub.local.example\n^x.*y@\n", ip,
			"MAIL FROM:<>\nRCPT TO:<gone@LOCAL.example>\nRCPT TO:<agone@local.example>\nRCPT TO:<u@sub.local.example>\nRCPT TO:<xay@local.example>\n",
			ok + listed + ok + listed + listed,
			"badrcptto: <gone@LOCAL.example> at 192.0.2.7\nbadrcptto: <u@sub.local.example> at 192.0.2.7\nbadrcptto: <xay@local.example> at 192.0.2.7\n"},
		{"badrcptto, for whoever sends", "badrcptto", "u@x", relaying, "MAIL FROM:<>\nRCPT TO:<u@x>\n", ok + listed, "badrcptto: <u@x> at 192.0.2.7\n"},
		{"rejectrelaytest", "rejectrelaytest", "1", ip,
			"MAIL FROM:<>\nRCPT TO:<a%b@local.example>\nRCPT TO:<a!b@local.example>\nRCPT TO:<a@b@local.example>\nRCPT TO:<a%b>\nRCPT TO:<a@local.example>\n",
			ok + relay + relay + relay + relay + ok, ""},
		{"rejectrelaytest of a client that may relay", "rejectrelaytest", "1", relaying, "MAIL FROM:<>\nRCPT TO:<a%b@x>\n", ok + ok, ""},
		{"rejectmultibounce", "rejectmultibounce", "1", ip,
			"MAIL FROM:<>\nRCPT TO:<a@local.example>\nRCPT TO:<b@local.example>\nDATA\nMAIL FROM:<>\nRCPT TO:<a@local.example>\nDATA\n.\n" +
				"MAIL FROM:<x>\nRCPT TO:<a@local.example>\nRCPT TO:<b@local.example>\nDATA\n.\n",
			ok + ok + ok + multi + ok + ok + taken + ok + ok + ok + taken, ""},
		{"rejectmultibounce 0", "rejectmultibounce", "0", ip,
			"MAIL FROM:<>\nRCPT TO:<a@local.example>\nRCPT TO:<b@local.example>\nDATA\n.\n", ok + ok + ok + taken, ""},
		{"rejectrelaytest 0", "rejectrelaytest", "0", ip, "MAIL FROM:<>\nRCPT TO:<a%b@local.example>\n", ok + ok, ""},
		{"databytes", "databytes", "1000", ip, "EHLO x\nMAIL FROM:<> SIZE=1001\nMAIL FROM:<> SIZE=1000\n",
			"250-me.example\n250-PIPELINING\n250-SIZE 1000\n250 8BITMIME\n" + toobig + ok, ""},
		{"databytes 0", "databytes", "0", ip, "EHLO x\n", "250-me.example\n250-PIPELINING\n250 8BITMIME\n", ""},
		{"DATABYTES", "databytes", "1000", append(ip.Clone(), "DATABYTES=0"), "EHLO x\n", "250-me.example\n250-PIPELINING\n250 8BITMIME\n", ""},
		{"a damaged morebadrcptto.cdb", "morebadrcptto.cdb", "x", ip, "MAIL FROM:<>\nRCPT TO:<u>\nNOOP\n", ok + "421 unable to read controls (#4.3.0)\n", ""},
	} {
		v := visit{vars: tt.vars, wire: wire{in: crlf(tt.in)}}
		v.run(t, home(t, map[string]string{"me": "me.example\n", "rcpthosts": "local.example\n.local.example\n", tt.file: tt.text}))
		if got, want := stamp.ReplaceAllString(uncrlf(v.out.String()), "250 ok T qp P"), "220 me.example ESMTP\n"+tt.out; got != want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, want)
		}
		if v.log != tt.log {
			t.Errorf("%s: logged %q, want %q", tt.name, v.log, tt.log)
		}
	}
}

// drip is a client that sends a message a byte at a time.
type drip struct {
	wire
	deadlines []time.Time // of the reads of the text
}

func (d *drip) SetReadDeadline(t time.Time) error {
	if strings.HasSuffix(d.out.String(), "354 go ahead\r\n") {
		d.deadlines = append(d.deadlines, t)
	}
	return nil
}

// qmail-queue is gone after a day, and until then the session is somebody's
// process: bytes in time do not keep it longer.
func TestMessageMustComeWithinADay(t *testing.T) {
	files := maps.Clone(controls)
	files["timeoutsmtpd"] = "1000000\n"
	set, err := load(home(t, files))
	if err != nil {
		t.Fatal(err)
	}
	defer set.close()
	d := &drip{wire: wire{in: crlf(begin + "hello\n.\n"), size: 1}}
	s := newSession(d, d)
	s.open = func() (message, error) { return &mail{}, nil }
	s.configure(set, nil)
	start := time.Now()
	s.serve()
	if len(d.deadlines) < 5 {
		t.Fatalf("%d reads", len(d.deadlines))
	}
	for _, got := range d.deadlines {
		if got != d.deadlines[0] || got.Sub(start) < maxTransfer || time.Until(got) > maxTransfer {
			t.Errorf("a read until %v, the first until %v, from %v", got, d.deadlines[0], start)
		}
	}
}
