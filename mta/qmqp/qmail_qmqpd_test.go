package qmqp

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

func mail(parts ...string) string {
	var all []byte
	for _, p := range parts {
		all = netstring.Append(all, p)
	}
	return string(netstring.Append(nil, all))
}

func run(q *queuetest.Queue, in string) proctest.Result {
	return proctest.Run(&QmailQmqpd, proctest.Case{In: in,
		Vars: append(append(proc.Vars{}, q.Vars...), "TCPREMOTEHOST=h", "TCPREMOTEIP=192.0.2.1", "TCPLOCALHOST=l")})
}

var success = regexp.MustCompile(`^\d+:Kok \d+ qp \d+,$`)

func TestQmqpd(t *testing.T) {
	long := strings.Repeat("x", 999)
	q := queuetest.New(t, "0")
	r := run(q, mail("Subject: a\n\nb\r\n", "s@x", "a@b", "", long))
	if r.Status != 0 || r.Err != "" || !success.MatchString(r.Out) {
		t.Errorf("%+v", r)
	}
	head, body, _ := strings.Cut(q.Message(), " -0000\n")
	if !strings.HasPrefix(head, "Received: from h (192.0.2.1)\n  by l with QMQP; ") || body != "Subject: a\n\nb\r\n" {
		t.Errorf("%q %q", head, body)
	}
	if got := q.Envelope(); got != "Fs@x|Ta@b|T|T"+long+"||" {
		t.Errorf("envelope %q", got)
	}
}

func TestQmqpdRefuses(t *testing.T) {
	const bad = "51:Dsorry, I can't accept addresses like that (#5.1.3),"
	long := strings.Repeat("x", 1000)
	for _, parts := range [][]string{
		{"m", "s\x00", "a@b"}, {"m", long, "a@b"}, {"m", "s", "a@b", "c\x00d"}, {"m", "s", long, "a@b"},
	} {
		q := queuetest.New(t, "0")
		if r := run(q, mail(parts...)); r.Status != 0 || r.Out != bad {
			t.Errorf("%.40q: %+v", parts, r)
		}
		if strings.HasSuffix(q.Envelope(), "||") {
			t.Errorf("%.40q is queued", parts)
		}
	}
	for status, answer := range map[string]string{
		"31": "Dmail server permanently rejected message (#5.3.0)",
		"53": "Zqq write error or disk full (#4.3.0)",
	} {
		if r := run(queuetest.New(t, status), mail("m", "s", "a")); r.Status != 0 || r.Out != string(netstring.Append(nil, answer)) {
			t.Errorf("%s: %+v", status, r)
		}
	}
}

func TestQmqpdNonsense(t *testing.T) {
	whole := mail("text", "s", "a@b")
	for in, status := range map[string]int{
		"":                         0,
		"x":                        100,
		"0:,":                      100,
		"3:text,":                  100,
		"99999999999999:":          111,
		"14:4:text,1:s,3:a,":       100, // a recipient that reaches out
		whole[:len(whole)-1] + ";": 100,
	} {
		if r := run(queuetest.New(t, "0"), in); r.Status != status || r.Out != "" {
			t.Errorf("%q: status %d, want %d; %q", in, r.Status, status, r.Out)
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

// Nobody stays for longer than the hour that C gives, whatever he was about to say.
func TestHour(t *testing.T) {
	whole := mail("text", "s", "a@b")
	for _, said := range []string{"", whole[:len(whole)-1], whole[:20]} {
		q := queuetest.New(t, "0")
		client := proctest.Idle(said)
		r := proctest.Run(&QmailQmqpd, proctest.Case{Vars: q.Vars, Files: map[int]proc.File{0: client}})
		if r.Status != 111 {
			t.Errorf("%.20q: %+v", said, r)
		}
		if left := time.Until(client.Deadline); left < 59*time.Minute || left > time.Hour {
			t.Errorf("%v are left", left)
		}
		if strings.HasSuffix(q.Envelope(), "||") {
			t.Errorf("%.20q is queued", said)
		}
	}
}

func TestQmqpdTrouble(t *testing.T) {
	q := queuetest.New(t, "0")
	q.Control("datelocaltime/x", "")
	const want = "qmail-qmqpd: fatal: unable to read control/datelocaltime: is a directory\n"
	if r := run(q, mail("m", "s", "a@b")); r.Status != 111 || r.Out != "" || r.Err != want {
		t.Errorf("%+v", r)
	}
}
