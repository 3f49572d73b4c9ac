package smtpd

import (
	"strings"
	"testing"
)

// What is matched is what regcomp(3) and regexec(3) of glibc match, as qregex
// calls them.
func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		line, text string
		want       bool
	}{
		{`bad\.domain\.com`, "u@Bad.Domain.Com.example", true},
		{`bad\.domain\.com`, "u@bad-domain.com", false},
		{`BAD`, "u@bad", true},
		{`!@`, "user", true},
		{`!@`, "user@host", false},
		{`!\.`, "host", true},
		{`!\.`, "host.example", false},
		{`[!%#:*^(){}]`, "a%b@c", true},
		{`[!%#:*^(){}]`, "a^b@c", true},
		{`[!%#:*^(){}]`, "a@c", false},
		{`@.*@`, "a@b@c", true},
		{`@.*@`, "a@b", false},
		{`^a$`, "a", true},
		{`^a$`, "ab", false},
		{`[\.]`, `\`, true},
		{`[\.]`, ".", true},
		{`[]a]`, "]", true},
		{`[^]a]`, "]", false},
		{`[a-]`, "-", true},
		{`[[:alpha:]]{3}`, "ab1", false},
		{`[[:alpha:]]{3}`, "abC", true},
		{`a**b`, "b", true},
		{`^a+?$`, "", true},
		{`^a{,2}$`, "aa", true},
		{`^a{,2}$`, "aaa", false},
		{`a)`, "a)", true},
		{`(a|)b`, "b", true},
		{`\<a`, "b a", true},
		{`\<a`, "ba", false},
		{`\(`, "(", true},
		{`\w`, "%", false},
		{``, "anything", true},
	} {
		p, err := parsePattern(tt.line)
		if err != nil {
			t.Errorf("%q: %v", tt.line, err)
		} else if got := p.match(tt.text); got != tt.want {
			t.Errorf("%q in %q: %v", tt.line, tt.text, got)
		}
	}
	for _, line := range []string{
		`*@spam.example`, `!*a`, `x|*a`, `(*a)`, `^*a`, `(?a)`, `(?i)a`, `(?:a)`, `{`, `a{`, `a{}`, `a{,}`, `a{2`, `(a`, `[a`, `[z-a]`,
		`[[:foo:]]`, `a\`, `(a)\1`,
	} {
		if p, err := parsePattern(line); err == nil {
			t.Errorf("%q was taken for %q", line, p.re)
		}
	}
}

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
	list, err := set.badList([]string{"evil@bad.example", "@Worse.example", "plain", "@[192.0.2.1]", `@.*\.spam\.example$`, "!@", "*oops"}, true, nil)
	if err != nil || len(set.faults) != 1 || set.faults[0].Error() != "pattern *oops is ignored: nothing to repeat" {
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

// Text without special characters is found wherever it stands, in any case,
// and its negation nowhere; whatever else is refused or a pattern.
func FuzzPattern(f *testing.F) {
	f.Add(`bad\.domain`, "u@bad.domain")
	f.Add(`[!%#:*^(){}]`, "a{b")
	f.Add(`(a|b)*{2,3}+?[^]\]$`, "aab")
	f.Add(`[[:al`, "x")
	f.Fuzz(func(t *testing.T, line, text string) {
		p, err := parsePattern(line)
		if err != nil {
			return
		}
		if !p.negate {
			if q, err := parsePattern("!" + line); err != nil || q.match(text) == p.match(text) {
				t.Errorf("%q and its negation agree on %q (%v)", line, text, err)
			}
		}
		for _, c := range []byte(line) {
			if c >= 0x80 || strings.IndexByte(`\^$.*?+()[]{}|!`, c) >= 0 {
				return
			}
		}
		for _, c := range []byte(text) {
			if c >= 0x80 {
				return
			}
		}
		if got, want := p.match(text), strings.Contains(strings.ToLower(text), strings.ToLower(line)); got != want {
			t.Errorf("%q in %q: %v", line, text, got)
		}
	})
}
