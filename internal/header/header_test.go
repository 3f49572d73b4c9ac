package header

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// split reads a whole message: its fields, each between bars, and the body.
func split(in io.Reader, limit int) (fields, body string, err error) {
	r := NewReader(in, limit)
	for {
		field, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fields, "", err
		}
		fields += string(field) + "|"
	}
	if _, err := r.Next(); err != io.EOF {
		return fields, "", errors.New("fields after the last one")
	}
	var b bytes.Buffer
	err = r.WriteBody(&b)
	return fields, b.String(), err
}

func TestMessages(t *testing.T) {
	for _, c := range []struct{ in, fields, body string }{
		{"", "", ""},
		{"\n", "", "\n"},
		{"A: b", "A: b\n|", ""},
		{"A: b\n", "A: b\n|", ""},
		{"A: b\n\n", "A: b\n|", "\n"},
		{"A: b\n c\n\td\nE:\n\nbody\nbody", "A: b\n c\n\td\n|E:\n|", "\nbody\nbody\n"},
		{"A: b\n c", "A: b\n c\n|", ""},
		{"A: b\nbody\n", "A: b\n|", "\nbody\n"},
		{"A: b\nbody", "A: b\n|", "\nbody\n"},
		{" A: b\nC: d\n", "", "\n A: b\nC: d\n"},
		{"From a b\nC: d\n\n", "MBOX-Line: From a b\n|C: d\n|", "\n"},
		{"From a", "MBOX-Line: From a\n|", ""},
		{"A: b\r\n\r\nc\r\n", "A: b\r\n|", "\n\r\nc\r\n"},
		{"A\x00: b\n", "", "\nA\x00: b\n"},
		{"A: \x00\n\n\x00", "A: \x00\n|", "\n\x00\n"},
		{"A \t : b\n", "A \t : b\n|", ""},
		{"A b: c\n", "", "\nA b: c\n"},
		{": c\n", "", "\n: c\n"},
		{" : c\n", "", "\n : c\n"},
	} {
		for name, in := range map[string]io.Reader{
			"at once":  strings.NewReader(c.in),
			"bytewise": iotest.OneByteReader(strings.NewReader(c.in)),
			"eager":    iotest.DataErrReader(strings.NewReader(c.in)),
		} {
			fields, body, err := split(in, 1000)
			if fields != c.fields || body != c.body || err != nil {
				t.Errorf("%q %s: %q, %q, %v", c.in, name, fields, body, err)
			}
		}
	}
}

func TestLimit(t *testing.T) {
	in := "A: " + strings.Repeat("b", 100) + "\n\n"
	for limit, want := range map[int]error{104: ErrTooLong, 105: nil, 50: ErrTooLong} {
		if _, _, err := split(strings.NewReader(in+strings.Repeat("body\n", 100000)), limit); err != want {
			t.Errorf("limit %d: %v, want %v", limit, err, want)
		}
	}
}

func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, in := range []string{"", "A: b\n", "A: b", "A: b\n\nc"} {
		_, _, err := split(io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken)), 1000)
		if err != broken {
			t.Errorf("%q: %v", in, err)
		}
	}
	for room := range 2 { // for the newline, for the body
		r := NewReader(strings.NewReader("body"), 1000)
		r.Next()
		if err := r.WriteBody(&full{room: room}); err != errFull {
			t.Errorf("room for %d writes: %v", room, err)
		}
	}
}

var errFull = errors.New("full")

// full takes some writes.
type full struct{ room int }

func (f *full) Write(b []byte) (int, error) {
	if f.room--; f.room < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestKind(t *testing.T) {
	for in, want := range map[string]Field{
		"to: x": To, "TO\t :": To, "Resent-Reply-To: x": ResentReplyTo, "content-length:": ContentLength,
		"Mail-Followup-To:": MailFollowupTo, "sender:": Sender, "MESSAGE-ID:": MessageID, "Message-Id:": MessageID,
		"to": Other, "to x:": Other, "tot:": Other, "t:": Other, "": Other, ":": Other, "message_id:": Other,
		"ReSent\rReply-to:": Other, "resentMreply-to:": Other, "to\x00:": Other,
	} {
		if got := Kind([]byte(in)); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
	for k := Sender; k < Fields; k++ {
		if got := Kind([]byte(strings.ToUpper(names[k]) + ":")); got != k {
			t.Errorf("%s: %d, want %d", names[k], got, k)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, s := range []string{"", "A: b\n c\n\nbody", "From a\nA: b\nbody\n", "\r\n", "A\x00:\n", "A: b\n\t"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fields, body, err := split(strings.NewReader(s), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		// Nothing but a final newline, and one before a body that began
		// without, was added.
		want := s
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		head := ""
		for _, field := range strings.SplitAfter(fields, "\n|") {
			field = strings.TrimSuffix(field, "|")
			if rest, ok := strings.CutPrefix(field, "MBOX-Line: From "); ok && !strings.HasPrefix(want[len(head):], "MBOX-Line: ") {
				field = "From " + rest
			}
			head += field
		}
		if head+body != want && head+strings.TrimPrefix(body, "\n") != want {
			t.Fatalf("%q became %q and %q", s, head, body)
		}
	})
}
