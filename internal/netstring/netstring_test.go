package netstring

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func reader(s string) *Reader {
	return NewReader(bufio.NewReaderSize(iotest.HalfReader(strings.NewReader(s)), 16))
}

func TestBytes(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, c := range []struct {
		in   string
		want string
		ok   bool
		err  error
	}{
		{"5:hello,", "hello", true, nil},
		{"0:,", "", true, nil},
		{":,", "", true, nil},
		{"005:hello,", "hello", true, nil},
		{"50:" + long[:50] + ",", long[:50], true, nil},
		{"51:" + long[:51] + ",", "", false, nil},
		{"100:" + long + ",", "", false, nil},
		{"", "", false, io.EOF},
		{"5", "", false, io.ErrUnexpectedEOF},
		{"5:", "", true, io.ErrUnexpectedEOF},
		{"5:hell", "", true, io.ErrUnexpectedEOF},
		{"5:hello", "", true, io.ErrUnexpectedEOF},
		{"5:hello;", "", true, ErrBad},
		{"-1:", "", false, ErrBad},
		{" 1:a,", "", false, ErrBad},
		{"5;hello,", "", false, ErrBad},
		{strings.Repeat("9", 19) + ":", "", false, ErrTooLong},
		{strings.Repeat("0", 21) + ":,", "", false, ErrTooLong},
	} {
		got, ok, err := reader(c.in).Bytes(50)
		if err != c.err || err == nil && (string(got) != c.want || ok != c.ok) {
			t.Errorf("%.30q: %q, %v, %v", c.in, got, ok, err)
		}
	}
}

// One netstring holds two; what is in there cannot reach out.
func TestEnter(t *testing.T) {
	r := reader("8:1:a,2:bc,,9")
	n, err := r.Len(100)
	if n != 8 || err != nil {
		t.Fatal(n, err)
	}
	r.Enter(n + 1)
	var got []string
	for range 2 {
		s, _, err := r.Bytes(10)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(s))
	}
	if got[0] != "a" || got[1] != "bc" || r.Left() != 0 {
		t.Errorf("%q, %d left", got, r.Left())
	}
	if err := r.Leave(); err != nil {
		t.Error(err)
	}
	if c, err := r.Byte(); c != '9' || err != nil {
		t.Errorf("behind: %c, %v", c, err)
	}

	for _, s := range []string{"3:abc,", "9:abc,", "1"} {
		r := reader(s)
		r.Enter(5)
		if _, _, err := r.Bytes(10); s == "1" && err != io.ErrUnexpectedEOF || s != "1" && err != ErrBad {
			t.Errorf("%s in five bytes: %v", s, err)
		}
	}
	r = reader("ab,")
	r.Enter(2)
	r.Byte()
	if err := r.Leave(); err != ErrBad {
		t.Errorf("left before the end: %v", err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("9:1:a,2:bc,,"))
	f.Add([]byte("99999999999:"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bufio.NewReader(bytes.NewReader(in)))
		s, ok, err := r.Bytes(1000)
		if err != nil || !ok {
			return
		}
		// What was read is what Append writes, but for zeros in front.
		if again := Append(nil, s); !bytes.HasSuffix(again, []byte(":"+string(s)+",")) {
			t.Errorf("%q → %q", s, again)
		}
		inner := NewReader(bufio.NewReader(bytes.NewReader(s)))
		inner.Enter(int64(len(s)))
		for inner.Left() > 0 {
			if _, _, err := inner.Bytes(10); err != nil {
				break
			}
		}
	})
}
