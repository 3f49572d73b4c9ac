package multilog

import (
	"bytes"

	"paperpath/internal/sys"
	"paperpath/internal/tai"
)

const (
	headSize  = 1000 // how much of a line patterns and status files see
	alertSize = 200  // how much of it "e" shows

	// outSize is enough for the output from a full buffer of 100-byte lines,
	// stamps included.
	outSize = 96 << 10
)

// An out is where selected lines go: a log, or stdout.
type out struct {
	to       interface{ write([]byte) }
	selected bool
	buf      []byte // not yet written
}

func (o *out) put(b []byte) {
	if len(o.buf)+len(b) > cap(o.buf) {
		o.flush()
		if cap(o.buf) == 0 {
			o.buf = pages(outSize)[:0]
		}
		if len(b) > cap(o.buf) {
			o.to.write(b)
			return
		}
	}
	o.buf = append(o.buf, b...)
}

func (o *out) flush() {
	if len(o.buf) > 0 {
		o.to.write(o.buf)
		o.buf = o.buf[:0]
	}
}

// pages is sys.Pages. If that has no memory, make has none either, and the
// runtime reports it.
func pages(n int) []byte {
	if b, err := sys.Pages(n); err == nil {
		return b
	}
	return make([]byte, n)
}

// lines is the state of the stream between reads.
type lines struct {
	inTail bool // the line's head has been acted on, its tail goes to the same outs
	begun  bool // the clock's label belongs to a line that an earlier read began
	clock  tai.Clock
	replay bool   // the input is a killed multilog's: e and status files are done
	head   []byte // scratch: a line's head with its stamp
}

// take applies the script to the input b. It returns the unfinished line at the
// end of b, which the caller must pass again, with more input after it. A line
// that is longer than its head is acted on and passed through, whatever its
// length.
func (s *script) take(b []byte) (rest []byte) {
	if !s.stamp && !s.choosy {
		return s.pass(b)
	}
	room := headSize
	if s.stamp {
		room -= len(s.clock.Label)
		if !s.begun {
			s.clock.Read()
		}
	}
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		if s.inTail {
			s.inTail = end < 0
			if s.inTail {
				end = len(b) - 1
			}
			s.put(b[:end+1])
			b = b[end+1:]
			continue
		}
		if end < 0 {
			if len(b) < room {
				s.begun = true
				return b
			}
			s.inTail = true
			end = len(b) - 1
			s.act(b[:room])
		} else {
			s.act(b[:min(end, room)])
		}
		if s.stamp {
			s.put(s.clock.Label[:])
			if s.begun {
				s.clock.Read()
			} else {
				s.clock.Tick()
			}
		}
		s.begun = false
		s.put(b[:end+1])
		b = b[end+1:]
	}
	return nil
}

// pass is take for a script that does not look at lines.
func (s *script) pass(b []byte) (rest []byte) {
	n := bytes.LastIndexByte(b, '\n') + 1
	if len(b)-n >= headSize || s.inTail && n == 0 {
		n = len(b)
	}
	if n > 0 {
		s.inTail = b[n-1] != '\n'
		for _, o := range s.outs {
			o.to.write(b[:n])
		}
	}
	return b[n:]
}

// act applies the actions to the head of a line.
func (s *script) act(head []byte) {
	if !s.choosy {
		return
	}
	if s.stamp {
		s.head = append(append(s.head[:0], s.clock.Label[:]...), head...)
		head = s.head
	}
	selected := true
	for i := range s.actions {
		switch a := &s.actions[i]; a.verb {
		case '+':
			selected = selected || a.pattern.match(head)
		case '-':
			selected = selected && !a.pattern.match(head)
		case 'e':
			if selected && !s.replay {
				s.alert(head)
			}
		case '=':
			if selected && !s.replay {
				a.status.set(head)
			}
		case toOut:
			a.out.selected = selected
		}
	}
}

// put appends b to the outs that want the line.
func (s *script) put(b []byte) {
	for _, o := range s.outs {
		if o.selected {
			o.put(b)
		}
	}
}

// flush hands all buffered output to the kernel.
func (s *script) flush() {
	for _, o := range s.outs {
		o.flush()
	}
	for i := range s.actions {
		if f := s.actions[i].status; f != nil && f.changed {
			f.write()
		}
	}
}

// free gives back the memory of the large buffers, which are empty.
func (s *script) free() {
	for _, o := range s.outs {
		if cap(o.buf) > 0 {
			sys.Free(o.buf[:cap(o.buf)])
		}
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
		s.env.Files[2].Write(append(append(text[:0], head[:alertSize]...), "...\n"...))
	} else {
		s.env.Files[2].Write(append(append(text[:0], head...), '\n'))
	}
}
