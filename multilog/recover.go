package multilog

import (
	"errors"
	"syscall"

	"paperpath/internal/fsys"
	"paperpath/internal/strerr"
)

// A rest is what a log still has to get of what a killed multilog had read.
type rest struct {
	has       int // so many bytes it has got
	skip      int // so many of them are still to come by
	text      []byte
	inCurrent bool // it belongs at the end of the file that is current
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
// multilog before this one was killed it finishes its work first.
func (s *script) openLogs() (b *buffer, err error) {
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
				j.pause = func() { l.pause("unable to write to "+l.name+"/lock", nil) }
				pending, at = j.left()
			}
		}
		if pending == nil {
			if err := l.open(); err != nil {
				return nil, err
			}
		}
	}
	if j == nil {
		b := &buffer{data: pages(dataSize), atOnce: bufferSize}
		if len(s.logs) > 0 {
			b.atOnce = unkeptSize
		}
		return b, nil
	}
	if j.foreign() {
		s.env.Warn(errors.New("what is in " + strerr.Clean(s.logs[0].name) + "/lock is of another version, and given up"))
	}
	j.script, j.input = hashWords(s.env.Args[1:]), identity(s.env.Files[0])
	return s.begin(j, pending, &at)
}

// begin begins the journal, with what was left in it dealt with.
func (s *script) begin(j *journal, pending []byte, at *slot) (*buffer, error) {
	b := &buffer{data: j.data(), atOnce: bufferSize, journal: j}
	if pending != nil {
		return b, s.again(b, pending, at)
	}
	j.begin()
	for i, l := range s.logs {
		l.journal, l.index = j, i
		l.identify()
	}
	b.mark(s, true)
	return b, nil
}

// again applies the script once more to what was left, and gives each log what it
// did not get, where it belongs if that can be: at the end of the file that was
// being written. This multilog may be killed as well, at any moment: at each the
// journal tells how far it has got, and the next one goes on from there.
func (s *script) again(b *buffer, pending []byte, at *slot) error {
	j := b.journal
	if at.script != j.script {
		// Nobody knows what these logs have of it. Let it be this script that
		// had not got anywhere.
		j.change(func(next *slot) {
			next.script, next.selected, next.logs = j.script, ^uint64(0), [maxLogs]position{}
		})
		*at = *j.slot()
	}
	b.end = int(at.begin) + len(pending)
	rests := make([]rest, len(s.logs))
	for i, l := range s.logs {
		rests[i].has, rests[i].inCurrent = at.logs[i].written(l)
		rests[i].skip = rests[i].has
	}
	begun := s.repeat(pending, at, rests, at.input == j.input)
	for i, l := range s.logs {
		if err := l.resume(j, i, &rests[i]); err != nil {
			return err
		}
	}
	b.begin = b.end - len(begun)
	b.mark(s, false)
	b.store(func() { clear(b.data[b.end:]) })
	b.commit(s)
	b.free()
	return nil
}

// repeat applies the script to what was left, with the rests in place of the
// logs, and returns the line that had not ended. It goes on if stdin is the same.
func (s *script) repeat(pending []byte, at *slot, rests []rest, same bool) (begun []byte) {
	to := make([]interface{ write([]byte) }, len(s.outs))
	for i, o := range s.outs {
		to[i], o.to = o.to, nobody{}
	}
	for i, l := range s.logs {
		s.outs[l.out].to = &rests[i]
	}
	s.setSelected(at.selected)
	s.inTail = at.inTail == 1
	s.replay = true
	begun = s.take(pending)
	if !same {
		// The rest of that line will never come. Of a short one nobody has seen
		// anything; a long one is in the logs, and ends here.
		begun, s.begun = nil, false
		if s.inTail {
			s.take([]byte{'\n'})
		}
	}
	s.flush()
	s.replay = false
	for i, o := range s.outs {
		o.to = to[i]
	}
	return begun
}

// resume opens a log and gives it what it still has to get.
func (l *log) resume(j *journal, index int, r *rest) error {
	if r.inCurrent && len(r.text) > 0 {
		if err := l.complete(r.text); err != nil {
			return err
		}
		r.has += len(r.text)
		r.text = nil
	}
	l.journal, l.index, l.appended = j, index, r.has
	l.moving(true)
	if err := l.open(); err != nil {
		return err
	}
	l.identify()
	l.moving(false)
	l.write(r.text)
	return nil
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
		var st fsys.Info
		l.insist("unable to stat "+l.name+"/"+name, func() (err error) {
			if st, err = l.fs.Lstat(name); err == syscall.ENOENT {
				return nil
			}
			return err
		})
		if st.Ino == p.ino {
			return n + max(int(st.Size)-int(p.base), 0), i == 0
		}
	}
	return n, false
}
