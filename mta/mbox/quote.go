package mbox

import (
	"bufio"
	"bytes"
)

const fromWord = "From "

// quoter copies a message, giving a > to each line that looks like a From line
// behind none or more > already (gfrom.c). It needs no line to be in memory as
// a whole: of the >s in front it does not matter which one is new, so they
// pass at once, and only the start of "From " is ever held back.
type quoter struct {
	w     *bufio.Writer // keeps its first error
	state state
	held  int // bytes of "From " seen and not yet written
}

type state int

const (
	lineStart state = iota // nothing of the line written
	marks                  // only >s
	word                   // and then a part of "From "
	middle
)

func (q *quoter) write(b []byte) {
	for len(b) > 0 {
		if q.state == middle {
			end := bytes.IndexByte(b, '\n')
			if end < 0 {
				q.w.Write(b)
				return
			}
			q.w.Write(b[:end+1])
			b = b[end+1:]
			q.state = lineStart
			continue
		}
		switch c := b[0]; {
		case c == '>' && q.state != word:
			q.w.WriteByte(c)
			q.state = marks
			b = b[1:]
		case c == fromWord[q.held]:
			q.state = word
			q.held++
			b = b[1:]
			if q.held == len(fromWord) {
				q.w.WriteByte('>')
				q.release()
			}
		default:
			q.release()
		}
	}
}

// release writes what is held; the rest of the line needs no look.
func (q *quoter) release() {
	q.w.WriteString(fromWord[:q.held])
	q.held = 0
	q.state = middle
}

// end ends the message: its last line if that is not ended, and a blank one.
func (q *quoter) end() {
	if q.state != lineStart {
		q.release()
		q.w.WriteByte('\n')
	}
	q.w.WriteByte('\n')
}
