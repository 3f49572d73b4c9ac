package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const host = "paperpath.test"

// delivered is what qmail-local puts before what qmail-queue stored.
var delivered = regexp.MustCompile(`^Return-Path: <(.*)>
Delivered-To: (.*)
Received: \(qmail [0-9]+ invoked by uid [0-9]+\); [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} -0000
Received: from unknown \(HELO client\.test\) \(127\.0\.0\.1\)
  by paperpath\.test with SMTP; [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} -0000
`)

func TestMail(t *testing.T) {
	s := start(t, runDir(t))

	t.Run("bytes", func(t *testing.T) {
		big := strings.Repeat("0123456789abcdef 0123456789abcdef 0123456789abcdef 0123456789ab\r\n", 10<<20/66)
		for name, data := range map[string]string{
			"plain":   "Subject: plain\r\n\r\nhello\r\n",
			"eight":   "Subject: gr\xc3\xbc\xc3\x9fe \xff\r\n\r\n\x80\xfe\r\n",
			"dots":    "Subject: dots\r\n\r\n..\r\n...leading\r\n..x\r\n",
			"nothing": "",
			"nobody":  "Subject: no body\r\n",
			"long":    "Subject: long\r\n\r\n" + strings.Repeat("x", 100000) + "\r\n",
			"nul":     "Subject: nul\r\n\r\na\x00b\r\n",
			"big":     "Subject: big\r\n\r\n" + big,
		} {
			s.send(name+"@client.test", "alice@"+host, data)
			text := s.arrived("Return-Path: <" + name + "@client.test>\n")
			head := delivered.FindStringSubmatch(text)
			if head == nil {
				t.Errorf("%s: not the header that qmail writes:\n%.500s", name, text)
				continue
			}
			if head[1] != name+"@client.test" || head[2] != "alice@"+host {
				t.Errorf("%s: Return-Path %s, Delivered-To %s", name, head[1], head[2])
			}
			want := strings.ReplaceAll("\n"+strings.ReplaceAll(data, "\r\n", "\n"), "\n.", "\n")[1:]
			if got := text[len(head[0]):]; got != want {
				t.Errorf("%s: body of %d bytes, want %d: %.200q", name, len(got), len(want), got)
			}
		}
	})

	t.Run("bob", func(t *testing.T) {
		s.send("s@client.test", "bob-list@"+host, "Subject: to the list\r\n\r\nFrom here\r\n")
		s.arrived("Delivered-To: bob-list@" + host)
		eventually(t, "bob's mbox", func() bool {
			text, _ := os.ReadFile(filepath.Join(s.dir, "home/bob/Mailbox"))
			return strings.HasPrefix(string(text), "From s@client.test ") &&
				strings.Contains(string(text), "\nSubject: to the list\n\n>From here\n\n")
		})
	})

	t.Run("recipients", func(t *testing.T) {
		s.write("home/alice/.qmail-default", "./Maildir/\n")
		var to []string
		for i := range 100 {
			to = append(to, fmt.Sprintf("alice-%03d@%s", i, host))
		}
		reply, err := s.submit("many@client.test", to, "Subject: many\r\n\r\n")
		if err != nil || reply[0] != '2' {
			t.Fatalf("%q %v", reply, err)
		}
		for _, r := range to {
			s.arrived("Delivered-To: " + r + "\n")
		}
	})

	t.Run("bounce", func(t *testing.T) {
		s.send("alice@"+host, "nobody@"+host, "Subject: lost\r\n\r\nthe original\r\n")
		text := s.arrived("Subject: failure notice")
		for _, want := range []string{
			"Return-Path: <>\nDelivered-To: alice@" + host + "\n",
			"From: MAILER-DAEMON@" + host + "\nTo: alice@" + host + "\nSubject: failure notice\n",
			"\nHi. This is the qmail-send program at " + host + ".\n",
			"\n<nobody@" + host + ">:\nSorry, no mailbox here by that name. (#5.1.1)\n",
			"\n--- Below this line is a copy of the message.\n\nReturn-Path: <alice@" + host + ">\n",
			"Subject: lost\n\nthe original\n",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("the bounce lacks %q:\n%s", want, text)
			}
		}
	})

	t.Run("bare line feed", func(t *testing.T) {
		reply, err := s.submit("lf@client.test", []string{"alice@" + host}, "Subject: lf\r\n\r\nbare\nlf\r\n")
		if err != nil || !strings.HasPrefix(reply, "451 ") {
			t.Errorf("%q %v", reply, err)
		}
		reply, err = s.submit("x@client.test", []string{"alice@" + host}, "Subject: x\r\n\r\na\n.\r\n")
		if err != nil || !strings.HasPrefix(reply, "451 ") {
			t.Errorf("%q %v", reply, err)
		}
		if text := s.find("home/alice/Maildir/new", "Return-Path: <lf@"); text != "" {
			t.Errorf("delivered:\n%s", text)
		}
	})

	t.Run("remote", func(t *testing.T) {
		sink := newSink(t)
		s.write("control/smtproutes", fmt.Sprintf("elsewhere.test:[127.0.0.1]:%d\n", sink.port))
		s.send("alice@"+host, "someone@elsewhere.test", "Subject: away\r\n\r\n..dot\r\n")
		eventually(t, "the sink gets it", func() bool { return sink.has("\r\nSubject: away\r\n\r\n..dot\r\n.\r\n") })
	})

	t.Run("refusals", func(t *testing.T) {
		// Loopback may relay; a badmailfrom entry may not send at all.
		s.write("control/badmailfrom", "bad@client.test\n")
		reply, err := s.submit("bad@client.test", []string{"alice@" + host}, "x\r\n")
		if err != nil || reply != "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)" {
			t.Errorf("%q %v", reply, err)
		}
	})
	s.empty()
	if log := s.log("qmail-send"); !strings.Contains(log, " end msg ") {
		t.Errorf("nothing ended in the log:\n%s", log)
	}
	for _, line := range strings.Split(strings.TrimSpace(s.tool("svstat", s.dir+"/service/qmail-send", s.dir+"/service/qmail-smtpd")), "\n") {
		if !strings.Contains(line, ": up (pid ") {
			t.Errorf("svstat: %s", line)
		}
	}
	s.stop()
}

// A second start finds what the first one left.
func TestRestart(t *testing.T) {
	dir := runDir(t)
	s := start(t, dir)
	s.write("control/locals", "localhost\n") // what was local has nowhere to go
	s.write("control/smtproutes", host+":[127.0.0.1]:1\n")
	s.tool("svc", "-h", dir+"/service/qmail-send")
	s.send("alice@"+host, "alice@"+host, "Subject: waits\r\n\r\n")
	eventually(t, "a deferral", func() bool { return strings.Contains(s.log("qmail-send"), " deferral: ") })
	s.stop()

	s.write("control/locals", host+"\nlocalhost\n")
	s.write("control/smtproutes", host+":[127.0.0.1]:"+fmt.Sprint(deadPort(t))+"\n")
	again := start(t, dir)
	if out := again.tool("qmail-qread"); !strings.Contains(out, "\tremote\talice@"+host+"\n") {
		t.Errorf("the queue after the restart:\n%s", out)
	}
	if again.find("home/alice/Maildir/new", "Subject: Welcome to Paperpath") == "" {
		t.Error("the first welcome is gone")
	}
	again.stop()
}

func deadPort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
