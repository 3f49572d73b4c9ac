package opt

import (
	"slices"
	"strings"
	"testing"
)

// read parses words separated by bars and draws what came out, with the rest
// behind two bars.
func read(line, spec string) string {
	var args []string
	if line != "" {
		args = strings.Split(line, "|")
	}
	s := Parse(args, spec)
	var b strings.Builder
	for s.Next() {
		b.WriteByte(s.Letter)
		switch {
		case s.Letter == '?':
			b.WriteString("(" + s.Problem() + ")")
		case s.Arg != "":
			b.WriteString("=" + s.Arg)
		}
		b.WriteByte(' ')
	}
	return b.String() + "|" + strings.Join(s.Rest(), "|")
}

func TestOptions(t *testing.T) {
	const spec = "ab:cd::"
	for line, want := range map[string]string{
		"":               "|",
		"x|-a":           "|x|-a",
		"-a|x|-c":        "a |x|-c",
		"-ac":            "a c |",
		"-caca|x":        "c a c a |x",
		"-bx|y":          "b=x |y",
		"-b|x|y":         "b=x |y",
		"-abc|x":         "a b=c |x",
		"-b|-a|y":        "b=-a |y",
		"-b|--|y":        "b=-- |y",
		"-b||y":          "b |y", // an empty argument is one
		"-b":             "?(option requires an argument -- b) |",
		"-ab":            "a ?(option requires an argument -- b) |",
		"-z|x":           "?(illegal option -- z) |x",
		"-az|x":          "a ?(illegal option -- z) |x",
		"-:":             "?(illegal option -- :) |",
		"-?":             "?(illegal option -- ?) |",
		"-\xe9":          "?(illegal option -- \xe9) |",
		"--|-a":          "|-a",
		"--anything|-a":  "|-a",
		"-a|--|-c":       "a |-c",
		"-a-|x":          "a ?(illegal option -- -) |x",
		"-|-a":           "|-|-a",
		"-a||-c":         "a ||-c",
		"-d|x":           "d |x",
		"-dx|y":          "d=x |y",
		"-ad":            "a d |",
		"-adc|-c":        "a d=c c |",
		"-b-a|x":         "b=-a |x",
		"-b=x":           "b==x |",
		"-a|-a|-bx|-c|-": "a a b=x c |-",
	} {
		if got := read(line, spec); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func FuzzOptions(f *testing.F) {
	f.Add("-a|-bx|--|y", "ab:")
	f.Add("-b", "ab:")
	f.Add("--x|-", "")
	f.Add("-a-", ":")
	f.Fuzz(func(t *testing.T, line, spec string) {
		args := strings.Split(line, "|")
		s := Parse(args, spec)
		for n := 0; s.Next(); n++ {
			if n > len(line) {
				t.Fatal("more options than bytes")
			}
			if s.Letter != '?' && !strings.Contains(spec, string([]byte{s.Letter})) {
				t.Fatalf("option %q of %q", s.Letter, spec)
			}
		}
		// What is left is the end of what there was.
		rest := s.Rest()
		if !slices.Equal(rest, args[len(args)-len(rest):]) {
			t.Fatalf("rest %q of %q", rest, args)
		}
	})
}
