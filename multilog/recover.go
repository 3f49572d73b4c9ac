package multilog

import "paperpath/internal/fsys"

// A rest is what a log still has to get of what a killed multilog had read.
type rest struct {
	skip int // so many bytes it has
	text []byte
}

func (r *rest) write(b []byte) {
	n := min(r.skip, len(b))
	r.skip -= n
	r.text = append(r.text, b[n:]...)
}

// A nobody gets lines that cannot be known not to have been written.
type nobody struct{}

func (nobody) write([]byte) {}

// openLogs takes the logs, puts them in order and begins the journal. If the
// multilog before this one was killed it finishes its work first: the script is
// applied once more to what had been read, and what a log did not get it gets
// now, where it belongs if that can be: at the end of the file that was being
// written.
func (s *script) openLogs() (b *buffer, err error) {
	words := s.env.Args[1:]
	var j *journal
	var pending []byte
	var at slot
	defer func() {
		if err != nil && j != nil && pending == nil {
			j.end()
		}
	}()
	for i, l := range s.logs {
		if err := l.take(s.env.Dir); err != nil {
			return nil, err
		}
		if i == 0 && len(s.logs) <= maxLogs {
			if j = openJournal(l.lock); j != nil {
				pending, at = j.left()
			}
		}
		if pending == nil {
			if err := l.open(); err != nil {
				return nil, err
			}
		}
	}
	var begun []byte
	if pending != nil {
		rests := make([]rest, len(s.logs))
		if begun, err = s.again(pending, &at, j.header.script == hashWords(words), rests); err != nil {
			return nil, err
		}
		for i, l := range s.logs {
			if err := l.open(); err != nil {
				return nil, err
			}
			l.write(rests[i].text)
		}
	}
	input := identity(s.env.Files[0])
	if j != nil && j.header.input != input {
		begun = nil // the rest of that line will never come, and this is no line
	}
	if j == nil {
		return &buffer{data: pages(dataSize)}, nil
	}
	j.begin(hashWords(words), input)
	b = &buffer{data: j.data(), journal: j}
	b.end = copy(b.data, begun)
	for i, l := range s.logs {
		l.journal, l.index = j, i
		l.identify()
	}
	b.mark(s, true)
	return b, nil
}

// again applies the script to what was left and returns the line that had not
// ended. What does not belong at the end of a file that is there goes to rests.
func (s *script) again(pending []byte, at *slot, same bool, rests []rest) (begun []byte, err error) {
	outs := make([]out, len(s.outs))
	for i, o := range s.outs {
		outs[i] = *o
		o.to = nobody{}
	}
	inCurrent := make([]bool, len(s.logs))
	for i, l := range s.logs {
		if same {
			rests[i].skip, inCurrent[i] = at.logs[i].written(l)
			s.outs[l.out].selected = at.logs[i].selected == 1
		}
		s.outs[l.out].to = &rests[i]
	}
	s.inTail = same && at.inTail == 1
	s.replay = true
	begun = s.take(pending)
	s.flush()
	s.replay = false
	for i, o := range s.outs {
		o.to = outs[i].to
	}
	for i, l := range s.logs {
		if !inCurrent[i] || len(rests[i].text) == 0 {
			continue
		}
		if err := l.complete(rests[i].text); err != nil {
			return nil, err
		}
		rests[i].text = nil
	}
	return begun, nil
}

// complete appends b to the file that was current when its multilog was killed.
func (l *log) complete(b []byte) error {
	f, err := l.fs.Open("current", fsys.WRONLY|fsys.APPEND, 0)
	if err != nil {
		return l.unable("append to", "/current", err)
	}
	defer f.Close()
	for len(b) > 0 {
		n, err := f.Write(b)
		b = b[n:]
		if err != nil {
			l.pause("unable to write to "+l.name+"/current", err)
		}
	}
	return nil
}

// written returns how much a log has of what becomes of what was left, and
// whether its file is still current.
func (p *position) written(l *log) (n int, inCurrent bool) {
	n = int(p.skip)
	if p.ino == 0 {
		return n, false
	}
	for i, name := range append([]string{"current", "previous"}, l.old()...) {
		if st, err := l.fs.Lstat(name); err == nil && st.Ino == p.ino {
			return n + max(int(st.Size)-int(p.base), 0), i == 0
		}
	}
	return n, false
}
