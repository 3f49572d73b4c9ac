package multilog

import (
	"errors"
	"syscall"

	"paperpath/internal/fsys"
	"paperpath/internal/strerr"
)

// A rest is the output that a log still lacks from the input of a killed multilog.
type rest struct {
	has       int    // bytes of that output that are in the log
	skip      int    // of these, how many write has not seen yet
	text      []byte // the rest
	inCurrent bool   // text belongs at the end of the present current
}

func (r *rest) write(b []byte) {
	n := min(r.skip, len(b))
	r.skip -= n
	r.text = append(r.text, b[n:]...)
}

// discard takes output that may have been written before the kill already: no
// journal records how much of it stdout got.
type discard struct{}

func (discard) write([]byte) {}

// openLogs locks the logs, puts them in order and begins the journal. If the
// previous multilog was killed, openLogs finishes its work first.
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

// begin begins the journal, after it has dealt with the input left in it.
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

// again applies the script once more to the input that was left, and gives each
// log the output that it lacks, if possible at the end of the file that was being
// written. This multilog may be killed at any moment, too: the journal always
// says how far it has got, and the next one goes on from there.
func (s *script) again(b *buffer, pending []byte, at *slot) error {
	j := b.journal
	if at.script != j.script {
		// It is not known how much of the output these logs have. Assume that
		// this script was running and had written none of it.
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

// repeat applies the script to the input that was left, with the rests in place of
// the logs. It returns the unfinished last line if stdin is the same, and can
// continue it.
func (s *script) repeat(pending []byte, at *slot, rests []rest, same bool) (begun []byte) {
	to := make([]interface{ write([]byte) }, len(s.outs))
	for i, o := range s.outs {
		to[i], o.to = o.to, discard{}
	}
	for i, l := range s.logs {
		s.outs[l.out].to = &rests[i]
	}
	s.setSelected(at.selected)
	s.inTail = at.inTail == 1
	s.replay = true
	begun = s.take(pending)
	if !same {
		// The rest of that line will never come. If it is short, none of it has
		// been written; if it is long, its beginning is in the logs, and it ends
		// here.
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

// resume opens a log and gives it the output that it lacks.
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

// complete appends b to the file that was current when the last multilog was
// killed.
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

// written returns how many bytes of the output from data[begin:] a log has, and
// whether the file they were appended to is still current.
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
