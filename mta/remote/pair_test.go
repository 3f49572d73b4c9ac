package remote

import (
	"context"
	"net"
	"regexp"
	"strings"
	"testing"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/mta/qmtp"
	"paperpath/mta/queue/queuetest"
)

// A message goes through qmail-remote and qmail-qmtpd and comes to the queue
// behind them as it was.
func TestPair(t *testing.T) {
	const received = "Received: from unknown (unknown)\n  by unknown with QMTP; "
	ok := regexp.MustCompile(`ok \d+ qp \d+`)
	const sorry = "hqmtp: sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)\n|"
	for _, c := range []struct {
		name       string
		message    string
		status     string // of the queue
		sender     string
		recipients []string
		want       string
		envelope   string
	}{
		{"plain", message, "0", "me@client.test", []string{"you@ours"},
			"rqmtp: OK\n|KAll received okay by 127.0.0.1\n|", "Fme@client.test|Tyou@ours||"},
		{"odd", "a\n.\n..\r\n\r.\r\n\x00\xff\nno end of line", "0", "", []string{"two words@ours", "a\"b\\c@ours", "\xff\n@ours"},
			"rqmtp: OK\n|rqmtp: OK\n|rqmtp: OK\n|KAll received okay by 127.0.0.1\n|", "F|Ttwo words@ours|Ta\"b\\c@ours|T\xff\n@ours||"},
		{"large", strings.Repeat("0123456789abcde\n", 1<<18), "0", "#@[]", []string{"you@ours"},
			"rqmtp: OK\n|KAll received okay by 127.0.0.1\n|", "F|Tyou@ours||"},
		{"empty", "", "0", "", []string{"you@ours"}, "rqmtp: OK\n|KAll received okay by 127.0.0.1\n|", "F|Tyou@ours||"},
		{"some", message, "0", "", []string{"you@theirs", "you@ours"},
			sorry + "rqmtp: OK\n|K127.0.0.1 accepted message.\n|", "F|Tyou@ours||"},
		{"none", message, "0", "", []string{"you@theirs"}, sorry + "DGiving up on 127.0.0.1\n|", ""},
		{"no queue", message, "51", "", []string{"you@ours"}, "sqmtp: qq out of memory (#4.3.0)\n|DGiving up on 127.0.0.1\n|", ""},
		{"refused by the queue", message, "31", "", []string{"you@ours"}, "hqmtp: mail server permanently rejected message (#5.3.0)\n|DGiving up on 127.0.0.1\n|", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := queuetest.New(t, c.status)
			q.Control("me", "ours\n")
			q.Control("rcpthosts", "ours\n")
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				env := &proc.Env{Args: []string{"qmail-qmtpd"}, Vars: q.Vars}
				for i := range env.Files {
					env.Files[i] = proc.Closed{}
				}
				env.Files[0], env.Files[1] = conn.(proc.File), conn.(proc.File)
				proc.Run(context.Background(), &qmtp.QmailQmtpd, env)
			}()
			dir := byQMTP(t, l.Addr().(*net.TCPAddr).Port, nil)
			r := proctest.Run(&QmailRemote, proctest.Case{
				Args: append([]string{"example.org", c.sender}, c.recipients...),
				In:   c.message,
				Vars: proc.Vars{"QMAILHOME=" + dir},
			})
			l.Close()
			<-ended
			got := ok.ReplaceAllString(strings.ReplaceAll(r.Out, "\x00", "|"), "OK")
			if got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			if c.status != "0" || c.envelope == "" {
				return
			}
			if got := q.Envelope(); got != c.envelope {
				t.Errorf("envelope %q, want %q", got, c.envelope)
			}
			first, rest, _ := strings.Cut(q.Message(), "\n")
			second, rest, _ := strings.Cut(rest, "\n")
			if !strings.HasPrefix(first+"\n"+second, received) || rest != c.message {
				t.Errorf("message %.200q", q.Message())
			}
		})
	}
}
