package filter

import (
	"bytes"
	"strings"
	"testing"

	"paperpath/internal/proc/proctest"
)

func TestAddcrAndDelcr(t *testing.T) {
	for _, c := range []struct{ in, add, del string }{
		{"", "", ""},
		{"a", "a", "a"},
		{"a\n", "a\r\n", "a\n"},
		{"a\r\n", "a\r\r\n", "a\n"},
		{"a\r\r\nb", "a\r\r\r\nb", "a\r\nb"},
		{"\n\n", "\r\n\r\n", "\n\n"},
		{"a\r", "a\r", "a\r"},
		{"a\rb\r\r", "a\rb\r\r", "a\rb\r\r"},
		{"\x00\r\n\xff", "\x00\r\r\n\xff", "\x00\n\xff"},
	} {
		if r := proctest.Run(&Addcr, proctest.Case{In: c.in}); r.Out != c.add || r.Status != 0 || r.Err != "" {
			t.Errorf("addcr %q: %+v", c.in, r)
		}
		if r := proctest.Run(&Delcr, proctest.Case{In: c.in}); r.Out != c.del || r.Status != 0 || r.Err != "" {
			t.Errorf("delcr %q: %+v", c.in, r)
		}
	}
}

// What delcr and fixcrio do does not depend on how the data come: they agree
// with the C programs' loops, a byte at a time.
func FuzzPieces(f *testing.F) {
	f.Add([]byte("a\r\r\nb\r\n\n\r"), uint8(1))
	f.Add([]byte("\n\r\n\r\r\n"), uint8(3))
	f.Fuzz(func(t *testing.T, in []byte, n uint8) {
		var delcr, fixcr []byte
		var d DelCR
		var x fixCR
		for rest := in; len(rest) > 0; {
			piece := rest[:min(len(rest), int(n)+1)]
			rest = rest[len(piece):]
			delcr, fixcr = d.Append(delcr, piece), x.append(fixcr, piece)
		}
		delcr = d.AppendEnd(delcr)
		if want := strings.ReplaceAll(string(in), "\r\n", "\n"); string(delcr) != want {
			t.Errorf("delcr %q: %q", in, delcr)
		}
		var want []byte
		cr := false
		for _, c := range in {
			if c == '\n' && !cr {
				want = append(want, '\r')
			}
			want = append(want, c)
			cr = c == '\r'
		}
		if !bytes.Equal(fixcr, want) {
			t.Errorf("fixcrio %q: %q, want %q", in, fixcr, want)
		}
	})
}
