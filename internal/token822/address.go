package token822

import "slices"

// Addresses finds the addresses in a field's tokens (the first two are its
// name and colon), replaces each by what rewrite makes of it, and puts in the
// commas that are missing. rewrite gets the tokens of one address without
// angle brackets, may change them in place, and keeps none; the addresses come
// from right to left, because so RFC 822 lists are easy to read: a word that
// follows a word without a comma begins another address, and what precedes a
// "<" is only a name. The empty address <> is one.
//
// ok is false if the groups or angle brackets do not match; rewrite has then
// already seen the addresses to the right of that place.
func Addresses(tokens []Token, rewrite func([]Token) []Token) (out []Token, ok bool) {
	const beginning = 2
	l := list{
		// Turned round at the end, as is each address before rewrite sees it.
		out:     make([]Token, 0, len(tokens)+len(tokens)/2),
		rewrite: rewrite,
	}
	inGroup := false
	wordOK := true // a word here continues the address to its right
	i := len(tokens) - 1
	for i >= beginning {
		t := tokens[i]
		switch t.Kind {
		case Semi:
			l.flushComma()
			if inGroup {
				return nil, false
			}
			inGroup, wordOK = true, true
		case Colon:
			l.flush()
			if !inGroup {
				return nil, false
			}
			inGroup, wordOK = false, true
			// The group's name, and the comma before it.
			for i >= beginning && tokens[i].Kind != Comma {
				l.out = append(l.out, tokens[i])
				i--
			}
			if i < beginning {
				continue
			}
			t = tokens[i]
		case Right:
			l.flushComma()
			l.out = append(l.out, t)
			for i--; i >= beginning && tokens[i].Kind != Left; i-- {
				l.addr = append(l.addr, tokens[i])
			}
			l.address() // even if it is empty
			if i < beginning {
				return nil, false
			}
			l.out = append(l.out, tokens[i])
			for i--; i >= beginning && inPhrase(tokens[i].Kind); i-- {
				l.out = append(l.out, tokens[i])
			}
			wordOK = false
			continue
		case Atom, Quote, Literal:
			if !wordOK {
				l.flushComma()
			}
			wordOK = false
			l.addr = append(l.addr, t)
			i--
			continue
		case Comment: // a space in disguise
		case Comma:
			l.flush()
			wordOK = true
		default:
			wordOK = true
			l.addr = append(l.addr, t)
			i--
			continue
		}
		l.out = append(l.out, t)
		i--
	}
	l.flush()
	for i = min(beginning, len(tokens)) - 1; i >= 0; i-- {
		l.out = append(l.out, tokens[i])
	}
	slices.Reverse(l.out)
	return l.out, true
}

// inPhrase says what may stand in the name before a "<".
func inPhrase(k Kind) bool {
	return k == Comment || k == Atom || k == Quote || k == At || k == Dot
}

// list collects what was read, right to left.
type list struct {
	out     []Token
	addr    []Token
	rewrite func([]Token) []Token
}

func (l *list) address() {
	slices.Reverse(l.addr)
	for _, t := range slices.Backward(l.rewrite(l.addr)) {
		l.out = append(l.out, t)
	}
	l.addr = l.addr[:0]
}

func (l *list) flush() {
	if len(l.addr) > 0 {
		l.address()
	}
}

func (l *list) flushComma() {
	if len(l.addr) > 0 {
		l.address()
		l.out = append(l.out, Token{Kind: Comma})
	}
}
