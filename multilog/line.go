package multilog

import (
	"bytes"
	"time"

	"paperpath/internal/tai"
)

const (
	headSize   = 1000 // how much of a line patterns and status files see
	alertSize  = 200  // how much of it "e" shows
	bufferSize = 32 << 10
)

// A line is the one that is being read. Only its head is kept: once that is
// complete the actions are applied, and the rest of a longer line goes straight
// to the logs that selected it.
type line struct {
	head   [headSize + 1]byte // with the stamp
	n      int                // bytes in head
	inTail bool               // the actions are done, the line goes on
}

// take applies the script to what was just read.
func (s *script) take(b []byte) {
	for len(b) > 0 {
		if s.inTail {
			end := bytes.IndexByte(b, '\n') + 1
			s.inTail = end == 0
			if s.inTail {
				end = len(b)
			}
			s.put(b[:end])
			b = b[end:]
			continue
		}
		if s.n == 0 && s.stamp {
			stamped := append(tai.Append(s.head[:0], time.Now()), ' ')
			s.n = len(stamped)
		}
		part := b[:min(len(b), headSize-s.n)]
		if end := bytes.IndexByte(part, '\n'); end >= 0 {
			s.n += copy(s.head[s.n:], part[:end])
			b = b[end+1:]
			s.act()
			s.put(newline)
			continue
		}
		s.n += copy(s.head[s.n:], part)
		b = b[len(part):]
		if s.n == headSize {
			s.act()
			s.inTail = true
		}
	}
}

// end completes a last line that has no line feed, and writes everything.
func (s *script) end() {
	if s.n > 0 {
		s.act()
		s.put(newline)
	} else if s.inTail {
		s.put(newline)
	}
	s.flush()
}

var newline = []byte{'\n'}

// act applies the actions to the head of the line and begins a new one.
func (s *script) act() {
	head := s.head[:s.n]
	s.n = 0
	selected := true
	for i := range s.actions {
		switch a := &s.actions[i]; a.verb {
		case '+':
			selected = selected || match(a.arg, head)
		case '-':
			selected = selected && !match(a.arg, head)
		case 'e':
			if selected {
				s.alert(head)
			}
		case '=':
			if selected {
				s.report(a, head)
			}
		case '.':
			a.log.selected = selected
		}
	}
	s.put(head)
}

// put appends b to the logs that want the line.
func (s *script) put(b []byte) {
	for _, l := range s.logs {
		if !l.selected {
			continue
		}
		l.buf = append(l.buf, b...)
		if len(l.buf) >= bufferSize {
			l.flush()
		}
	}
}

func (s *script) flush() {
	for _, l := range s.logs {
		l.flush()
	}
}

func (s *script) rotate() {
	for _, l := range s.logs {
		if l.bytes > 0 {
			l.rotate()
		}
	}
}

// alert shows the line on stderr, in one write.
func (s *script) alert(head []byte) {
	var text [alertSize + 4]byte
	if len(head) > alertSize {
		s.stderr.Write(append(append(text[:0], head[:alertSize]...), "...\n"...))
	} else {
		s.stderr.Write(append(append(text[:0], head...), '\n'))
	}
}

// report makes the line the contents of a status file, which always has the
// same size: a reader needs one read, and nothing is ever truncated.
func (s *script) report(a *action, head []byte) {
	text := s.head[:] // head is its beginning
	for i := len(head); i < len(text); i++ {
		text[i] = '\n'
	}
	for {
		n, err := a.status.WriteAt(text, 0)
		if err == nil && n == len(text) {
			return
		}
		s.pause("unable to write "+a.arg, err)
	}
}
