package smtpd

import (
	"strings"

	"paperpath/internal/ere"
)

// pattern is a line of badmailto and its kin, in the language of the qregex
// patch: a POSIX extended regular expression that is to be found anywhere in
// the text, in any case of letters; with ! in front, one that is to be found
// nowhere.
type pattern struct {
	line   string
	negate bool
	re     *ere.Regexp
}

func (p *pattern) match(text string) bool { return p.re.Match(text) != p.negate }

func parsePattern(line string) (pattern, error) {
	expr, negate := strings.CutPrefix(line, "!")
	re, err := ere.Compile(expr)
	return pattern{line, negate, re}, err
}

// patterns are the lines of one file. The first that matches counts.
type patterns []pattern

// match returns the line that matches text, "" for none.
func (list patterns) match(text string) (line string) {
	for i := range list {
		if list[i].match(text) {
			return list[i].line
		}
	}
	return ""
}
