package mbox

import (
	"bufio"
	"regexp"
	"strings"
	"testing"
)

func TestQuote(t *testing.T) {
	long := strings.Repeat(">", 3*blockSize)
	for in, want := range map[string]string{
		"From a\n":              ">From a\n\n",
		">From a\n":             ">>From a\n\n",
		">>>From a\n":           ">>>>From a\n\n",
		" From a\n":             " From a\n\n",
		"from a\n":              "from a\n\n",
		"From\n":                "From\n\n",
		"Fromage\n":             "Fromage\n\n",
		"From\ta\n":             "From\ta\n\n",
		"FFrom a\n":             "FFrom a\n\n",
		"F>From a\n":            "F>From a\n\n",
		">F>From a\nFrom b":     ">F>From a\n>From b\n\n",
		"a From b\n\nFrom \n":   "a From b\n\n>From \n\n",
		"\rFrom a\n":            "\rFrom a\n\n",
		"\nFrom":                "\nFrom\n\n",
		long + "From a\n":       long + ">From a\n\n",
		long + ">\nFrom a\n\nF": long + ">\n>From a\n\nF\n\n",
	} {
		for size := 1; size < 9; size++ {
			if got := quoted(in, size); got != want {
				t.Errorf("%.50q in pieces of %d: %.50q, want %.50q", in, size, got, want)
			}
		}
	}
}

// FuzzQuote compares with mbox(5)'s rule on whole lines, and reads back.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "\n", "From ", ">From x\nFrom y", "Fro\nm \n>>>", "a\n\nFrom \x00\xff\r\n"} {
		f.Add(s, 3)
	}
	fromLine := regexp.MustCompile(`(?m)^>*From `)
	f.Fuzz(func(t *testing.T, in string, size int) {
		if size < 1 || size > 1<<20 {
			return
		}
		want := fromLine.ReplaceAllString(in, ">$0")
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		want += "\n"
		got := quoted(in, size)
		if got != want {
			t.Errorf("%q in pieces of %d: %q, want %q", in, size, got, want)
		}
		if strings.HasPrefix(got, "From ") || strings.Contains(got, "\nFrom ") {
			t.Errorf("a From line in %q", got)
		}
	})
}

func quoted(in string, size int) string {
	var b strings.Builder
	w := bufio.NewWriter(&b)
	q := quoter{w: w}
	for len(in) > 0 {
		n := min(size, len(in))
		q.write([]byte(in[:n]))
		in = in[n:]
	}
	q.end()
	w.Flush()
	return b.String()
}
