package queue

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
)

// qq lays out a home whose bin/qmail-queue is a shell script.
func qq(t *testing.T, script string) string {
	t.Helper()
	home := t.TempDir()
	if err := os.Mkdir(home+"/bin", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(home+"/bin/qmail-queue", []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return home
}

var vars = proc.Vars{"PATH=/usr/bin:/bin", "COLOR=blue"}

func send(t *testing.T, home string, vars proc.Vars, message string, recipients ...string) string {
	t.Helper()
	c, err := Start(home, vars)
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte(message))
	c.Envelope("sender@a.example")
	for _, r := range recipients {
		c.Recipient(r)
	}
	return c.Close()
}

const keep = "cat >message; cat <&1 >envelope; echo $$ \"$COLOR\" $0 >args; ls /proc/self/fd >fds"

func TestWhatQmailQueueGets(t *testing.T) {
	sys.CloseOnExecFrom(3) // what the test's own caller left open
	home := qq(t, keep)
	message := strings.Repeat("a line of a message\n", 20_000) // more than pipes and buffers hold
	c, err := Start(home, vars)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(message); i += 100 {
		if n, err := c.Write([]byte(message[i : i+100])); n != 100 || err != nil {
			t.Fatal(n, err)
		}
	}
	c.Envelope("s@x")
	recipients := ""
	for i := range 20_000 {
		c.Recipient("r" + strconv.Itoa(i))
		recipients += "Tr" + strconv.Itoa(i) + "\x00"
	}
	if got := c.Close(); got != "" {
		t.Fatal(got)
	}
	for file, want := range map[string]string{
		"message":  message,
		"envelope": "Fs@x\x00" + recipients + "\x00",
		"args":     strconv.Itoa(c.PID()) + " blue bin/qmail-queue\n",
	} {
		if got, err := os.ReadFile(filepath.Join(home, file)); err != nil || string(got) != want {
			t.Errorf("%s: %.80q, want %.80q (%v)", file, got, want, err)
		}
	}
	// 0, 1, 2 and 6 are what it was given; 3 is ls's own.
	if got, err := os.ReadFile(home + "/fds"); err != nil || string(got) != "0\n1\n2\n3\n6\n" {
		t.Errorf("descriptors %q (%v)", got, err)
	}
}

func TestQMAILQUEUE(t *testing.T) {
	home := qq(t, "exit 53")
	other := qq(t, "cat >/dev/null; exit 0")
	for value, want := range map[string]string{
		other + "/bin/qmail-queue": "",
		"bin/qmail-queue":          "Zqq write error or disk full (#4.3.0)", // from the home directory
		"":                         "Zunable to exec qq (#4.3.0)",
		home + "/bin/missing":      "Zunable to exec qq (#4.3.0)",
		home + "/bin":              "Zunable to exec qq (#4.3.0)",
	} {
		if got := send(t, home, append(vars.Clone(), "QMAILQUEUE="+value), "x", "r"); got != want {
			t.Errorf("QMAILQUEUE=%s: %q, want %q", value, got, want)
		}
	}
	if got := send(t, home+"/missing", vars, "x", "r"); got != "Zqq trouble in home directory (#4.3.0)" {
		t.Errorf("no home: %q", got)
	}
}

// The answers are qmail.c's for every status.
func TestAnswers(t *testing.T) {
	permanent, temporary := "Dqq permanent problem (#5.3.0)", "Zqq temporary problem (#4.3.0)"
	files := "Zqq trouble creating files in queue (#4.3.0)"
	for status, want := range map[int]string{
		0: "", 1: temporary, 10: temporary, 11: "Denvelope address too long for qq (#5.1.3)",
		12: permanent, 31: "Dmail server permanently rejected message (#5.3.0)", 40: permanent, 41: temporary,
		51: "Zqq out of memory (#4.3.0)", 52: "Zqq timeout (#4.3.0)", 53: "Zqq write error or disk full (#4.3.0)",
		54: "Zqq read error (#4.3.0)", 55: "Zqq unable to read configuration (#4.3.0)",
		56: "Zqq trouble making network connection (#4.3.0)", 61: "Zqq trouble in home directory (#4.3.0)",
		62: files, 63: files, 64: files, 65: files, 66: files, 67: temporary,
		71: "Zmail server temporarily rejected message (#4.3.0)", 72: "Zconnection to mail server timed out (#4.4.1)",
		73: "Zconnection to mail server rejected (#4.4.1)", 74: "Zcommunication with mail server failed (#4.4.2)",
		81: "Zqq internal bug (#4.3.0)", 82: temporary, 91: "Zqq internal bug (#4.3.0)", 100: temporary, 111: temporary,
		115: "Denvelope address too long for qq (#5.1.3)", 120: "Zunable to exec qq (#4.3.0)", 255: temporary,
	} {
		if got := send(t, qq(t, "cat >/dev/null; cat <&1 >/dev/null; exit "+strconv.Itoa(status)), vars, "x", "r"); got != want {
			t.Errorf("status %d: %q, want %q", status, got, want)
		}
	}
	if got := send(t, qq(t, "kill -9 $$"), vars, "x", "r"); got != "Zqq crashed (#4.3.0)" {
		t.Errorf("killed: %q", got)
	}
}

func TestTextOnDescriptor6(t *testing.T) {
	long := strings.Repeat("y", 400)
	for script, want := range map[string]string{
		"printf 'Dno such thing (#5.7.1)' >&6; exit 82":  "Dno such thing (#5.7.1)",
		"printf 'Zlater\\n' >&6; exit 82":                "Zlater",
		"printf 'Dtwo\\r\\n250 ok\\n' >&6; exit 82":      "Dtwo??250 ok",
		"printf 'Dcut\\000off' >&6; exit 82":             "Dcut",
		"printf 'Dx\\n\\n' >&6; exit 82":                 "Zqq temporary problem (#4.3.0)", // too short
		"printf '\\n\\n\\n\\n' >&6; exit 82":             "Zqq temporary problem (#4.3.0)", // never "queued"
		"printf '\\000abc' >&6; exit 82":                 "Zqq temporary problem (#4.3.0)",
		"printf 'Dx" + long + "' >&6; exit 82":           "Dx" + long[:253],
		"exit 82":                                        "Zqq temporary problem (#4.3.0)",
		"cat >/dev/null; printf 'Dignored' >&6; exit 0":  "",
		"cat >/dev/null; printf 'Dignored' >&6; exit 31": "Dmail server permanently rejected message (#5.3.0)",
	} {
		if got := send(t, qq(t, script), vars, "x", "r"); got != want {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
	// One that never stops talking is cut off.
	if got := send(t, qq(t, "yes >&6; exit 82"), vars, "x", "r"); got == "" {
		t.Error("endless text: queued")
	}
}

// After Fail, or a mistake in the order of calls, or a NUL that would forge a
// record, the envelope never gets its last NUL, and the answer is not "queued"
// even of a program that does not look.
func TestGivingUp(t *testing.T) {
	for what, do := range map[string]func(c *Client){
		"fail at once":            func(c *Client) { c.Fail(); c.Envelope("s"); c.Recipient("r") },
		"fail after the sender":   func(c *Client) { c.Write([]byte("x")); c.Envelope("s"); c.Fail(); c.Recipient("r") },
		"fail after a recipient":  func(c *Client) { c.Envelope("s"); c.Recipient("r"); c.Fail() },
		"no envelope":             func(c *Client) { c.Write([]byte("x")) },
		"recipient before sender": func(c *Client) { c.Recipient("r"); c.Envelope("s") },
		"message after envelope":  func(c *Client) { c.Envelope("s"); c.Write([]byte("x")); c.Recipient("r") },
		"two senders":             func(c *Client) { c.Envelope("s"); c.Envelope("s"); c.Recipient("r") },
		"NUL in the sender":       func(c *Client) { c.Envelope("s\x00Tx"); c.Recipient("r") },
		"NUL in a recipient":      func(c *Client) { c.Envelope("s"); c.Recipient("r\x00"); c.Recipient("q") },
	} {
		home := qq(t, "cat >message; cat <&1 >envelope; exit 0")
		c, err := Start(home, vars)
		if err != nil {
			t.Fatal(err)
		}
		do(c)
		if got := c.Close(); got != "Zqq read error (#4.3.0)" {
			t.Errorf("%s: %q", what, got)
		}
		envelope, err := os.ReadFile(home + "/envelope")
		if err != nil || bytes.HasSuffix(envelope, []byte("\x00\x00")) {
			t.Errorf("%s: envelope %q (%v)", what, envelope, err)
		}
	}
}

// A program that ends without reading makes writes fail, and its status says
// why; it does not kill the client.
func TestProgramThatDoesNotRead(t *testing.T) {
	c, err := Start(qq(t, "exec <&- 1>&-; exit 71"), vars)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; err == nil; i++ {
		if i > 1000 {
			t.Fatal("writes to nobody succeed")
		}
		_, err = c.Write(make([]byte, 10_000))
	}
	if _, again := c.Write([]byte("x")); !errors.Is(again, errFailed) {
		t.Errorf("error forgotten: %v", again)
	}
	c.Envelope("s")
	c.Recipient("r")
	if got := c.Close(); got != "Zmail server temporarily rejected message (#4.3.0)" {
		t.Error(got)
	}
}
