package multilog

import (
	"bytes"
	"strings"
)

// A pattern must match the whole line. A star followed by another character
// matches any text without that character, so it ends at the first one: there is
// no backtracking, and the lengths bound the time. A star at the end matches
// anything. In "**" the second star ends the first one and is a star itself
// (match.c).
//
//	fatal: *: x*   is   "fatal: ", then from the first ':' ": x", then anything
type pattern struct {
	prefix string
	stars  []star
	open   bool // it ends with a star
}

// A star matches up to the first stop, where literal must follow.
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
		text = text[end+1:] // after a star
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
