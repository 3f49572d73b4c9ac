package multilog

import "testing"

func matches(text, line string) bool {
	p := compile(text)
	return p.match([]byte(line))
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, line string
		want          bool
	}{
		{"one", "one", true}, {"one", "", false}, {"one", "on", false}, {"one", "onf", false}, {"one", "onetwo", false},
		{"one", "one*", false},
		{"", "", true}, {"", "x", false},
		{"*", "", true}, {"*", "x", true}, {"*", "*", true}, {"*", "one", true},
		{"one*", "one", true}, {"one*", "one*", true}, {"one*", "onetwo", true}, {"one*", "", false}, {"one*", "x", false},
		{"one*", "on", false}, {"one*", "onf", false},
		// A star stops at the first character that follows it in the pattern.
		{"* one", " one", true}, {"* one", "x one", true}, {"* one", "xy one", true}, {"* one", "one", false},
		{"* one", " two", false}, {"* one", "  one", false}, {"* one", "xy one ", false},
		{"* * one", "  one", true}, {"* * one", "x y one", true}, {"* * one", " one", false}, {"* * one", "   one", false},
		{"named[*]: Cleaned cache *", "named[135]: Cleaned cache of 3121 RRs", true},
		// The second of two stars ends the first and is a star.
		{"**", "a*b", true}, {"**", "ab", false}, {"***", "a*b", true}, {"***", "ab", false},
		{"a\x00*", "a\x00b", true},
	} {
		if got := matches(c.pattern, c.line); got != c.want {
			t.Errorf("match(%q, %q) = %v", c.pattern, c.line, got)
		}
	}
}

// FuzzMatch compares with the manual's definition, tried in all ways.
func FuzzMatch(f *testing.F) {
	f.Add("* * one", "x y one")
	f.Add("**a*", "*aa")
	f.Fuzz(func(t *testing.T, pattern, line string) {
		if len(pattern) > 12 || len(line) > 40 {
			return
		}
		if got, want := matches(pattern, line), matchAllWays(pattern, line); got != want {
			t.Errorf("match(%q, %q) = %v", pattern, line, got)
		}
	})
}

func matchAllWays(pattern, line string) bool {
	if pattern == "" {
		return line == ""
	}
	if pattern == "*" {
		return true
	}
	if pattern[0] == '*' {
		for n := 0; n <= len(line); n++ {
			// line[:n] must not include the next character; that must follow,
			// and the rest of the pattern applies from there.
			if n < len(line) && line[n] == pattern[1] {
				return matchAllWays(pattern[1:], line[n:])
			}
		}
		return false
	}
	return line != "" && line[0] == pattern[0] && matchAllWays(pattern[1:], line[1:])
}
