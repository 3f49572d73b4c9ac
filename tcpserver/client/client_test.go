package client

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"paperpath/internal/proc"
)

func TestLiteral(t *testing.T) {
	for name, want := range map[string]string{
		"127.000.000.001":             "[127.0.0.1] true",
		"[1.2.3.4]":                   "[1.2.3.4] true",
		"1.2.3.4.5.6.7.8":             "[1.2.3.4 5.6.7.8] true",
		"1.2.3.4.5":                   "[1.2.3.4] true",
		"1.2.3":                       "[] true",
		"127..0.1":                    "[127.0.0.1] true",
		"257.0.0.1":                   "[1.0.0.1] true", // C's char wraps around
		"1.2.3.x":                     "[] false",
		"example.org":                 "[] false",
		strings.Repeat("1.", 8) + "1": "[1.1.1.1 1.1.1.1] true",
	} {
		addrs, ok := literal(name)
		if got := fmt.Sprint(addrs, ok); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

func TestLocalIP(t *testing.T) {
	for s, want := range map[string]string{
		"127.0.0.1":   "127.0.0.1 true",
		"127.0.0.1xy": "127.0.0.1 true",
		"0.0.0.0":     "invalid IP true",
		"1.2.3":       "invalid IP false",
		"1.2.3.":      "invalid IP false",
		"":            "invalid IP false",
		"::1":         "::1 true",
		"[::1]":       "::1 true",
		"::g":         "invalid IP false",
	} {
		ip, ok := localIP(s)
		if got := fmt.Sprint(ip, ok); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}

func TestTimeouts(t *testing.T) {
	for arg, want := range map[string][2]time.Duration{
		"3+4": {3, 4}, "3": {3, 0}, "3+": {3, 0}, "+4": {0, 4}, "x": {0, 0}, "3x4": {3, 0},
	} {
		env := &proc.Env{Args: []string{"tcpclient", "-T", arg}}
		d := newDialer(env)
		if _, _, err := parse(env, d); err != nil || d.timeouts != [2]time.Duration{want[0] * time.Second, want[1] * time.Second} {
			t.Errorf("%q: %v, %v", arg, d.timeouts, err)
		}
	}
}

func TestVisible(t *testing.T) {
	if got := string(visible(nil, []byte("a\t\n\r\x00\x1b\x7f\x80\x8a\xa0\xff"))); got != "a\t\n^M^@^[^?M-^@M-^JM- M-^?" {
		t.Errorf("%q", got)
	}
}

// A page's lines, however they come.
func TestPage(t *testing.T) {
	for in, want := range map[string]string{
		"H: 1\n\nbody\n\n\nmore\n": "body\nmore\n",
		"H: 1\n\nno end":           "no end",
		"H: 1\n":                   "",
		"\nx\n":                    "x\n",
		"":                         "",
	} {
		for n := 1; n <= len(in)+1; n++ {
			var p page
			var got []byte
			for rest := []byte(in); len(rest) > 0; {
				piece := rest[:min(n, len(rest))]
				rest = rest[len(piece):]
				got = p.append(got, piece)
			}
			if string(got) != want || p.open != strings.HasSuffix(want, "end") {
				t.Errorf("%q by %d: %q, open %v; want %q", in, n, got, p.open, want)
			}
		}
	}
}
