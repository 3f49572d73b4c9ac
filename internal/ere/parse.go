// Package ere matches POSIX extended regular expressions (regex(7)) without
// regard to the case of ASCII letters, as regcomp(3) of glibc does with
// REG_EXTENDED and REG_ICASE in the C locale: on bytes, and the expression may
// be found anywhere in the text.
//
//	expression → tree (parse.go) → program → set of states (match.go)
//
// The time of a match is bounded by the sizes of program and text, whatever
// both say. Package regexp could do this, too; qmail-smtpd is started for each
// connection and does without its tables.
//
// What is undefined by POSIX is as in glibc: {,2} is {0,2}, a parenthesis that
// closes none is an ordinary byte, \w \W \s \S \b \B \< \> are known, other
// letters behind a backslash are themselves. Back references are refused.
package ere

import (
	"errors"
	"strings"
)

var (
	errBackReference = errors.New("back references are not supported")
	errBackslash     = errors.New("trailing backslash")
	errNothing       = errors.New("nothing to repeat")
	errBraces        = errors.New("bad braces")
	errBracket       = errors.New("bad brackets")
	errParenthesis   = errors.New("missing )")
	errLarge         = errors.New("too large")
)

const (
	maxLength = 4096   // of an expression
	maxDepth  = 100    // of parentheses
	maxRepeat = 32767  // RE_DUP_MAX
	maxSize   = 10_000 // of the tree, repetitions written out
)

// kind is what a node of the tree is.
type kind byte

const (
	bytesOf   kind = iota // one byte of set
	assertion             // a place between bytes
	sequence              // all of sub, in turn
	choice                // one of sub
	repeat                // sub[0], at least min times, at most max, -1 for any
)

type node struct {
	kind     kind
	set      set
	place    place
	sub      []*node
	min, max int
}

// set is a set of bytes.
type set [4]uint64

func (s *set) add(c byte)      { s[c/64] |= 1 << (c % 64) }
func (s *set) has(c byte) bool { return s[c/64]>>(c%64)&1 != 0 }

// fold adds the other case of each letter.
func (s *set) fold() {
	for c := byte('a'); c <= 'z'; c++ {
		if upper := c - 'a' + 'A'; s.has(c) || s.has(upper) {
			s.add(c)
			s.add(upper)
		}
	}
}

func (s *set) invert() {
	for i := range s {
		s[i] = ^s[i]
	}
}

// where returns the bytes for which is is true.
func where(is func(c byte) bool) (s set) {
	for c := range 256 {
		if is(byte(c)) {
			s.add(byte(c))
		}
	}
	return s
}

func within(low, high byte) func(byte) bool {
	return func(c byte) bool { return low <= c && c <= high }
}
func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isAlnum(c byte) bool { return isAlpha(c) || isDigit(c) }
func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
func isWord(c byte) bool  { return isAlnum(c) || c == '_' }
func isGraph(c byte) bool { return '!' <= c && c <= '~' }

// classes are those of brackets, in the C locale.
var classes = map[string]func(c byte) bool{
	"alpha": isAlpha, "digit": isDigit, "alnum": isAlnum, "space": isSpace, "graph": isGraph,
	"upper": within('A', 'Z'), "lower": within('a', 'z'), "print": within(' ', '~'),
	"punct":  func(c byte) bool { return isGraph(c) && !isAlnum(c) },
	"blank":  func(c byte) bool { return c == ' ' || c == '\t' },
	"cntrl":  func(c byte) bool { return c < ' ' || c == 127 },
	"xdigit": func(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' },
}

// parser reads an expression; rest is what it has not read.
type parser struct {
	rest  string
	depth int
}

func (p *parser) next() byte {
	c := p.rest[0]
	p.rest = p.rest[1:]
	return c
}

func (p *parser) skip(prefix string) bool {
	rest, found := strings.CutPrefix(p.rest, prefix)
	p.rest = rest
	return found
}

// choice reads to the end, or to the parenthesis that ends it.
func (p *parser) choice() (*node, error) {
	n := &node{kind: choice}
	for {
		s, err := p.sequence()
		if err != nil {
			return nil, err
		}
		n.sub = append(n.sub, s)
		if !p.skip("|") {
			return n, nil
		}
	}
}

func (p *parser) sequence() (*node, error) {
	n := &node{kind: sequence}
	for p.rest != "" && p.rest[0] != '|' && (p.rest[0] != ')' || p.depth == 0) {
		atom, err := p.atom()
		for err == nil && p.rest != "" && strings.IndexByte("*+?{", p.rest[0]) >= 0 {
			if atom.kind == assertion {
				return nil, errNothing
			}
			atom, err = p.repeat(atom)
		}
		if err != nil {
			return nil, err
		}
		n.sub = append(n.sub, atom)
	}
	return n, nil
}

func (p *parser) repeat(atom *node) (*node, error) {
	n := &node{kind: repeat, sub: []*node{atom}, max: -1}
	switch p.next() {
	case '+':
		n.min = 1
	case '?':
		n.max = 1
	case '{':
		count, rest, ok := strings.Cut(p.rest, "}")
		low, high, comma := strings.Cut(count, ",")
		if !ok || low == "" && high == "" {
			return nil, errBraces
		}
		p.rest = rest
		var good bool
		if n.min, good = number(low); !good {
			return nil, errBraces
		}
		switch {
		case !comma:
			n.max = n.min
		case high != "":
			if n.max, good = number(high); !good || n.max < n.min {
				return nil, errBraces
			}
		}
	}
	return n, nil
}

// number reads the count in braces; none is 0.
func number(s string) (n int, ok bool) {
	for i := range len(s) {
		if n = n*10 + int(s[i]-'0'); !isDigit(s[i]) || n > maxRepeat {
			return 0, false
		}
	}
	return n, true
}

func one(c byte) *node {
	n := &node{kind: bytesOf}
	n.set.add(c)
	n.set.fold()
	return n
}

func (p *parser) atom() (*node, error) {
	switch c := p.next(); c {
	case '*', '+', '?', '{':
		return nil, errNothing
	case '.':
		n := &node{kind: bytesOf}
		n.set.invert()
		return n, nil
	case '^':
		return &node{kind: assertion, place: begin}, nil
	case '$':
		return &node{kind: assertion, place: end}, nil
	case '[':
		return p.brackets()
	case '\\':
		return p.escape()
	case '(':
		if p.depth++; p.depth > maxDepth {
			return nil, errLarge
		}
		n, err := p.choice()
		if err != nil {
			return nil, err
		}
		p.depth--
		if !p.skip(")") {
			return nil, errParenthesis
		}
		return n, nil
	default:
		return one(c), nil
	}
}

func (p *parser) escape() (*node, error) {
	if p.rest == "" {
		return nil, errBackslash
	}
	switch c := p.next(); c {
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return nil, errBackReference
	case 'w', 'W':
		n := &node{kind: bytesOf, set: where(isWord)}
		if c == 'W' {
			n.set.invert()
		}
		return n, nil
	case 's', 'S':
		n := &node{kind: bytesOf, set: where(isSpace)}
		if c == 'S' {
			n.set.invert()
		}
		return n, nil
	case 'b', 'B', '<', '>', '`', '\'':
		return &node{kind: assertion, place: map[byte]place{
			'b': wordEdge, 'B': noWordEdge, '<': wordBegin, '>': wordEnd, '`': begin, '\'': end,
		}[c]}, nil
	default:
		return one(c), nil
	}
}

// brackets reads a bracket expression behind its [.
func (p *parser) brackets() (*node, error) {
	n := &node{kind: bytesOf}
	negate := p.skip("^")
	for first := true; ; first = false {
		if !first && p.skip("]") {
			break
		}
		low, class, err := p.element()
		if err != nil {
			return nil, err
		}
		if class != nil {
			s := where(class)
			for i := range s {
				n.set[i] |= s[i]
			}
			if strings.HasPrefix(p.rest, "-") && !strings.HasPrefix(p.rest, "-]") {
				return nil, errBracket // a class is no end of a range
			}
			continue
		}
		high := low
		if len(p.rest) > 1 && p.rest[0] == '-' && p.rest[1] != ']' {
			p.next()
			if high, class, err = p.element(); err != nil || class != nil || high < low {
				return nil, errBracket
			}
		}
		for c := int(low); c <= int(high); c++ {
			n.set.add(byte(c))
		}
	}
	n.set.fold()
	if negate {
		n.set.invert()
	}
	return n, nil
}

// element reads a byte, which may be written [.x.] or [=x=], or a class.
func (p *parser) element() (c byte, class func(byte) bool, err error) {
	if p.rest == "" {
		return 0, nil, errBracket
	}
	if len(p.rest) < 2 || p.rest[0] != '[' || strings.IndexByte(":.=", p.rest[1]) < 0 {
		return p.next(), nil, nil
	}
	mark := p.rest[1:2]
	name, rest, ok := strings.Cut(p.rest[2:], mark+"]")
	p.rest = rest
	if mark == ":" {
		if class, ok = classes[name]; !ok {
			return 0, nil, errBracket
		}
		return 0, class, nil
	}
	if !ok || len(name) != 1 {
		return 0, nil, errBracket
	}
	return name[0], nil, nil
}
