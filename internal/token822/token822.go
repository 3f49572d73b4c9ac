// Package token822 owns the tokens that structured header fields consist of
// (RFC 822 section 3.3) and the address lists made of them. A field
//
//	To: "Fred F." <fred@silver> (at work), @relay:joe@[127.0.0.1]
//
// is, in the order read,
//
//	atom To, colon, quote Fred F., left, atom fred, at, atom silver, right,
//	comment at work, comma, at, atom relay, colon, atom joe, at,
//	literal 127.0.0.1
//
// Spaces and line ends separate tokens and are none. Two habits are qmail's
// (token822.c), and mail depends on both: brackets inside a comment are
// dropped, and an atom that had to be quoted (bytes above 126, control bytes,
// a backslash, a stray bracket) becomes a quoted string.
package token822

import "strings"

// Kind is what a token is.
type Kind byte

const (
	Atom    Kind = iota + 1 // a word
	Quote                   // "a quoted string"
	Literal                 // [a domain literal]
	Comment                 // (a comment)
	Left                    // <
	Right                   // >
	At                      // @
	Dot                     // .
	Comma                   // ,
	Semi                    // ;
	Colon                   // :
)

// Token is one of them. Text is what stands between the delimiters of the
// first four kinds, without backslashes; the others have none.
type Token struct {
	Kind Kind
	Text string
}

// marks are the bytes that are tokens of their own.
var marks = [256]Kind{'<': Left, '>': Right, '@': At, '.': Dot, ',': Comma, ';': Semi, ':': Colon}

// enclosures are the tokens with delimiters, by the first one.
var enclosures = [256]struct {
	kind Kind
	end  byte
}{'(': {Comment, ')'}, '"': {Quote, '"'}, '[': {Literal, ']'}}

// Parse splits a field or an address into tokens. ok is false if a comment,
// string or literal does not end, or a closing bracket stands where nothing
// was opened.
func Parse(s string) (tokens []Token, ok bool) {
	tokens = make([]Token, 0, 2+len(s)/4)
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case ' ', '\t', '\r', '\n':
			i++
		case ')', ']':
			return nil, false
		case '(', '"', '[':
			e := enclosures[c]
			size := enclosed(s[i+1:], e.end)
			if size < 0 {
				return nil, false
			}
			text := unescape(s[i+1:i+1+size], e.kind == Comment)
			tokens = append(tokens, Token{e.kind, text})
			i += size + 2
		default:
			if kind := marks[c]; kind != 0 {
				tokens = append(tokens, Token{Kind: kind})
				i++
				continue
			}
			size := atom(s[i:])
			tokens = append(tokens, word(unescape(s[i:i+size], false)))
			i += size
		}
	}
	return tokens, true
}

// enclosed returns how many bytes of s precede the delimiter end, -1 if it
// does not come. Only comments nest.
func enclosed(s string, end byte) int {
	level := 1
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == end:
			if level--; level == 0 {
				return i
			}
		case c == '(' && end == ')':
			level++
		case c == '\\':
			i++
		}
	}
	return -1
}

// atom returns the length of the word that s begins with. Its first byte is
// any; a backslash takes the byte after it along, if there is one.
func atom(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ' ', '\t', '\r', '\n', '(', '[', '"', '<', '>', ';', ':', '@', ',', '.':
			return i
		case '\\':
			i++
		}
	}
	return len(s)
}

// unescape takes backslashes, and in a comment brackets, out of a token.
func unescape(s string, comment bool) string {
	special := `\`
	if comment {
		special = `\()`
	}
	first := strings.IndexAny(s, special)
	if first < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)), s[:first]...)
	for i := first; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			if i++; i < len(s) {
				b = append(b, s[i])
			}
		case comment && (c == '(' || c == ')'):
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// word returns the token for an atom's text (atomcheck in token822.c).
func word(text string) Token {
	for i := range len(text) {
		if c := text[i]; c < 32 || c > 126 || c == ')' || c == ']' || c == '\\' {
			return Token{Quote, text}
		}
	}
	return Token{Atom, text}
}
