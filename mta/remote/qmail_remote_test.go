package remote

import (
	"os"
	"strings"
	"testing"
)

const (
	message = "Subject: x\n\nhello\n"
	died    = "ZConnected to 127.0.0.1 but connection died. (#4.4.2)\n|"
	dup     = "ZConnected to 127.0.0.1 but connection died. Possible duplicate! (#4.4.2)\n|"

	greeted = "> 220 hi\n<\n"
	helloed = greeted + "> 250 ok\n<\n"
	mailed  = helloed + "> 250 ok\n<\n"
	rcpted  = mailed + "> 250 ok\n<\n"
	data    = rcpted + "> 354 go\n"
	sent    = data + ".\n"
)

// Every case is a server and what is reported of it. Where the C program says
// something else, original is that.
var servers = []struct {
	name     string
	play     script
	want     string
	original string
}{
	// The greeting.
	{"accepts", sent + "> 250 queued", "r|K127.0.0.1 accepted message.\nRemote host said: 250 queued\n|", ""},
	{"greets in lines", "> 220-a\n> 220-b\n> 220 c\n<\n> 554 no", "ZConnected to 127.0.0.1 but my name was rejected.\nRemote host said: 554 no\n|", ""},
	{"greets without text", "> 220\n<\n> 554", "ZConnected to 127.0.0.1 but my name was rejected.\nRemote host said: 554\n|", ""},
	{"ends lines with LF", "+ 220 hi\\n\n<\n+ 554-a\\n554 b\\n", "ZConnected to 127.0.0.1 but my name was rejected.\nRemote host said: 554-a\n554 b\n|", ""},
	{"has CR everywhere", "+ \\r2\\r20 h\\ri\\r\\n", "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: 220 hi\n|", ""},
	{"greets with 421", "> 421 busy", "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: 421 busy\n|", ""},
	{"greets with 554", "> 554 go away", "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: 554 go away\n|", ""},
	{"greets with 250", "> 250 hi", "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: 250 hi\n|", ""},
	{"greets with 000", "> 000 hi", "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: 000 hi\n|", ""},
	{"speaks HTTP", "> HTTP/1.1 400 Bad Request\n>\n", "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: HTTP/1.1 400 Bad Request\n|", ""},
	{"speaks SSH", "> SSH-2.0-OpenSSH_9.2\nclose", died, ""}, // the dash announces another line
	{"sends an empty line", ">\n> 220 hi\nclose", "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: \n220 hi\n|", ""},
	{"sends NUL and ESC", "+ 554 a\\x00b\\x1b[2Jc\\td\\xff\\x7f\\r\\n", "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: 554 a?b?[2Jc\td\xff?\n|", "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: 554 a?b\x1b[2Jc\td\xff\x7f\n|"},
	{"closes", "close", died, ""},
	{"greets half and closes", "+ 220 hi\nclose", died, ""},
	{"greets in several lines and closes", "> 220-hi\nclose", died, ""},

	// HELO.
	{"refuses HELO for now", greeted + "> 421 no", "ZConnected to 127.0.0.1 but my name was rejected.\nRemote host said: 421 no\n|", ""},
	{"answers HELO with 251", greeted + "> 251 no", "ZConnected to 127.0.0.1 but my name was rejected.\nRemote host said: 251 no\n|", ""},
	{"answers HELO with 999", greeted + "> 999 no", "ZConnected to 127.0.0.1 but my name was rejected.\nRemote host said: 999 no\n|", ""},
	{"closes at HELO", greeted + "close", died, ""},
	{"resets at HELO", greeted + "reset", died, ""},
	{"closes within the answer to HELO", greeted + "+ 250-a\\r\\n250\nclose", died, ""},

	// MAIL.
	{"refuses the sender", helloed + "> 550 no", "DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 550 no\n|", ""},
	{"refuses the sender in lines", helloed + "> 550-no\n> 550-and\n> 550 no", "DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 550-no\n550-and\n550 no\n|", ""},
	{"refuses the sender for now", helloed + "> 451 no", "ZConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 451 no\n|", ""},
	{"answers MAIL with 999", helloed + "> 999 no", "ZConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 999 no\n|", "DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 999 no\n|"},
	{"answers MAIL with 000", helloed + "> 000 no", "ZConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 000 no\n|", died},
	{"answers MAIL with 354", helloed + "> 354 no", "ZConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 354 no\n|", died},
	{"answers MAIL with words", helloed + "> what?", "ZConnected to 127.0.0.1 but sender was rejected.\nRemote host said: what?\n|", "DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: what?\n|"},
	{"closes at MAIL", helloed + "close", died, ""},
	{"closes within the answer to MAIL", helloed + "+ 550 n\nclose", died, ""},

	// RCPT.
	{"refuses the recipient", mailed + "> 550 no", "h127.0.0.1 does not like recipient.\nRemote host said: 550 no\n|DGiving up on 127.0.0.1.\n|", ""},
	{"refuses the recipient for now", mailed + "> 450 no", "s127.0.0.1 does not like recipient.\nRemote host said: 450 no\n|DGiving up on 127.0.0.1.\n|", ""},
	{"accepts with 251", mailed + "> 251 will forward\n<\n> 354 go\n.\n> 250 queued", "r|K127.0.0.1 accepted message.\nRemote host said: 250 queued\n|", ""},
	{"answers RCPT with 999", mailed + "> 999 no", "s127.0.0.1 does not like recipient.\nRemote host said: 999 no\n|DGiving up on 127.0.0.1.\n|", "h127.0.0.1 does not like recipient.\nRemote host said: 999 no\n|DGiving up on 127.0.0.1.\n|"},
	{"answers RCPT with 000", mailed + "> 000 no\n<", "s127.0.0.1 does not like recipient.\nRemote host said: 000 no\n|DGiving up on 127.0.0.1.\n|", "r|" + died},
	{"closes at RCPT", mailed + "close", died, ""},
	{"resets at RCPT", mailed + "reset", died, ""},

	// DATA.
	{"refuses DATA", rcpted + "> 554 no", "r|D127.0.0.1 failed on DATA command.\nRemote host said: 554 no\n|", ""},
	{"refuses DATA for now", rcpted + "> 451 no", "r|Z127.0.0.1 failed on DATA command.\nRemote host said: 451 no\n|", ""},
	{"answers DATA with 250", rcpted + "> 250 ok", "r|Z127.0.0.1 failed on DATA command.\nRemote host said: 250 ok\n|", "r|" + dup},
	{"answers DATA with 000", rcpted + "> 000 ok", "r|Z127.0.0.1 failed on DATA command.\nRemote host said: 000 ok\n|", "r|" + dup},
	{"answers DATA with 999", rcpted + "> 999 ok", "r|Z127.0.0.1 failed on DATA command.\nRemote host said: 999 ok\n|", "r|D127.0.0.1 failed on DATA command.\nRemote host said: 999 ok\n|"},
	{"closes at DATA", rcpted + "close", "r|" + died, ""},
	{"answers the dot before it came", rcpted + "+ 354 go\\r\\n250 queued\\r\\n", "r|Z127.0.0.1 failed after I sent the message.\nRemote host said: 250 queued\n|", "r|K127.0.0.1 accepted message.\nRemote host said: 250 queued\n|"},
	{"refuses the message before it came", rcpted + "+ 354 go\\r\\n552 too big\\r\\n", "r|D127.0.0.1 failed after I sent the message.\nRemote host said: 552 too big\n|", ""},
	{"answers everything before it is asked", "+ 220 a\\r\\n250 b\\r\\n250 c\\r\\n250 d\\r\\n354 e\\r\\n250 f\\r\\n", "r|Z127.0.0.1 failed after I sent the message.\nRemote host said: 250 f\n|", "r|K127.0.0.1 accepted message.\nRemote host said: 250 f\n|"},

	// The message.
	{"refuses the message", sent + "> 554 no", "r|D127.0.0.1 failed after I sent the message.\nRemote host said: 554 no\n|", ""},
	{"refuses the message for now", sent + "> 451 no", "r|Z127.0.0.1 failed after I sent the message.\nRemote host said: 451 no\n|", ""},
	{"answers the message with 000", sent + "> 000 no", "r|Z127.0.0.1 failed after I sent the message.\nRemote host said: 000 no\n|", "r|K127.0.0.1 accepted message.\nRemote host said: 000 no\n|"},
	{"answers the message with 354", sent + "> 354 no", "r|Z127.0.0.1 failed after I sent the message.\nRemote host said: 354 no\n|", "r|K127.0.0.1 accepted message.\nRemote host said: 354 no\n|"},
	{"answers the message with 999", sent + "> 999 no", "r|Z127.0.0.1 failed after I sent the message.\nRemote host said: 999 no\n|", "r|D127.0.0.1 failed after I sent the message.\nRemote host said: 999 no\n|"},
	{"accepts in lines", sent + "> 250-a\n> 250 b", "r|K127.0.0.1 accepted message.\nRemote host said: 250-a\n250 b\n|", ""},
	{"accepts without text", sent + "> 250", "r|K127.0.0.1 accepted message.\nRemote host said: 250\n|", ""},
	{"closes after the dot", sent + "close", "r|" + dup, ""},
	{"resets after the dot", sent + "reset", "r|" + dup, ""},
	{"closes within the last answer", sent + "+ 25\nclose", "r|" + dup, ""},
	{"accepts and resets", sent + "> 250 queued\nreset", "r|K127.0.0.1 accepted message.\nRemote host said: 250 queued\n|", "r|" + died},
	{"accepts and closes", sent + "> 250 queued\nclose", "r|K127.0.0.1 accepted message.\nRemote host said: 250 queued\n|", ""},
	{"accepts with a long text", sent + "> 250 " + script(strings.Repeat("x", 9000)), "r|K127.0.0.1 accepted message.\nRemote host said: 250 " + strings.Repeat("x", 4996) + "|", ""},
}

func TestServers(t *testing.T) {
	for _, c := range servers {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "127.0.0.1:0", c.play)
			dir := home(t, "127.0.0.1", s.port, nil)
			got := qmailRemote(t, dir, message, "example.org", "me@client.test", "you@example.org")
			if want := expected(c.want, c.original); got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			s.Heard(t)
		})
	}
}

// expected is want, or what the C program says when that is under test.
var expected = func(want, original string) string { return want }

// These servers only waste time; what counts is that there is an end to it.
func TestServersThatWasteTime(t *testing.T) {
	endless := []struct {
		name string
		play script
		want string
	}{
		{"never greets", "hang", died},
		{"drips a greeting", "+ 220 \ndrip", died},
		{"drips an answer to MAIL", helloed + "+ 250-\ndrip", died},
		{"never answers HELO", greeted + "hang", died},
		{"never answers RCPT", mailed + "hang", died},
		{"never answers DATA", rcpted + "hang", "r|" + died},
		{"never answers the message", sent + "hang", "r|" + dup},
		{"greets without an end of line", "flood 220xxxxxx", died},
		{"greets in endless lines", "flood 220-xxx\\r\\n", died},
		{"answers HELO in endless lines", greeted + "flood 250-xxx\\r\\n", died},
		{"answers the message in endless lines", sent + "flood 250-xxx\\r\\n", "r|" + dup},
	}
	for _, c := range endless {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "127.0.0.1:0", c.play)
			dir := home(t, "127.0.0.1", s.port, map[string]string{"timeoutremote": "1\n"})
			got := qmailRemote(t, dir, message, "example.org", "me@client.test", "you@example.org")
			if got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestServerThatStopsReading(t *testing.T) {
	s := serve(t, "127.0.0.1:0", data+"hang")
	dir := home(t, "127.0.0.1", s.port, map[string]string{"timeoutremote": "1\n"})
	got := qmailRemote(t, dir, strings.Repeat("0123456789abcde\n", 2<<20), "example.org", "me@client.test", "you@example.org")
	if want := "r|" + died; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A server that has seen enough says so and goes; what it said counts.
func TestServerThatRefusesInTheMiddle(t *testing.T) {
	s := serve(t, "127.0.0.1:0", data+"<\n> 552 too big\nclose")
	got := qmailRemote(t, home(t, "127.0.0.1", s.port, nil), strings.Repeat("0123456789abcde\n", 1<<20), "example.org", "", "you@example.org")
	if want := "r|D127.0.0.1 failed after I sent the message.\nRemote host said: 552 too big\n|"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What goes over the wire, to the byte.
func TestConversation(t *testing.T) {
	s := serve(t, "127.0.0.1:0", sent+"> 250 ok\n<")
	dir := home(t, "127.0.0.1", s.port, map[string]string{"helohost": "helo.test \n"})
	got := qmailRemote(t, dir, "A: b\n\n.\n..x\n\xff\x00\n", "example.org", "two words@client.test", "b\xc3\xbc@b\xc3\xbc.example")
	if !strings.HasPrefix(got, "r|K") {
		t.Errorf("report %q", got)
	}
	const want = "HELO helo.test\r\n" +
		"MAIL FROM:<\"two words\"@client.test>\r\n" +
		"RCPT TO:<\"b\xc3\xbc\"@b\xc3\xbc.example>\r\n" +
		"DATA\r\n" +
		"A: b\r\n\r\n..\r\n...x\r\n\xff\x00\r\n.\r\n" +
		"QUIT\r\n"
	if heard := s.Heard(t); heard != want {
		t.Errorf("heard %q\nwant  %q", heard, want)
	}
}

func TestAddressesOnTheWire(t *testing.T) {
	for addr, want := range map[string]string{
		"":                  "",
		"postmaster":        "postmaster",
		"no domain":         "no domain",
		"a@b":               "a@b",
		"@b":                `""@b`,
		"a@":                "a@",
		"a@b@c":             `"a@b"@c`,
		".a@b":              `".a"@b`,
		`a"b\c@d`:           `"a\"b\\c"@d`,
		"#@[]":              "",
		"a@[IPv6:::1]":      "a@[IPv6:::1]",
		"list-@host-@[]":    `"list-@host-"@[]`,
		"o'neil+tag/x=y@b.": "o'neil+tag/x=y@b.",
	} {
		s := serve(t, "127.0.0.1:0", helloed+"> 550 no")
		got := qmailRemote(t, home(t, "127.0.0.1", s.port, nil), message, "example.org", addr, "you@example.org")
		if !strings.HasPrefix(got, "DConnected") {
			t.Errorf("%q: report %q", addr, got)
		}
		if heard := s.Heard(t); !strings.Contains(heard, "MAIL FROM:<"+want+">\r\n") {
			t.Errorf("%q: heard %q", addr, heard)
		}
	}
}

// A line feed in an address must not become a command.
func TestAddressesWithLineBreaks(t *testing.T) {
	const evil = "x@y>\r\nRSET\r\nMAIL FROM:<z@y"
	s := serve(t, "127.0.0.1:0", sent+"> 250 ok")
	got := qmailRemote(t, home(t, "127.0.0.1", s.port, nil), message, "example.org", "me@client.test", evil, "you@example.org")
	want := "hSMTP cannot transfer a recipient address with line breaks. (#5.1.3)\n|r|K127.0.0.1 accepted message.\nRemote host said: 250 ok\n|"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if heard := s.Heard(t); strings.Contains(heard, "RSET") {
		t.Errorf("heard %q", heard)
	}

	s = serve(t, "127.0.0.1:0", helloed)
	got = qmailRemote(t, home(t, "127.0.0.1", s.port, nil), message, "example.org", evil, "you@example.org")
	if got != "DSMTP cannot transfer a sender address with line breaks. (#5.1.7)\n|" {
		t.Errorf("got %q", got)
	}
	if heard := s.Heard(t); strings.Contains(heard, "RSET") {
		t.Errorf("heard %q", heard)
	}
}

func TestSeveralRecipients(t *testing.T) {
	s := serve(t, "127.0.0.1:0", mailed+"> 550 one\n<\n> 250 two\n<\n> 450 three\n<\n> 354 go\n.\n> 250 ok")
	got := qmailRemote(t, home(t, "127.0.0.1", s.port, nil), message, "example.org", "", "1@example.org", "2@example.org", "3@example.org")
	want := "h127.0.0.1 does not like recipient.\nRemote host said: 550 one\n|r|" +
		"s127.0.0.1 does not like recipient.\nRemote host said: 450 three\n|" +
		"K127.0.0.1 accepted message.\nRemote host said: 250 ok\n|"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s = serve(t, "127.0.0.1:0", mailed+"> 250 one\n<\nclose")
	got = qmailRemote(t, home(t, "127.0.0.1", s.port, nil), message, "example.org", "", "1@example.org", "2@example.org", "3@example.org")
	if want := "r|" + died; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMessagesThatSMTPCannotCarry(t *testing.T) {
	for message, want := range map[string]string{
		"":             "r|K127.0.0.1 accepted message.\nRemote host said: 250 ok\n|",
		"\n":           "r|K127.0.0.1 accepted message.\nRemote host said: 250 ok\n|",
		"x\r":          "r|K127.0.0.1 accepted message.\nRemote host said: 250 ok\n|",
		"no line feed": "r|DSMTP cannot transfer messages with partial final lines. (#5.6.2)\n|",
		"a: b\n\nx\n.": "r|DSMTP cannot transfer messages with partial final lines. (#5.6.2)\n|",
	} {
		s := serve(t, "127.0.0.1:0", sent+"> 250 ok")
		got := qmailRemote(t, home(t, "127.0.0.1", s.port, nil), message, "example.org", "", "you@example.org")
		if got != want {
			t.Errorf("%q: got %q, want %q", message, got, want)
		}
		if heard := s.Heard(t); strings.Contains(want, "|D") && strings.Contains(heard, "\r\n.\r\n") {
			t.Errorf("%q: the server got a whole message: %q", message, heard)
		}
	}
}

func TestIPv6(t *testing.T) {
	s := serve(t, "[::1]:0", sent+"> 250 ok")
	got := qmailRemote(t, home(t, "IPv6:::1", s.port, nil), message, "example.org", "", "you@example.org")
	if got != "r|K::1 accepted message.\nRemote host said: 250 ok\n|" {
		t.Errorf("got %q", got)
	}
}

func TestBadSurroundings(t *testing.T) {
	const control = "ZUnable to read control files. (#4.3.0)\n|"
	const dns = "ZSorry, I couldn't find any host by that name. (#4.1.2)\n|"
	to := []string{"example.org", "me@client.test", "you@example.org"}
	host := func(h string) []string { return []string{h, "", "you@" + h} }
	absent := func(name string) func(string) { return func(dir string) { os.Remove(dir + "/control/" + name) } }
	file := func(name, text string) func(string) {
		return func(dir string) { os.WriteFile(dir+"/control/"+name, []byte(text), 0o644) }
	}
	directory := func(name string) func(string) {
		return func(dir string) { os.Remove(dir + "/control/" + name); os.Mkdir(dir+"/control/"+name, 0o755) }
	}
	nothing := func(string) {}
	for _, c := range []struct {
		name  string
		spoil func(dir string)
		args  []string
		want  string
	}{
		{"no arguments", nothing, nil, "DI (qmail-remote) was invoked improperly. (#5.3.5)\n|"},
		{"no recipient", nothing, to[:2], "DI (qmail-remote) was invoked improperly. (#5.3.5)\n|"},
		{"no home", func(dir string) { os.RemoveAll(dir) }, to, "ZUnable to switch to home directory. (#4.3.0)\n|"},
		{"no me", absent("me"), to, control},
		{"me is a directory", directory("me"), to, control},
		{"helohost is a directory", directory("helohost"), to, control},
		{"smtproutes is a directory", directory("smtproutes"), to, control},
		{"timeoutremote is a directory", directory("timeoutremote"), to, control},
		{"timeoutconnect is a directory", directory("timeoutconnect"), to, control},
		{"nobody listens", file("smtproutes", ":[127.0.0.1]:1\n"), to, "ZSorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n|"},
		{"no DNS", absent("smtproutes"), to, dns},
		{"no DNS for the relay", file("smtproutes", ":relay.example.org\n"), to, dns},
		{"ourselves", absent("smtproutes"), host("[127.0.0.1]"), string(ambiguous) + "|"},
		{"ourselves without brackets", absent("smtproutes"), host("127.0.0.1"), string(ambiguous) + "|"},
		{"this host", absent("smtproutes"), host("[0.0.0.0]"), string(ambiguous) + "|"},
		{"this host in IPv6", absent("smtproutes"), host("[IPv6:::]"), string(ambiguous) + "|"},
		{"ourselves as IPv6", absent("smtproutes"), host("[ipv6:::ffff:127.0.0.1]"), string(ambiguous) + "|"},
		{"no name can be so long", absent("smtproutes"), host(strings.Repeat("a", 64) + ".\x1b\xff"), "DSorry, I couldn't find any host named " + strings.Repeat("a", 64) + ".??. (#5.1.2)\n|"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := home(t, "127.0.0.1", 1, nil)
			c.spoil(dir)
			if got := qmailRemote(t, dir, message, c.args...); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
