package netstring

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestAppend(t *testing.T) {
	for in, want := range map[string]string{"": "0:,", "hello": "5:hello,", "a\x00,": "3:a\x00,,", strings.Repeat("x", 1000): "1000:" + strings.Repeat("x", 1000) + ","} {
		if got := string(Append([]byte("x"), in)); got != "x"+want {
			t.Errorf("%.10q: %.20q", in, got)
		}
		if got := string(Append(nil, []byte(in))); got != want {
			t.Errorf("%.10q: %.20q", in, got)
		}
	}
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string
		err  error
	}{
		{"5:hello,", "hello", nil},
		{"0:,", "", nil},
		{"3:a,b,", "a,b", nil},
		{"2:\x00\n,", "\x00\n", nil},
		{"8:01234567,", "01234567", nil},
		{"9:012345678,", "", ErrTooLong},
		{"99999999999999999999999999:", "", ErrTooLong},
		{"", "", io.EOF},
		{"5", "", io.ErrUnexpectedEOF},
		{"5:", "", io.ErrUnexpectedEOF},
		{"5:hello", "", io.ErrUnexpectedEOF},
		{"5:hello.", "", ErrBad},
		{":,", "", ErrBad},
		{"05:hello,", "", ErrBad},
		{"00:,", "", ErrBad},
		{"-1:,", "", ErrBad},
		{"+1:a,", "", ErrBad},
		{" 1:a,", "", ErrBad},
		{"1 :a,", "", ErrBad},
		{"x", "", ErrBad},
	} {
		for name, in := range map[string]io.Reader{
			"at once":  strings.NewReader(c.in),
			"bytewise": iotest.OneByteReader(strings.NewReader(c.in)),
		} {
			if got, err := Read(bufio.NewReader(in), 8); string(got) != c.want || err != c.err {
				t.Errorf("%q %s: %q, %v", c.in, name, got, err)
			}
		}
	}
}

// A timeout is told from an end.
func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, in := range []string{"", "1", "5:", "5:hel"} {
		r := bufio.NewReader(io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken)))
		if _, err := Read(r, 8); err != broken {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{"5:hello,", "0:,0:,", "05:hello,", "5:hello", ":", "99999999999999999999:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := bufio.NewReader(strings.NewReader(s))
		var again []byte
		for {
			b, err := Read(r, 1000)
			if err != nil {
				break
			}
			again = Append(again, b)
		}
		if !strings.HasPrefix(s, string(again)) {
			t.Fatalf("%q was read as %q", s, again)
		}
	})
}
