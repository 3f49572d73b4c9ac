package smtpd

import (
	"testing"

	"paperpath/mta/control"
)

func TestTheFirstPatternCounts(t *testing.T) {
	var list patterns
	for _, line := range []string{"b", "!a", "c"} {
		p, err := parsePattern(line)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	for text, want := range map[string]string{"ab": "b", "xc": "!a", "ac": "c", "a": ""} {
		if got := list.match(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestBadList(t *testing.T) {
	var set settings
	fs := home(t, map[string]string{"badmailfrom": "evil@bad.example\n@Worse.example\nplain\n@[192.0.2.1]\n@.*\\.spam\\.example$\n!@\n*oops\n"})
	list, err := set.badList(control.Open(fs), "badmailfrom")
	if err != nil || len(set.faults) != 1 || set.faults[0].Error() != "control/badmailfrom: *oops is ignored: nothing to repeat" {
		t.Errorf("%v, %v", err, set.faults)
	}
	for _, tt := range []struct {
		addr   string
		listed bool
		line   string
	}{
		{"EVIL@bad.example", true, ""},
		{"evil@bad.example.org", false, ""},
		{"u@worse.example", true, ""},
		{"u@x.worse.example", false, ""},
		{"plain", true, "!@"},
		{"plain@x", false, ""},
		{"u@[192.0.2.1]", true, ""},
		{"u@192", false, ""},
		{"u@a.spam.example", false, `@.*\.spam\.example$`},
		{"u", false, "!@"},
		{"*oops", true, "!@"},
	} {
		if listed, line := list.has(tt.addr), list.patterns.match(tt.addr); listed != tt.listed || line != tt.line {
			t.Errorf("%s: %v, %q", tt.addr, listed, line)
		}
	}
}

func TestRelayTest(t *testing.T) {
	for addr, want := range map[string]bool{
		"u@h": false, "u": false, "u%o@h": true, "o!u@h": true, "u@o@h": true, "u%o": true, "u@h%o": false, "u@h!o": false, "@h": false, "": false,
	} {
		if got := relayTest(addr); got != want {
			t.Errorf("%q: %v", addr, got)
		}
	}
}
