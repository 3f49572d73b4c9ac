package token822

import "strings"

// Append appends the field that tokens stand for, with its line end. Lines are
// folded after commas so that, where the addresses are not longer themselves,
// none has more than width-2 bytes; width 0 means one line.
func Append(dst []byte, tokens []Token, width int) []byte {
	f := newFolder(dst, width)
	var last Kind
	for _, t := range tokens {
		if apart(last, t.Kind) {
			f.out = append(f.out, ' ')
		}
		last = t.Kind
		if t.Kind == Comma {
			f.out = append(f.out, ',')
			f.mark()
			continue
		}
		f.out = appendToken(f.out, t)
	}
	return f.finish()
}

// apart reports whether a space belongs between two neighbours.
func apart(a, b Kind) bool {
	switch a {
	case 0:
		return false
	case Colon, Comma:
		return true
	}
	return b == Left || hasText(a) && hasText(b)
}

func hasText(k Kind) bool { return k >= Atom && k <= Comment }

// folder keeps the last place where a line was ended on trial. At each comma
// it is known whether what came since still fits on the line before; if so,
// that end is taken back.
type folder struct {
	out   []byte
	line  int // where the current line starts
	fold  int // where "\n " was last written, -1 for nowhere
	width int
}

func newFolder(dst []byte, width int) *folder {
	return &folder{out: dst, line: len(dst), fold: -1, width: width}
}

// finish ends the last line.
func (f *folder) finish() []byte {
	f.mark()
	return f.out[:len(f.out)-1] // the line feed of the last mark, not its space
}

func (f *folder) mark() {
	if f.fold >= 0 {
		if f.width == 0 || len(f.out)-f.line <= f.width {
			n := copy(f.out[f.fold:], f.out[f.fold+2:])
			f.out = f.out[:f.fold+n]
		} else {
			f.line = f.fold + 1
		}
	}
	f.fold = len(f.out)
	f.out = append(f.out, '\n', ' ')
}

// delimiters of the kinds that have text; atoms have none.
var delimiters = [...][2]byte{Quote: {'"', '"'}, Literal: {'[', ']'}, Comment: {'(', ')'}}

func appendToken(dst []byte, t Token) []byte {
	if !hasText(t.Kind) {
		return append(dst, marksText[t.Kind])
	}
	if t.Kind != Atom {
		dst = append(dst, delimiters[t.Kind][0])
	}
	if !strings.ContainsAny(t.Text, "\"[]()\\\r\n") {
		dst = append(dst, t.Text...)
	} else {
		for i := range len(t.Text) {
			switch c := t.Text[i]; c {
			case '"', '[', ']', '(', ')', '\\', '\r', '\n':
				dst = append(dst, '\\', c)
			default:
				dst = append(dst, c)
			}
		}
	}
	if t.Kind != Atom {
		dst = append(dst, delimiters[t.Kind][1])
	}
	return dst
}

var marksText = [...]byte{Left: '<', Right: '>', At: '@', Dot: '.', Comma: ',', Semi: ';', Colon: ':'}

// Unquote returns the address that tokens stand for as the envelope has it:
// no quotation marks, no comments, no spaces.
func Unquote(tokens []Token) string {
	n := 0
	for _, t := range tokens {
		n += max(len(t.Text), 1)
	}
	var b strings.Builder
	b.Grow(n)
	for _, t := range tokens {
		switch t.Kind {
		case Comment:
		case Literal:
			b.WriteByte('[')
			b.WriteString(t.Text)
			b.WriteByte(']')
		case Atom, Quote:
			b.WriteString(t.Text)
		default:
			b.WriteByte(marksText[t.Kind])
		}
	}
	return b.String()
}
