package smtpd

import (
	"errors"
	"regexp"
	"slices"
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

func (p *pattern) match(text string) bool { return p.re.MatchString(text) != p.negate }

func parsePattern(line string) (pattern, error) {
	expr, negate := strings.CutPrefix(line, "!")
	expr, err := translate(expr)
	if err != nil {
		return pattern{}, err
	}
	re, err := regexp.Compile("(?i)" + expr)
	return pattern{line, negate, re}, err
}

var (
	errBackReference = errors.New("back references are not supported")
	errTrailing      = errors.New("trailing backslash")
	errNothing       = errors.New("nothing to repeat")
	errBraces        = errors.New("braces without a number")
)

// translate writes an expression of regcomp(3), with REG_EXTENDED, in the
// syntax of package regexp. Where the two differ:
//
//	[\.]        a backslash in brackets is a backslash
//	\y          any other letter is itself; \< and \> are \b, a little more
//	*a (*a ^*   an operator with nothing to repeat is an error
//	a+? a{2}*   operators one behind the other are applied one by one
//	a)          a parenthesis that closes none is an ordinary byte
//	a{ {,2}     braces are never ordinary; {,2} is {0,2}
//
// \w, \W, \s, \S, \b and \B mean the same in both. Back references and
// collating elements are errors.
func translate(expr string) (string, error) {
	const nothing = -1
	var out []byte
	var open []int    // where the parentheses begin in out
	atom := nothing   // where that begins what an operator would repeat
	repeated := false // it ends in an operator
	repeat := func(operator string) {
		if repeated {
			out = append(slices.Insert(out, atom, []byte("(?:")...), ')')
		}
		out = append(out, operator...)
		repeated = true
	}
	for i := 0; i < len(expr); i++ {
		c := expr[i]
		switch c {
		case '*', '+', '?', '{':
			if atom == nothing {
				return "", errNothing
			}
			if c != '{' {
				repeat(expr[i : i+1])
				continue
			}
			n := strings.IndexByte(expr[i:], '}')
			if n < 0 {
				return "", errBraces
			}
			count := expr[i+1 : i+n]
			if strings.Trim(count, "0123456789,") != "" || strings.Count(count, ",") > 1 || strings.Trim(count, ",") == "" {
				return "", errBraces
			}
			if count[0] == ',' {
				count = "0" + count
			}
			repeat("{" + count + "}")
			i += n
			continue
		}
		repeated = false
		start := len(out)
		switch c {
		case '(', '|', '^', '$':
			out = append(out, c)
			if c == '(' {
				open = append(open, start)
			}
			start = nothing
		case ')':
			if n := len(open) - 1; n >= 0 {
				start, open = open[n], open[:n]
				out = append(out, ')')
			} else {
				out = append(out, `\)`...)
			}
		case '[':
			n := bracketLength(expr[i:])
			out = append(out, strings.ReplaceAll(expr[i:i+n], `\`, `\\`)...)
			i += n - 1
		case '\\':
			if i++; i == len(expr) {
				return "", errTrailing
			}
			switch c := expr[i]; {
			case '1' <= c && c <= '9':
				return "", errBackReference
			case c == '<' || c == '>' || c == 'b' || c == 'B':
				if c != 'B' {
					c = 'b'
				}
				out = append(out, '\\', c)
				start = nothing
			case strings.IndexByte("wWsS", c) >= 0:
				out = append(out, '\\', c)
			default:
				out = append(out, regexp.QuoteMeta(expr[i:i+1])...)
			}
		default:
			// All bytes of a letter beyond ASCII are one atom.
			if c >= utf8.RuneSelf && !utf8.RuneStart(c) && atom != nothing {
				start = atom
			}
			out = append(out, c)
		}
		atom = start
	}
	return string(out), nil
}

// bracketLength returns the length of the bracket expression that s begins with,
// all of s if it is never closed. A ] in front is an ordinary byte, and so is
// one in a class like [:alpha:].
func bracketLength(s string) int {
	i := 1
	if strings.HasPrefix(s[i:], "^") {
		i++
	}
	if strings.HasPrefix(s[i:], "]") {
		i++
	}
	for i < len(s) {
		switch {
		case s[i] == ']':
			return i + 1
		case s[i] == '[' && i+1 < len(s) && strings.IndexByte(":=.", s[i+1]) >= 0:
			end := strings.Index(s[i+2:], s[i+1:i+2]+"]")
			if end < 0 {
				return len(s)
			}
			i += 2 + end + 2
		default:
			i++
		}
	}
	return len(s)
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
