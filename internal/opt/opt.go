// Package opt reads option letters as the subgetopt of the C packages does:
// letters may stand together (-Hrl0), an option's argument is the rest of its
// word or the next one, a word that begins with "--" and the first one that is
// not an option end them, and a "-" alone is such a word.
package opt

import "strings"

// Set is one pass over an argument vector.
type Set struct {
	Letter byte   // the option just read, '?' for one that is not known or lacks its argument
	Arg    string // its argument

	spec string
	args []string
	rest string // letters left in the current word

	problem string
}

// Parse starts a pass over args, which begin after the program's name. spec
// lists the letters; a colon follows one that takes an argument, two colons one
// that takes the rest of its word if there is any.
func Parse(args []string, spec string) *Set { return &Set{spec: spec, args: args} }

// Next reads one option and reports whether there was one.
func (s *Set) Next() bool {
	if s.rest == "" {
		if len(s.args) == 0 || len(s.args[0]) < 2 || s.args[0][0] != '-' {
			return false
		}
		word := s.args[0]
		s.args = s.args[1:]
		if word[1] == '-' { // "--", and whatever follows in the word
			return false
		}
		s.rest = word[1:]
	}
	s.Letter, s.rest, s.Arg = s.rest[0], s.rest[1:], ""
	i := strings.IndexByte(s.spec, s.Letter)
	if i < 0 || s.Letter == ':' {
		s.problem, s.Letter = "illegal option -- "+string([]byte{s.Letter}), '?'
		return true
	}
	if strings.HasPrefix(s.spec[i+1:], ":") {
		switch {
		case strings.HasPrefix(s.spec[i+1:], "::"):
			s.Arg, s.rest = s.rest, ""
		case s.rest != "":
			s.Arg, s.rest = s.rest, ""
		case len(s.args) > 0:
			s.Arg, s.args = s.args[0], s.args[1:]
		default:
			s.problem, s.Letter = "option requires an argument -- "+string([]byte{s.Letter}), '?'
		}
	}
	return true
}

// Problem says what was wrong with the option that came out as '?', in the
// words that the programs with sgetopt print before they give up.
func (s *Set) Problem() string { return s.problem }

// Rest returns the words after the options.
func (s *Set) Rest() []string { return s.args }
