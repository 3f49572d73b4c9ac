package line

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestRead(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, c := range []struct {
		in    string
		end   byte
		limit int
		want  string // lines with bars behind them, then what ended the input
	}{
		{"", '\n', 10, "|EOF"},
		{"a", '\n', 10, "a|EOF"},
		{"a\n", '\n', 10, "a\n||EOF"},
		{"a\nb\n\nc", '\n', 10, "a\n|b\n|\n|c|EOF"},
		{"a\x00b\n", 0, 10, "a\x00|b\n|EOF"},
		{long + "\n", '\n', 101, long + "\n||EOF"},
		{long + "\n", '\n', 100, "|line too long"},
		{long, '\n', 100, long + "|EOF"},
		{long, '\n', 99, "|line too long"},
		{"a\n" + long, '\n', 99, "a\n||line too long"},
	} {
		for name, in := range map[string]io.Reader{
			"at once":  strings.NewReader(c.in),
			"bytewise": iotest.OneByteReader(strings.NewReader(c.in)),
			"eager":    iotest.DataErrReader(strings.NewReader(c.in)),
		} {
			r := bufio.NewReaderSize(in, 16)
			got, err := "", error(nil)
			for err == nil {
				var l []byte
				l, err = Read(r, c.end, c.limit)
				got += string(l) + "|"
			}
			if got += err.Error(); got != c.want {
				t.Errorf("%.20q %s: %q, want %q", c.in, name, got, c.want)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	r := bufio.NewReader(io.MultiReader(strings.NewReader("half a line"), iotest.ErrReader(broken)))
	if l, err := Read(r, '\n', 100); l != nil || err != broken {
		t.Errorf("%q, %v", l, err)
	}
}

func TestTheLineIsTheCallers(t *testing.T) {
	r := bufio.NewReaderSize(strings.NewReader("first\nother\n"), 16)
	first, _ := Read(r, '\n', 100)
	Read(r, '\n', 100)
	if string(first) != "first\n" {
		t.Errorf("%q", first)
	}
}
