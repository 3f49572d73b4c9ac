package smtpd

import (
	"strings"
	"testing"

	"paperpath/mta/control"
)

// What matches is what regcomp(3) and regexec(3) of glibc match, if not said
// otherwise.
func TestPattern(t *testing.T) {
	for _, tt := range []struct {
		line, text string
		want       bool
	}{
		{`bad\.domain\.com`, "u@Bad.Domain.Com.example", true},
		{`bad\.domain\.com`, "u@bad-domain.com", false},
		{`BAD`, "u@bad", true},
		{`!bad`, "u@BAD", false},
		{`!bad`, "u@good", true},
		{`[!%#:*^(){}]`, "a%b@c", true},
		{`[!%#:*^(){}]`, "a^b@c", true},
		{`[!%#:*^(){}]`, "a@c", false},
		{`@.*@`, "a@b@c", true},
		{`@.*@`, "a@b", false},
		{`^a$`, "a", true},
		{`^a$`, "ab", false},
		{`[]a]`, "]", true},
		{`[^]a]`, "]", false},
		{`[a-]`, "-", true},
		{`[--/]`, ".", true},
		{`[[:alpha:]]{3}`, "ab1", false},
		{`[[:alpha:]]{3}`, "abC", true},
		{`[[:upper:]]`, "x", true},
		{`[^k]`, "K", false},
		{`(a|)b`, "b", true},
		{`(a*)*b`, "aab", true},
		{`^(ab?){2,3}$`, "aaba", true},
		{`^(ab?){2,3}$`, "aaaa", false},
		{`a{0}b`, "b", true},
		{`\(`, "(", true},
		{`\w`, "%", false},
		{`\W\S`, "%%", true},
		{`a\Bb`, "ab", true},
		{`\<a`, "b a", true},
		{`\<a`, "ba", false},
		{`b\>`, "ab", true},
		{`b\>`, "ba", false},
		{`\\<a`, `\<a`, true},
		{`\\<a`, "a", false},
		{"", "anything", true},

		// bytes, of which none but ASCII letters have two cases
		{"\xe4", "\xe4@h", true},
		{"\xe4", "\xc4@h", false},
		{"\xc3\xa4", "\xc3\xa4@h", true},
		{"\xc3\xa4", "\xe3\xa4@h", false},
		{"[\x80-\xff]", "u\xff@h", true},
		{"[\x80-\xff]", "u@h", false},
		{"[^a]", "\xff", true},
		{"^.@", "\xff@", true},
		{"^..@", "\xc3\xa4@", true},
		{"^.@", "\xc3\xa4@", false},
		{"k", "\u212a", false}, // the sign of Kelvin, which Unicode folds to k
		{"\ufffd", "\xff", false},

		// not as in glibc
		{`[\.]`, `\`, false},
		{`a{,2}`, "aa", false},
	} {
		p, err := parsePattern(tt.line)
		if err != nil {
			t.Errorf("%q: %v", tt.line, err)
		} else if got := p.match(tt.text); got != tt.want {
			t.Errorf("%q in %q: %v", tt.line, tt.text, got)
		}
	}
	for line, want := range map[string]string{
		`*@spam.example`: "missing argument to repetition operator",
		`x|*a`:           "missing argument to repetition operator",
		`(a`:             "missing closing )",
		`[a`:             "missing closing ]",
		`[z-a]`:          "invalid character class range",
		`a\`:             "trailing backslash at end of expression",
		`a{3,2}`:         "invalid repeat count",

		// not as in glibc
		`(a)\1`:   "invalid escape sequence",
		`a)`:      "unexpected )",
		`a**`:     "invalid nested repetition operator",
		`a{1001}`: "invalid repeat count",
		`[\<]`:    "invalid escape sequence",
	} {
		if _, err := parsePattern(line); err == nil || err.Error() != want {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// Text without special characters is found wherever it stands, in any case of
// ASCII letters.
func FuzzPattern(f *testing.F) {
	f.Add(`bad.domain`, "u@bad.domain")
	f.Add(`[!%#:*^(){}]`, "a{b")
	f.Add("\xe4\xff", "\xc4\xff")
	f.Fuzz(func(t *testing.T, line, text string) {
		p, err := parsePattern(line)
		if err != nil {
			return
		}
		got := p.match(text)
		if strings.ContainsAny(line, `!\^$.*?+()[]{}|`) {
			return
		}
		if want := strings.Contains(control.Lower(text), control.Lower(line)); got != want {
			t.Errorf("%q in %q: %v", line, text, got)
		}
	})
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
	fs := home(t, map[string]string{"badmailfrom": "evil@bad.example\n@Worse.example\nplain\n@[192.0.2.1]\n@.*\\.spam\\.example$\n!@\n*oops\n"})
	list, err := set.badList(control.Open(fs), "badmailfrom")
	if err != nil || len(set.faults) != 1 || set.faults[0].Error() != "control/badmailfrom: *oops is ignored: missing argument to repetition operator" {
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

// What has been an address in somebody's badmailfrom since 1996 stays one.
func TestLooksLikePattern(t *testing.T) {
	for line, want := range map[string]bool{
		"a@b.example": false, "@b.example": false, "nobody": false,
		"nobody|x@spam.example": false, "@[192.0.2.1]": false, "u?{}@[192.0.2.1]": false,
		"what?@b.example": false, "$100*$@b.example": false, "^root@b.example": true, "a+b/c=d@b.example": false,

		"!x@b.example": true, "!x@[192.0.2.1]": true, ".*@b.example": true, "x.*@b.example": true, "@.*b": true,
		`x@b\.example`: true, `x\+@b.example`: true, "[abc]@b.example": true, "(a|b)@c.example": true, "@b[12].example": true,
		"@spam$": true, "@(a|b)": true, "a@b|c@d": true, "x*@": true, "^root@": true, "^root": true, ".?@b.example": true, "a..?@b": true, "@": false, "": false,
	} {
		if got := looksLikePattern(line); got != want {
			t.Errorf("%q: %v", line, got)
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
