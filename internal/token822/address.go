package token822

import "slices"

// AppendRewritten appends a field, as Append does, in which the addresses are
// replaced by what rewrite makes of each and the commas that were missing are
// there. The first two tokens are the field's name and colon. rewrite gets the
// tokens of one address without angle brackets, may change them in place, and
// keeps none; the addresses come from right to left, because so RFC 822 lists
// are easy to read: a word that follows a word without a comma begins another
// address, and what precedes a "<" is only a name. The empty address <> is one.
//
// ok is false if the groups or angle brackets do not match; rewrite has then
// already seen the addresses to the right of that place.
func AppendRewritten(dst []byte, tokens []Token, width int, rewrite func([]Token) []Token) (out []byte, ok bool) {
	const beginning = 2
	l := list{
		addr:    make([]Token, 0, 16), // and room for what rewrite puts in
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
				l.put(tokens[i])
				i--
			}
			if i < beginning {
				continue
			}
			t = tokens[i]
		case Right:
			l.flushComma()
			l.put(t)
			for i--; i >= beginning && tokens[i].Kind != Left; i-- {
				l.addr = append(l.addr, tokens[i])
			}
			l.address() // even if it is empty
			if i < beginning {
				return nil, false
			}
			l.put(tokens[i])
			for i--; i >= beginning && inPhrase(tokens[i].Kind); i-- {
				l.put(tokens[i])
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
		l.put(t)
		i--
	}
	l.flush()
	for i = min(beginning, len(tokens)) - 1; i >= 0; i-- {
		l.put(tokens[i])
	}
	return l.appendFolded(dst, width), true
}

// inPhrase says what may stand in the name before a "<".
func inPhrase(k Kind) bool {
	return k == Comment || k == Atom || k == Quote || k == At || k == Dot
}

// list collects what was read, right to left. It keeps the text and not the
// tokens, which take ten times as much: a header of megabytes may be all
// addresses, each of which gets a host and a domain.
type list struct {
	text    []byte // last byte first
	commas  []int  // where in text the marks stand, not the bytes of a string
	right   Kind   // the last token written
	addr    []Token
	rewrite func([]Token) []Token
}

// put writes a token to the left of the others.
func (l *list) put(t Token) {
	if l.right != 0 && apart(t.Kind, l.right) {
		l.text = append(l.text, ' ')
	}
	l.right = t.Kind
	if t.Kind == Comma {
		l.commas = append(l.commas, len(l.text))
	}
	start := len(l.text)
	l.text = appendToken(l.text, t)
	slices.Reverse(l.text[start:])
}

// appendFolded turns the text round.
func (l *list) appendFolded(dst []byte, width int) []byte {
	slices.Reverse(l.text)
	f := newFolder(slices.Grow(dst, len(l.text)+2*len(l.commas)+2), width)
	done := 0
	for _, comma := range slices.Backward(l.commas) {
		end := len(l.text) - comma
		f.out = append(f.out, l.text[done:end]...)
		f.mark()
		done = end
	}
	f.out = append(f.out, l.text[done:]...)
	return f.finish()
}

func (l *list) address() {
	slices.Reverse(l.addr)
	for _, t := range slices.Backward(l.rewrite(l.addr)) {
		l.put(t)
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
		l.put(Token{Kind: Comma})
	}
}
