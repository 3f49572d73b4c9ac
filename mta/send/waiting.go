package send

import (
	"errors"
	"os"
	"syscall"
	"time"

	"paperpath/internal/fsys"
	"paperpath/mta/queue/store"
)

// readQueue finds the messages that an earlier qmail-send had preprocessed
// (pqstart). A directory that cannot be read is waited for: to go on without
// it would be to forget its mail.
func (s *scheduler) readQueue(signals <-chan os.Signal) {
	for _, dir := range store.Subdirs("info") {
		ids, err := store.List(s.fs, dir)
		for err != nil && !s.exiting {
			s.log.line("alert: unable to opendir ", dir, ", sleeping...")
			s.log.flush()
			select {
			case <-time.After(sleepAlert):
			case sig := <-signals:
				s.obey(sig)
			}
			ids, err = store.List(s.fs, dir)
		}
		s.tick()
		for _, id := range ids {
			s.wait(id)
		}
	}
}

// sleepAlert is the pause after what needs a person.
const sleepAlert = 10 * time.Second

// wait puts a message into the heap where it belongs (pqadd).
func (s *scheduler) wait(id store.ID) {
	info, exists, ok := s.stat(id, id.Info())
	if !ok || !exists {
		return // somebody took it away
	}
	for _, todo := range s.form.Todos(id) {
		if _, exists, ok := s.stat(id, todo); !ok || exists {
			return // qmail-send died while it preprocessed: intake begins anew
		}
	}
	var has [channels]bool
	var due [channels]int64
	for c := range channels {
		st, exists, ok := s.stat(id, c.file(id))
		if !ok {
			return
		}
		has[c] = exists
		due[c] = st.Mtime.Unix() // pqfinish left the schedule there
		if due[c] > nextRetry(info.Mtime.Unix(), s.now, c) {
			due[c] = s.now // no schedule says so: the clock was wrong
		}
	}
	for c, yes := range has {
		if yes {
			s.due[c].push(entry{due[c], id})
		}
	}
	if !has[local] && !has[remote] {
		s.done.push(entry{s.now, id})
	}
}

// stat looks at a file of message id. If nobody can tell whether it is there,
// ok is false and the message is looked at again later.
func (s *scheduler) stat(id store.ID, name string) (st fsys.Info, exists, ok bool) {
	st, err := s.fs.Stat(name)
	if err == nil || errors.Is(err, syscall.ENOENT) {
		return st, err == nil, true
	}
	s.log.line("warning: unable to stat ", name, "; will try again later")
	s.retry.push(entry{s.now + sleepSysfail, id})
	return st, false, false
}

// preprocessed takes a message over from the intake, with the channels on
// which it has recipients.
func (s *scheduler) preprocessed(id store.ID, has [channels]bool) {
	for c, yes := range has {
		if yes {
			s.due[c].push(entry{s.now, id})
		}
	}
	if !has[local] && !has[remote] {
		s.done.push(entry{s.now, id})
	}
}

// passOnDone hands messages without recipients to the finisher, and looks
// again at those that could not be looked at.
func (s *scheduler) passOnDone() {
	for {
		e, ok := s.retry.popDue(s.now)
		if !ok {
			break
		}
		s.wait(e.id)
	}
	for {
		e, ok := s.done.popDue(s.now)
		if !ok {
			break
		}
		s.finisher.work.put(finish{id: e.id})
	}
}

// saveSchedule leaves the schedule to the next qmail-send as the modification
// times of the files (pqfinish).
func (s *scheduler) saveSchedule() {
	for c, heap := range s.due {
		for _, e := range heap {
			name := channel(c).file(e.id)
			if err := s.fs.SetTimes(name, time.Unix(e.due, 0)); err != nil {
				s.log.line("warning: unable to utime ", name, "; message will be retried too soon")
			}
		}
	}
}
