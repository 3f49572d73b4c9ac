package ere

import (
	"strings"
	"testing"
)

// What is matched is what regcomp(3) and regexec(3) of glibc match.
func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		expr, text string
		want       bool
	}{
		{`bad\.domain\.com`, "u@Bad.Domain.Com.example", true},
		{`bad\.domain\.com`, "u@bad-domain.com", false},
		{`BAD`, "u@bad", true},
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
		{`\W\S`, "%%", true},
		{`b\>`, "ab", true},
		{`b\>`, "ba", false},
		{`a\Bb`, "ab", true},
		{`[[.-.]]`, "-", true},
		{`[--/]`, ".", true},
		{`[[:upper:]]`, "x", true},
		{`[^k]`, "K", false},
		{`(a*)*b`, "aab", true},
		{`(a|b){2}`, "xba", true},
		{`^(ab?){2,3}$`, "aaba", true},
		{`^(ab?){2,3}$`, "aaaa", false},
		{`a+{2}`, "a", false},
		{"\xe4", "\xe4", true},
		{`a{0}b`, "b", true},
		{``, "anything", true},
	} {
		p, err := Compile(tt.expr)
		if err != nil {
			t.Errorf("%q: %v", tt.expr, err)
		} else if got := p.Match(tt.text); got != tt.want {
			t.Errorf("%q in %q: %v", tt.expr, tt.text, got)
		}
	}
	for _, expr := range []string{
		`*@spam.example`, `x|*a`, `(*a)`, `^*a`, `(?a)`, `(?i)a`, `(?:a)`, `{`, `a{`, `a{}`, `a{,}`, `a{2`, `(a`, `[a`, `[z-a]`,
		`[[:foo:]]`, `a\`, `(a)\1`, `[[:alpha:]-z]`, `[a-[:alpha:]]`, `[[.ab.]]`, `[[=a`, `a{3,2}`, `a{32768}`, `\<*`, `$?`,
		strings.Repeat("a", 5000), strings.Repeat("(", 200) + strings.Repeat(")", 200), `((a{100}){100}){100}`, `((((){999}){999}){999}){999}`,
	} {
		if _, err := Compile(expr); err == nil {
			t.Errorf("%q was taken for an expression", expr)
		}
	}
}

// The time does not explode.
func TestMatchIsBounded(t *testing.T) {
	re, err := Compile(`((a*)*)*((a?){50}a{50})*$b`)
	if err != nil {
		t.Fatal(err)
	}
	if re.Match(strings.Repeat("a", 900)) {
		t.Error("found")
	}
}

// Text without special characters is found wherever it stands, in any case;
// whatever else is refused or an expression.
func FuzzMatch(f *testing.F) {
	f.Add(`bad\.domain`, "u@bad.domain")
	f.Add(`[!%#:*^(){}]`, "a{b")
	f.Add(`(a|b)*{2,3}+?[^]\]$`, "aab")
	f.Add(`[[:al`, "x")
	f.Fuzz(func(t *testing.T, expr, text string) {
		re, err := Compile(expr)
		if err != nil {
			return
		}
		got := re.Match(text)
		// A ) that closes none would close one of ours.
		if around, err := Compile(".*(" + expr + "|" + expr + ").*"); err == nil && !strings.Contains(expr, ")") && around.Match(text) != got {
			t.Errorf("%q in %q: %v, but not as a part", expr, text, got)
		}
		if strings.ContainsAny(expr, `\^$.*?+()[]{}|`) {
			return
		}
		if want := strings.Contains(lower(text), lower(expr)); got != want {
			t.Errorf("%q in %q: %v", expr, text, got)
		}
	})
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
