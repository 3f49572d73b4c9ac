package multilog

import (
	"bytes"
	"strings"
)

// A pattern must match the whole line. A star followed by another character
// matches what does not include that character, so it ends at the first one:
// nothing is ever tried twice and the time is bounded by the lengths. A star at
// the end matches anything. In "**" the second star is both: it ends the first
// and is a star itself (match.c).
//
//	fatal: *: x*   is   "fatal: ", then from the first ':' ": x", then anything
type pattern struct {
	prefix string
	stars  []star
	open   bool // a star at the end
}

// A star goes on to the first stop, where literal must be.
type star struct {
	stop    byte
	literal string
}

func compile(text string) pattern {
	var p pattern
	end := strings.IndexByte(text, '*')
	if end < 0 {
		p.prefix = text
		return p
	}
	p.prefix = text[:end]
	for {
		text = text[end+1:] // behind a star
		if text == "" {
			p.open = true
			return p
		}
		if end = strings.IndexByte(text, '*'); end < 0 {
			p.stars = append(p.stars, star{text[0], text})
			return p
		}
		p.stars = append(p.stars, star{text[0], text[:end]})
	}
}

func (p *pattern) match(line []byte) bool {
	if len(line) < len(p.prefix) || string(line[:len(p.prefix)]) != p.prefix {
		return false
	}
	line = line[len(p.prefix):]
	for _, s := range p.stars {
		skip := bytes.IndexByte(line, s.stop)
		if skip < 0 {
			return false
		}
		line = line[skip:]
		if len(line) < len(s.literal) || string(line[:len(s.literal)]) != s.literal {
			return false
		}
		line = line[len(s.literal):]
	}
	return p.open || len(line) == 0
}
