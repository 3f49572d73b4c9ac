package send

import (
	"strconv"
	"strings"
	"testing"

	"paperpath/internal/fsys/crashfs"
)

// The expectations are what notqmail's qmail-send wrote.
func TestBounceText(t *testing.T) {
	for _, c := range [][3]string{
		{"a@b", "no\n", "<a@b>:\nno\n\n"},
		{"a@b", "no", "<a@b>:\nno\n\n"},
		{"a@b", "", "<a@b>:\n\n"},
		{"a\nb@c", "x\n", "<a_b@c>:\nx\n\n"},
		{"a@b", "one\n\n\ntwo\n", "<a@b>:\none\n//two\n\n"},
		{"a@b", "\n\n", "<a@b>:\n/\n\n"},
		{"a@b", "x\n\n", "<a@b>:\nx\n\n\n"},
	} {
		if got := string(bounceText(c[0], c[1])); got != c[2] {
			t.Errorf("%q %q: %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

func TestSafe(t *testing.T) {
	if got := safe("a b%c\nd\x00\x7f\xe9~!\t"); got != "a_b_c/d___~!_" {
		t.Errorf("%q", got)
	}
}

func TestRecorderAppendsAllOrNothing(t *testing.T) {
	for n := range 12 {
		fs := crashfs.New("bounce")
		if created, err := appendSynced(fs, "bounce/1", []byte("first\n")); err != nil || !created {
			t.Fatal(created, err)
		}
		fs.Fault = crashfs.FailNth(fs.Calls()+n, crashfs.Short(enospc))
		created, err := appendSynced(fs, "bounce/1", []byte("second\n"))
		fs.Fault = nil
		if created {
			t.Error("created a file that was there")
		}
		want := "first\nsecond\n"
		if err != nil {
			want = "first\n"
		}
		if got := read(t, fs, "bounce/1"); got != want {
			t.Errorf("call %d failing with %v: %q", n, err, got)
		}
	}
}

func TestQSBMF(t *testing.T) {
	c := controls{"me": "here.example\n", "bouncefrom": "mail er\n", "bouncehost": "bounce.example\n"}
	h := open(t, emptyQueue(), c)
	h.send("Subject: x\n\nbody\n", "two words@here.example", "fail1@here.example", "fail2@there.example")
	h.awaitEmpty()
	h.close()
	d := h.deliveries()
	if len(d) != 1 || d[0].sender != "" || d[0].recipient != "two words@here.example" {
		t.Fatalf("%+v", d)
	}
	_, body, _ := strings.Cut(d[0].body, "\nFrom: ")
	head, rest, _ := strings.Cut(body, "\n\n<")
	if want := "\"mail er\"@bounce.example\nTo: \"two words\"@here.example\nSubject: failure notice\n\n" +
		"Hi. This is the qmail-send program at bounce.example.\n" +
		"I'm afraid I wasn't able to deliver your message to the following addresses.\n" +
		"This is a permanent error; I've given up. Sorry it didn't work out."; head != want {
		t.Errorf("head %q", head)
	}
	_, tail, _ := strings.Cut(rest, "\n\n---")
	if want := " Below this line is a copy of the message.\n\nReturn-Path: <\"two words\"@here.example>\nReceived: "; !strings.HasPrefix(tail, want) {
		t.Errorf("tail %q", tail)
	}
	for _, r := range []string{"<fail1@here.example>:\nSorry", "<fail2@there.example>:\nSorry"} {
		if !strings.Contains("<"+rest, r) {
			t.Errorf("no %q in %q", r, rest)
		}
	}
}

// A bounce that bounces makes a double bounce, that one nothing.
func TestBouncesEnd(t *testing.T) {
	c := controls{"me": "here.example\n", "doublebounceto": "failpostmaster\n"}
	h := open(t, emptyQueue(), c)
	h.send("Subject: x\n\nbody\n", "failsender@here.example", "fail1@here.example")
	h.awaitLog("triple bounce: discarding bounce/")
	h.awaitEmpty()
	h.close()
	log := h.log.String()
	if n := strings.Count(log, "\nbounce msg "); n != 2 {
		t.Errorf("%d bounces\n%s", n, log)
	}
	if !strings.Contains(log, "from <#@[]> qp") || !strings.Contains(log, "local failpostmaster@here.example") {
		t.Errorf("no double bounce\n%s", log)
	}
}

// A bounce that cannot be injected stays, and is tried again.
func TestBounceThatCannotBeInjectedIsKept(t *testing.T) {
	fs := emptyQueue()
	h := open(t, fs, usual)
	h.mu.Lock()
	h.submits = enospc
	h.mu.Unlock()
	h.send("x\n", "s@here.example", "fail1@here.example")
	h.awaitLog("warning: unable to start qmail-queue, will try later\n")
	h.close()
	if names := strings.Join(files(fs), " "); !strings.Contains(names, "bounce/") || !strings.Contains(names, "info/") {
		t.Errorf("left %s", names)
	}
	h = open(t, fs, usual)
	h.await("bounce", func() bool { return len(files(fs)) == 0 })
	h.close()
	if d := h.deliveries(); len(d) != 1 || d[0].recipient != "s@here.example" {
		t.Errorf("%+v", d)
	}
}

// With control/bouncemaxbytes only the beginning of the message goes back; the
// words are those of the patch by that name.
func TestBounceMaxBytes(t *testing.T) {
	for _, c := range []struct {
		limit string
		more  int // bytes of the queued message beyond the limit
		cut   bool
	}{
		{"", 0, false},
		{"not a number\n", 0, false},
		{"0\n", 1, true},
		{"100\n", 0, false},
		{"100\n", 1, true},
		{"100\n", 70_000, true},
		{"99999\n", -99000, false},
	} {
		settings := controls{"me": "here.example\n", "bouncemaxbytes": c.limit}
		if c.limit == "" {
			delete(settings, "bouncemaxbytes")
		}
		limit, _ := strconv.Atoi(strings.TrimSpace(c.limit))
		body := strings.Repeat("x", 200)
		if limit > 0 {
			const received = len("Received: (qmail 4711 invoked for bounce); 21 Nov 2026 09:07:03 -0000\n")
			body = strings.Repeat("y", max(limit+c.more-received, 5))
		}
		h := open(t, emptyQueue(), settings)
		h.send(body, "s@here.example", "fail@here.example")
		h.awaitEmpty()
		h.close()
		d := h.deliveries()
		if len(d) != 1 {
			t.Fatalf("%+v", d)
		}
		_, tail, _ := strings.Cut(d[0].body, "Return-Path: <s@here.example>\n")
		tail, cut := strings.CutSuffix(tail, "\n\n--- End of message stripped.\n")
		if cut != c.cut || cut && len(tail) != limit || !cut && !strings.HasSuffix(tail, body) {
			t.Errorf("limit %q, %d more: cut %v, %d bytes left", c.limit, c.more, cut, len(tail))
		}
	}
}

func TestDateOfBounces(t *testing.T) {
	for text, want := range map[string]string{"0\n": " -0000", "1\n": " +0500"} {
		h := open(t, emptyQueue(), controls{"me": "here.example\n", "datelocaltime": text})
		h.send("x", "s@here.example", "fail@here.example")
		h.awaitEmpty()
		h.close()
		_, date, _ := strings.Cut(h.deliveries()[0].body, "\nDate: ")
		if date, _, _ = strings.Cut(date, "\n"); !strings.HasSuffix(date, want) {
			t.Errorf("datelocaltime %q: %q", text, date)
		}
	}
}
