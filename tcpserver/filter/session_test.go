package filter

import (
	"bytes"
	"strings"
	"testing"
)

// transcript runs a dialogue, of which each part begins with < or >, through a
// recorder and returns what it records, without the process number.
func transcript(hide string, dialogue ...string) string {
	var log logFile
	r := newRecorder(&log, "1", hide)
	for _, part := range dialogue {
		if part[0] == '<' {
			r.fromClient(nil, []byte(part[1:]))
		} else {
			r.fromProgram(nil, []byte(part[1:]))
		}
	}
	r.clientEnd()
	r.programEnd()
	said := strings.NewReplacer("1 < [EOF]\n", "", "1 > [EOF]\n", "").Replace(log.String())
	return strings.NewReplacer("1 < ", "< ", "1 > ", "> ", "\r \n", "\n").Replace(said)
}

func TestWhatIsLeftOut(t *testing.T) {
	for _, c := range []struct {
		name, hide string
		dialogue   []string
		want       string
	}{
		{"nothing, unasked", "", []string{"<AUTH PLAIN abc\r\n"}, "< AUTH PLAIN abc\n"},
		{"initial response", "c", []string{">220 x\r\n", "<AUTH PLAIN abc\r\n", ">235 ok\r\n", "<NOOP x\r\n"},
			"> 220 x\n< AUTH PLAIN [hidden]\n> 235 ok\n< NOOP x\n"},
		{"in small letters, in pieces", "c", []string{">220 x\r\n", "<au", "<th pl", "<ain ab", "<c\r", "<\n", ">535 no\r\n", "<NOOP\r\n"},
			"> 220 x\n< auth plain [hidden]\n> 535 no\n< NOOP\n"},
		{"a password in place of a mechanism", "c", []string{">220 x\r\n", "<AUTH secret\r\n"}, "> 220 x\n< AUTH [hidden]\n"},
		{"challenges", "c", []string{">220 x\r\n", "<AUTH LOGIN\r\n", ">334 VXN\r\n", "<user\r\n", ">334 UGF\r\n", "<pass\r\n", ">235 ok\r\n", "<MAIL\r\n"},
			"> 220 x\n< AUTH LOGIN\n> 334 VXN\n< [hidden]\n> 334 UGF\n< [hidden]\n> 235 ok\n< MAIL\n"},
		{"all at once, behind a reply that is late", "c", []string{">220 x\r\n", "<EHLO x\r\nAUTH LOGIN\r\nuser\r\n", ">250-x\r\n250 AUTH\r\n", "<pass\r\n", ">334 a\r\n334 b\r\n235 c\r\n", "<QUIT\r\n"},
			"> 220 x\n< EHLO x\n< AUTH LOGIN\n< [hidden]\n> 250-x\n> 250 AUTH\n< [hidden]\n> 334 a\n> 334 b\n> 235 c\n< QUIT\n"},
		{"before the greeting", "c", []string{"<AUTH LOGIN\r\n", ">220 x\r\n", "<user\r\n"}, "< AUTH LOGIN\n> 220 x\n< [hidden]\n"},
		{"a reply that is none to AUTH", "c", []string{">220 x\r\n", "<AUTH LOGIN\r\n", ">250 what\r\n", "<user\r\n"}, "> 220 x\n< AUTH LOGIN\n> 250 what\n< [hidden]\n"},
		{"refused, then another command and its reply", "c", []string{">220 x\r\n", "<AUTH LOGIN\r\nuser\r\npass\r\n", ">502 no\r\n", "<AUTH LOGIN\r\n", ">502 a\r\n502 b\r\n", "<user\r\n"},
			"> 220 x\n< AUTH LOGIN\n< [hidden]\n< [hidden]\n> 502 no\n< AUTH LOGIN\n> 502 a\n> 502 b\n< [hidden]\n"},
		{"POP3", "c", []string{">+OK <1@x>\r\n", "<USER joe\r\n", ">+OK\r\n", "<PASS a b\r\n", ">-ERR\r\n", "<apop joe c4c9\r\n", ">+OK\r\n", "<PASSa\r\nAPOP secret\r\n"},
			"> +OK <1@x>\n< USER joe\n> +OK\n< PASS [hidden]\n> -ERR\n< apop joe [hidden]\n> +OK\n< PASS [hidden]\n< APOP [hidden]\n"},
		{"POP3 AUTH", "c", []string{">+OK\r\n", "<AUTH\r\n", ">+OK\r\nPLAIN\r\n.\r\n", "<AUTH PLAIN\r\n", ">+ \r\n", "<secret\r\n", ">+OK\r\n", "<STAT\r\n"},
			"> +OK\n< AUTH\n> +OK\n> PLAIN\n> .\n< AUTH PLAIN\n> + \n< [hidden]\n> +OK\n< STAT\n"},
		{"DATA", "b", []string{">220 x\r\n", "<DATA\r\n", ">354 go\r\n", "<Subject: x\r\n\r\nAUTH\r\n..\r\n", "<.\r\nQUIT\r\n", ">250 ok\r\n"},
			"> 220 x\n< DATA\n> 354 go\n< [body: 24 bytes]\n< .\n< QUIT\n> 250 ok\n"},
		{"DATA refused", "b", []string{">220 x\r\n", "<DATA\r\n", ">554 no\r\n", "<RSET\r\n"}, "> 220 x\n< DATA\n> 554 no\n< RSET\n"},
		{"DATA refused, and the body sent all the same", "b", []string{">220 x\r\n", "<DATA\r\nprivate\r\n", ">554 no\r\n", "<more\r\n.\r\nRSET\r\n"},
			"> 220 x\n< DATA\n> 554 no\n< [body: 15 bytes]\n< .\n< RSET\n"},
		{"a body is not a dialogue", "c", []string{">220 x\r\n", "<DATA\r\n", ">354 go\r\n", "<AUTH PLAIN x\r\n.\r\n"}, "> 220 x\n< DATA\n> 354 go\n< AUTH PLAIN x\n< .\n"},
		{"a body that does not end", "b", []string{">220 x\r\n", "<DATA\r\n", ">354 go\r\n", "<abc"}, "> 220 x\n< DATA\n> 354 go\n< [body: 3 bytes]\n"},
		{"BDAT", "b", []string{">220 x\r\n", "<BDAT 8 LAST\r\nabc", "<\r\nxyzNOOP\r\n"}, "> 220 x\n< BDAT 8 LAST\n< [body: 8 bytes]\n< NOOP\n"},
		{"RETR", "b", []string{">+OK\r\n", "<RETR 1\r\nLIST\r\nSTAT\r\n", ">+OK\r\nprivate\r\n..\r\n.\r\n+OK\r\n1 5\r\n.\r\n+OK 1\r\n"},
			"> +OK\n< RETR 1\n< LIST\n< STAT\n> +OK\n> [body: 13 bytes]\n> .\n> +OK\n> 1 5\n> .\n> +OK 1\n"},
		{"TLS", "bc", []string{">220 x\r\n", "<STARTTLS\r\n", ">220 go\r\n", "<\x16\x03abc\n", ">xyz"}, "> 220 x\n< STARTTLS\n> 220 go\n< [TLS: 6 bytes] \n> [TLS: 3 bytes] \n"},
		{"no TLS", "bc", []string{">220 x\r\n", "<STARTTLS\r\n", ">454 no\r\n", "<AUTH PLAIN x\r\n"}, "> 220 x\n< STARTTLS\n> 454 no\n< AUTH PLAIN [hidden]\n"},
		{"refused, and the answers sent all the same", "c", []string{">220 x\r\n", "<AUTH LOGIN\r\n", ">502 no\r\n", "<am9l\r\n", ">502 what\r\n", "<YWJj\r\n", ">502 what\r\n", "<noop x\r\n"},
			"> 220 x\n< AUTH LOGIN\n> 502 no\n< [hidden]\n> 502 what\n< [hidden]\n> 502 what\n< noop x\n"},
		{"failed, then not", "c", []string{">220 x\r\n", "<AUTH PLAIN a\r\n", ">535 no\r\n", "<b\r\n", ">500\r\n", "<AUTH PLAIN c\r\n", ">235 yes\r\n", "<strange\r\n"},
			"> 220 x\n< AUTH PLAIN [hidden]\n> 535 no\n< [hidden]\n> 500\n< AUTH PLAIN [hidden]\n> 235 yes\n< strange\n"},
		{"behind a DATA that is refused", "c", []string{">220 x\r\n", "<DATA\r\nAUTH PLAIN abc\r\n", ">503 no\r\n>503 no\r\n", "<.\r\nNOOP\r\n"},
			"> 220 x\n< DATA\n> 503 no\n> >503 no\n< [body: 16 bytes]\n< .\n< NOOP\n"},
		{"behind a DATA that is accepted", "c", []string{">220 x\r\n", "<DATA\r\nearly\r\n", ">354 go\r\n", "<late\r\n.\r\n"},
			"> 220 x\n< DATA\n> 354 go\n< [body: 7 bytes]\n< late\n< .\n"},
		{"DATA, a strange reply", "c", []string{">220 x\r\n", "<DATA\r\n", ">250 what\r\n", "<PASS abc\r\n"},
			"> 220 x\n< DATA\n> 250 what\n< [body: 10 bytes]\n"},
		{"BDAT that nobody knows", "c", []string{">220 x\r\n", "<BDAT 4\r\nAUTH PLAIN abc\r\n", ">502 no\r\n502 no\r\n", "<BDAT 18\r\nAUTH LOGIN\r\nuser\r\nsecret\r\nQUIT\r\n"},
			"> 220 x\n< BDAT 4\n< [body: 4 bytes]\n< [hidden]\n> 502 no\n> 502 no\n< BDAT 18\n< [body: 18 bytes]\n< [hidden]\n< QUIT\n"},
		{"BDAT that was offered", "c", []string{">220 x\r\n", "<EHLO x\r\n", ">250-x\r\n250 chunking\r\n", "<BDAT 3\r\na\r\nstrange\r\n"},
			"> 220 x\n< EHLO x\n> 250-x\n> 250 chunking\n< BDAT 3\n< a\n< strange\n"},
		{"too many commands", "c", []string{"<" + strings.Repeat("a\n", queueMax+1), "<PASS x\n"}, strings.Repeat("< a \n", queueMax) + "< [hidden: 9 bytes] \n"},
	} {
		got := strings.ReplaceAll(transcript(c.hide, c.dialogue...), "bytes] \n", "bytes]\n")
		if want := strings.ReplaceAll(c.want, "bytes] \n", "bytes]\n"); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, want)
		}
	}
}

// A password does not come through, however the client chops and hurries, unless
// the program has ended the exchange that it belongs to.
func FuzzSession(f *testing.F) {
	f.Add([]byte("EHLO x\r\n"), []byte("220 x\r\n250 y\r\n"), []byte("AUTH LOGIN\r\n"), uint8(3))
	f.Add([]byte("MAIL\r\nDATA\r\nx\r\n.\r\n"), []byte("220 x\r\n250 y\r\n554 z\r\n"), []byte("AUTH PLAIN "), uint8(1))
	f.Add([]byte("BDAT 3\r\nabc"), []byte("+OK\r\n+OK\r\n.\r\n"), []byte(" pass "), uint8(9))
	f.Fuzz(func(t *testing.T, client, program, verb []byte, n uint8) {
		const secret = "cGFzc3dvcmQ="
		if bytes.Contains(client, []byte(secret)) || bytes.Contains(program, []byte(secret)) {
			return
		}
		var log logFile
		r := newRecorder(&log, "1", "bc")
		for len(client) > 0 || len(program) > 0 {
			a, b := client[:min(len(client), int(n)+1)], program[:min(len(program), int(n)+1)]
			r.fromClient(nil, a)
			r.fromProgram(nil, b)
			client, program = client[len(a):], program[len(b):]
		}
		r.fromClient(nil, []byte("\r\nPASS "+secret+"\r\nAUTH PLAIN "+secret+"\r\n"+secret+"\r\n"))
		r.clientEnd()
		r.programEnd()
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q", log.String())
		}
	})
}
