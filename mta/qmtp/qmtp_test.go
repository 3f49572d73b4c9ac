package qmtp

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"paperpath/internal/netstring"
	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/mta/queue/queuetest"
)

// mail is one message as a client sends it.
func mail(text, sender string, recipients ...string) string {
	b := netstring.Append(nil, text)
	b = netstring.Append(b, sender)
	var all []byte
	for _, r := range recipients {
		all = netstring.Append(all, r)
	}
	return string(netstring.Append(b, all))
}

func run(q *queuetest.Queue, in string, vars ...string) proctest.Result {
	return proctest.Run(&QmailQmtpd, proctest.Case{In: in, Vars: append(append(proc.Vars{}, q.Vars...), vars...)})
}

var success = regexp.MustCompile(`\d+:Kok \d+ qp \d+,`)

func answers(r proctest.Result) string { return success.ReplaceAllString(r.Out, "K,") }

const (
	no     = "66:Dsorry, that domain isn't in my list of allowed rcpthosts (#5.7.1),"
	never  = "46:Dsorry, I can't handle that recipient (#5.1.3),"
	tooBig = "61:Dsorry, that message size exceeds my databytes limit (#5.3.4),"
)

func TestMessage(t *testing.T) {
	long := strings.Repeat("x", 999)
	for what, c := range map[string]struct {
		in       string
		vars     []string
		body     string
		envelope string
		answers  string
	}{
		"plain":         {mail("\nSubject: a\n\nb\rc\r\n", "s@x", "a@ours"), nil, "Subject: a\n\nb\rc\r\n", "Fs@x|Ta@ours||", "K,"},
		"coded by CR":   {mail("\rSubject: a\r\n\r\nb\rc\n\r\r\n\r", "", "a@ours"), nil, "Subject: a\n\nb\rc\n\r\n\r", "F|Ta@ours||", "K,"},
		"not ours":      {mail("\n", "s", "a@theirs", "b@ours", "", "c"), nil, "", "Fs|Tb@ours|T|Tc||", no + "K,K,K,"},
		"no addresses":  {mail("\n", "s", "a\x00b@ours", long+"x", "a@ours", "a\x00b@theirs"), nil, "", "Fs|Ta@ours||", never + never + "K," + no},
		"a relay":       {mail("\n", "s", "a@theirs", long[:998]), []string{"RELAYCLIENT=@r"}, "", "Fs|Ta@theirs@r||", "K," + never},
		"small enough":  {mail("\r12345\r\n", "s", "a@ours"), []string{"DATABYTES=6"}, "12345\n", "Fs|Ta@ours||", "K,"},
		"a long sender": {mail("\n", long, "a@ours"), nil, "", "F" + long + "|Ta@ours||", "K,"},
	} {
		q := queuetest.New(t, "0")
		q.Control("rcpthosts", "ours\n")
		r := run(q, c.in, append(c.vars, "TCPREMOTEHOST=h", "TCPREMOTEIP=192.0.2.1", "TCPLOCALHOST=l")...)
		if r.Status != 0 || answers(r) != c.answers || r.Err != "" {
			t.Errorf("%s: status %d, %q, %q", what, r.Status, r.Out, r.Err)
		}
		head, body, _ := strings.Cut(q.Message(), " -0000\n")
		if !strings.HasPrefix(head, "Received: from h (192.0.2.1)\n  by l with QMTP; ") || body != c.body {
			t.Errorf("%s: message %q %q", what, head, body)
		}
		if got := q.Envelope(); got != c.envelope {
			t.Errorf("%s: envelope %q", what, got)
		}
	}
}

// What is wrong with a message as a whole is every recipient's answer, and
// nothing is queued.
func TestRefused(t *testing.T) {
	for what, c := range map[string]struct{ in, answers, vars string }{
		"too big":          {mail("\n1234567", "s", "a@ours", "a@theirs"), tooBig + no, "DATABYTES=6"},
		"too big, decoded": {mail("\r1\r23456", "s", "a@ours"), tooBig, "DATABYTES=6"},
		"a bad sender":     {mail("\n", "s\x00t", "a@ours"), "29:Dunacceptable sender (#5.1.7),", "X="},
		"a huge sender":    {mail("\n", strings.Repeat("x", 1000), "a@ours"), "29:Dunacceptable sender (#5.1.7),", "X="},
		"a loop":           {mail("\n"+strings.Repeat("Received: x\n", 100), "s", "a@ours"), "48:Dtoo many hops, this message is looping (#5.4.6),", "X="},
		"nobody":           {mail("\n", "s"), "", "X="},
		"nobody of ours":   {mail("\n", "s", "a@theirs"), no, "X="},
	} {
		q := queuetest.New(t, "0")
		q.Control("rcpthosts", "ours\n")
		if r := run(q, c.in, c.vars); r.Status != 0 || r.Out != c.answers {
			t.Errorf("%s: status %d, %q", what, r.Status, r.Out)
		}
		if strings.HasSuffix(q.Envelope(), "||") {
			t.Errorf("%s: it is queued", what)
		}
	}
	for status, answer := range map[string]string{
		"31": "51:Dmail server permanently rejected message (#5.3.0),",
		"53": "44:Zqq write error or disk full (#4.3.0),",
	} {
		if r := run(queuetest.New(t, status), mail("\n", "s", "a")); r.Out != answer && !strings.HasSuffix(r.Out, answer[3:]) {
			t.Errorf("%s: %q", status, r.Out)
		}
	}
}

// Messages follow each other without a pause; the answers keep their order.
func TestMessages(t *testing.T) {
	q := queuetest.New(t, "0")
	q.Control("rcpthosts", "ours\n")
	r := run(q, mail("\n1\n", "s", "a@ours", "b@theirs")+mail("\n2\n", "s", "c@ours")+mail("\n3\n", "s", "d@theirs"))
	if want := "K," + no + "K," + no; r.Status != 0 || answers(r) != want {
		t.Errorf("status %d, %q", r.Status, r.Out)
	}
}

func TestNonsense(t *testing.T) {
	whole := mail("\ntext", "s", "a@b")
	for in, status := range map[string]int{
		"":                                  0,
		"x":                                 100,
		"0:,":                               100,
		"5:xtext,":                          100,
		strings.Replace(whole, ",", ";", 1): 100,
		"99999999999999:":                   111,
		"5:\ntext,1:s,5:3:abc,":             100, // a recipient that reaches out of its list
		"5:\ntext,1:s,99999999999:":         111,
		whole + "?":                         100,
	} {
		if r := run(queuetest.New(t, "0"), in); r.Status != status {
			t.Errorf("%.40q: status %d, want %d", in, r.Status, status)
		}
	}
	for n := range len(whole) {
		q := queuetest.New(t, "0")
		if r := run(q, whole[:n]); r.Status != 0 || r.Out != "" {
			t.Errorf("%q: status %d, %q", whole[:n], r.Status, r.Out)
		}
		if strings.HasSuffix(q.Envelope(), "||") {
			t.Errorf("%q is queued", whole[:n])
		}
	}
}

// Without its control files it takes nothing.
func TestUnreadableControls(t *testing.T) {
	q := queuetest.New(t, "0")
	q.Control("databytes/x", "")
	const want = "qmail-qmtpd: fatal: unable to read control/databytes: is a directory\n"
	if r := run(q, mail("\n", "s", "a@b")); r.Status != 111 || r.Out != "" || r.Err != want {
		t.Errorf("%+v", r)
	}
	gone := q.Home + "/gone"
	vars := q.Vars.Clone()
	vars.Set("QMAILHOME", gone)
	r := proctest.Run(&QmailQmtpd, proctest.Case{In: mail("\n", "s", "a@b"), Vars: vars})
	if r.Status != 111 || r.Out != "" || r.Err != "qmail-qmtpd: fatal: unable to chdir to "+gone+": file does not exist\n" {
		t.Errorf("no home: %+v", r)
	}
}

// A database that cannot be read is our trouble, not the recipient's.
func TestDamagedDatabase(t *testing.T) {
	q := queuetest.New(t, "0")
	q.Control("rcpthosts", "ours\n")
	q.Control("morercpthosts.cdb", "?")
	r := run(q, mail("\n", "s", "a@theirs"))
	if r.Status != 111 || r.Out != "" || !strings.HasPrefix(r.Err, "qmail-qmtpd: fatal: unable to read control/morercpthosts.cdb: ") {
		t.Errorf("%+v", r)
	}
}

// Nobody stays for longer than the hour that C gives, whatever he was about to say.
func TestHour(t *testing.T) {
	whole := mail("\ntext", "s", "a@b")
	for _, said := range []string{"", whole, whole[:20]} {
		q := queuetest.New(t, "0")
		client := proctest.Idle(said)
		r := proctest.Run(&QmailQmtpd, proctest.Case{Vars: q.Vars, Files: map[int]proc.File{0: client}})
		if r.Status != 111 {
			t.Errorf("%.20q: %+v", said, r)
		}
		if left := time.Until(client.Deadline); left < 59*time.Minute || left > time.Hour {
			t.Errorf("%v are left", left)
		}
		if queued := strings.HasSuffix(q.Envelope(), "||"); queued != (said == whole) {
			t.Errorf("%.20q: queued: %v", said, queued)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("a\rb\r\nc\r\r\n\r"), true)
	f.Add([]byte("\r\n"), false)
	f.Fuzz(func(t *testing.T, in []byte, dos bool) {
		// The decoder does not depend on how its input comes.
		decode := func(step int) string {
			out := &sink{}
			d := &text{queue: out, dos: dos}
			for p := in; len(p) > 0; {
				n := min(step, len(p))
				d.Write(p[:n])
				p = p[n:]
			}
			d.end()
			return out.String()
		}
		want := string(in)
		if dos {
			want = strings.ReplaceAll(want, "\r\n", "\n")
		}
		for _, step := range []int{1, 2, 3, 1000} {
			if got := decode(step); got != want {
				t.Fatalf("%d at a time: %q, want %q", step, got, want)
			}
		}
	})
}

type sink struct{ strings.Builder }

func (s *sink) Fail() { s.Reset() }
