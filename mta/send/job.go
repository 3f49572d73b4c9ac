package send

import (
	"errors"
	"io"
	"os"
	"syscall"

	"paperpath/internal/fsys"
	"paperpath/mta/queue/store"
)

// job is one message on one channel while its recipients are tried. There are
// at most as many as deliveries may run.
type job struct {
	id      store.ID
	channel channel
	sender  string
	retry   int64 // when it is due again if anything is left
	lastTry bool  // what is deferred now fails
	left    int   // recipients met that are not done
	read    bool  // the file was read to its end
	corrupt bool
	refs    int // the pass that reads the file, and deliveries

	straight *straight // nil: the message has a list
}

// pass reads the recipients of one job after the other, one at a time, as
// deliveries become free.
type pass struct {
	job     *job // nil: between two jobs
	file    fsys.File
	records *store.Records
	any     bool // one has been read
}

func (s *scheduler) jobFree() bool {
	return s.jobs < s.spawners[local].concurrency+s.spawners[remote].concurrency
}

// maxSteps bounds what startDeliveries does before it looks for events again.
const maxSteps = 1000

// startDeliveries starts what is due and finds a free delivery, the channels
// taking turns. It reports whether it stopped before the end.
func (s *scheduler) startDeliveries() (busy bool) {
	if s.exiting {
		return false
	}
	for range maxSteps {
		l := s.step(local)
		r := s.step(remote)
		if !l && !r {
			return false
		}
	}
	return true
}

// step opens the next job that is due on a channel, or takes the next record
// of the open one (pass_dochan). It reports whether there was anything to do.
func (s *scheduler) step(c channel) bool {
	if s.settings.held[c] {
		return false
	}
	p := &s.passes[c]
	if p.job == nil {
		if s.freshNext(c) {
			if !s.spawners[c].free() {
				return false
			}
			s.startFresh(c)
			return true
		}
		if !s.jobFree() {
			return false
		}
		e, ok := s.due[c].popDue(s.now)
		if !ok {
			return false
		}
		s.openJob(c, e)
		return true
	}
	if !s.spawners[c].free() {
		return false
	}
	rec, err := p.records.Next()
	empty := !p.any
	p.any = true
	switch {
	case err == io.EOF && empty:
		// Lists are made for recipients. C ends the message: nobody has it,
		// and nobody is told.
		s.log.line("warning: no recipients in ", c.file(p.job.id), "!")
		p.job.corrupt = true
		s.endPass(p)
	case err == io.EOF:
		p.job.read = true
		s.endPass(p)
	case errors.Is(err, store.ErrCorrupt), err == nil && rec.Letter != store.LetterRecipient && rec.Letter != store.LetterDone:
		s.log.line("warning: unknown record type in ", c.file(p.job.id), "!")
		p.job.corrupt = true
		s.endPass(p)
	case err != nil:
		s.log.line("warning: trouble reading ", c.file(p.job.id), "; will try again later")
		s.endPass(p)
	case rec.Letter == store.LetterRecipient:
		p.job.left++
		s.start(p.job, rec)
	}
	return true
}

func (s *scheduler) openJob(c channel, e entry) {
	name := c.file(e.id)
	f, err := s.fs.Open(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		s.troubleOpening(c, e.id, name)
		return
	}
	sender, birth, err := store.ReadInfo(s.fs, e.id)
	if err != nil {
		f.Close()
		if errors.Is(err, store.ErrCorrupt) {
			s.finisher.work.put(finish{id: e.id, corrupt: e.id.Info()})
			return
		}
		s.troubleOpening(c, e.id, e.id.Info())
		return
	}
	s.jobs++
	s.passes[c] = pass{file: f, records: store.NewRecords(f), job: &job{
		id:      e.id,
		channel: c,
		sender:  sender,
		retry:   nextRetry(birth.Unix(), s.now, c),
		lastTry: s.isLastTry(birth.Unix(), e.due),
		refs:    1,
	}}
}

func (s *scheduler) troubleOpening(c channel, id store.ID, name string) {
	if _, err := s.fs.Stat(id.Info()); errors.Is(err, syscall.ENOENT) {
		return // somebody took the message away
	}
	s.log.line("warning: trouble opening ", name, "; will try again later")
	s.due[c].push(entry{s.now + sleepSysfail, id})
}

// lateTry is how long after its time an attempt may come and still be the
// last one.
const lateTry = 86400

// isLastTry reports whether a message is too old to be tried after this
// attempt. An attempt that comes a day or more after it was due is not held to
// be the last: the machine was off, or its clock is years ahead, and a wrong
// clock must not bounce the queue.
func (s *scheduler) isLastTry(birth, due int64) bool {
	return s.now-birth > s.settings.lifetime && s.now-due < lateTry
}

func (s *scheduler) endPass(p *pass) {
	j := p.job
	p.file.Close()
	*p = pass{}
	s.closeJob(j)
}

// recipientDone marks a recipient as done, and its delivery's share in the job
// as ended. The mark of the last one is not worth its writing: the whole file
// goes.
func (s *scheduler) recipientDone(d *delivery) {
	j := d.job
	j.left--
	if !(j.read && j.left == 0 && j.refs == 1) || !s.removeList(j) {
		s.mark(d)
		s.closeJob(j)
		return
	}
	j.refs--
	s.jobs--
}

func (s *scheduler) mark(d *delivery) {
	name := d.job.channel.file(d.job.id)
	if err := store.MarkDone(s.fs, name, d.pos); err != nil {
		s.log.line("warning: trouble marking ", name, "; message will be delivered twice!")
	}
}

// closeJob ends one share in a job (job_close). With the last one the message
// goes back to wait, or on to its end.
func (s *scheduler) closeJob(j *job) {
	j.refs--
	if j.refs > 0 {
		return
	}
	s.jobs--
	switch {
	case j.corrupt:
		s.finisher.work.put(finish{id: j.id, corrupt: j.channel.file(j.id)})
	case j.read && j.left == 0:
		if !s.removeList(j) {
			s.log.line("warning: unable to unlink ", j.channel.file(j.id), "; will try again later")
			s.due[j.channel].push(entry{s.now + sleepSysfail, j.id})
		}
	default:
		s.due[j.channel].push(entry{j.retry, j.id})
	}
}

// removeList removes the list of a job whose recipients are all done. If the
// other channel has none either the message is.
func (s *scheduler) removeList(j *job) bool {
	if err := s.fs.Remove(j.channel.file(j.id)); err != nil {
		return false
	}
	s.finisher.removed(j.id.Dir(j.channel.String()))
	other := local + remote - j.channel
	switch _, err := s.fs.Stat(other.file(j.id)); {
	case err == nil:
		return true
	case !errors.Is(err, syscall.ENOENT):
		s.log.line("warning: unable to stat ", other.file(j.id))
	}
	s.done.push(entry{s.now, j.id})
	return true
}
