package smtpd

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// pattern is a line of badmailto and its kin, in the language of the qregex
// patch: a POSIX extended regular expression that is to be found anywhere in
// the text, in any case of letters; with ! in front, one that is to be found
// nowhere.
type pattern struct {
	line   string
	negate bool
	re     *regexp.Regexp
}

func (p *pattern) match(text string) bool { return p.re.MatchString(octets(text)) != p.negate }

// parsePattern takes Go's whole syntax, not CompilePOSIX's: that lacks the \w
// and \b with which glibc extends POSIX. What there is of Perl in it, glibc
// refuses; and which of several matches is the right one nobody asks.
func parsePattern(line string) (pattern, error) {
	expr, negate := strings.CutPrefix(line, "!")
	re, err := regexp.Compile("(?i)" + octets(wordEdges.Replace(expr)))
	if bad, ok := errors.AsType[*syntax.Error](err); ok {
		err = errors.New(bad.Code.String()) // without what was made of expr
	}
	return pattern{line, negate, re}, err
}

// wordEdges replaces glibc's \< and \>, which Go would take for < and >: beside
// the word that they are written for, \b is the same. A backslash behind a
// backslash begins nothing.
var wordEdges = strings.NewReplacer(`\\`, `\\`, `\<`, `\b`, `\>`, `\b`)

// octets makes one rune of each byte, since qregex compares bytes: text in no
// known encoding is matched, and a dot is one byte of it. The bytes above 127
// become U+E080 to U+E0FF, of private use: they stay in order for ranges, and
// no two of them are one letter in two cases, as in the C locale.
func octets(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] < utf8.RuneSelf {
			b.WriteByte(s[i])
		} else {
			b.WriteRune('\ue000' + rune(s[i]))
		}
	}
	return b.String()
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
