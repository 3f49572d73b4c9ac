package send

import (
	"slices"

	"paperpath/mta/queue/store"
)

// A message for one recipient is tried straight from todo/. As a rule that
// succeeds, and then two names and one directory have to be synced less than
// with lists that lived for an instant:
//
//	+todo                       S4: tried, or waiting to be
//	-todo                       S2: delivered; qmail-clean has removed todo/N
//	-mess                       S1: the finisher, todo/ being synced
//
// Whatever else happens it is settled first, that is, preprocessed:
//
//	+todo +info +local          written and synced by the intake (or remote)
//	-todo +info +local          S5: deferred, or failed and bounce/N may begin
//
// So todo/N stays until the recipient is done or there is a list, and a crash
// before that means that the message is begun anew. With several recipients it
// would mean so for those that were done; these messages get their lists first.
type straight struct {
	id        store.ID
	channel   channel
	sender    string
	recipient string
	birth     int64

	job      *job   // nil: not started
	begun    bool   // there may be parts of lists: it cannot do without any more
	settling bool   // the intake writes them
	outcome  func() // what the report asks for as soon as there is a list
}

// patience is after how many seconds a message is settled whose delivery has
// not begun, or not ended: qmail-qread shows it then.
const patience = 10

// takeFresh takes messages over from the intake.
func (s *scheduler) takeFresh(fresh []*straight) {
	for _, st := range fresh {
		st.birth = s.now
		s.straights[st.id] = st
		s.fresh[st.channel] = append(s.fresh[st.channel], st)
		s.late.push(entry{s.now + patience, st.id})
	}
}

// freshNext reports whether a message that was never tried is the next one on
// a channel: none that waits in the heap was due before it came.
func (s *scheduler) freshNext(c channel) bool {
	if len(s.fresh[c]) == 0 {
		return false
	}
	due, ok := s.due[c].first()
	return !ok || due >= s.fresh[c][0].birth
}

// startFresh starts the delivery of the next message on a channel, which has a
// free one. The job is that of a list whose only record has been read.
func (s *scheduler) startFresh(c channel) {
	st := s.fresh[c][0]
	s.fresh[c] = s.fresh[c][1:]
	st.job = &job{
		id:       st.id,
		channel:  c,
		sender:   st.sender,
		retry:    nextRetry(st.birth, s.now, c),
		lastTry:  s.isLastTry(st.birth, st.birth),
		left:     1,
		read:     true,
		straight: st,
	}
	s.start(st.job, store.Record{Letter: store.LetterRecipient, Text: st.recipient})
}

// succeeded obeys the report that a delivery's recipient is done.
func (s *scheduler) succeeded(d *delivery) {
	if st := d.job.straight; st != nil && !st.begun {
		delete(s.straights, st.id)
		s.finisher.delivered.put(st.id)
		return
	}
	s.whenSettled(d.job, func() { s.recipientDone(d) })
}

// whenSettled calls f when the job's message has a list.
func (s *scheduler) whenSettled(j *job, f func()) {
	st := j.straight
	if st == nil {
		f()
		return
	}
	st.outcome = f
	if !st.settling {
		s.settle(st)
	}
}

func (s *scheduler) settle(st *straight) {
	st.begun, st.settling = true, true
	s.settling++
	s.intake.late.put(st)
}

// settleLate settles what has not been delivered in time, and what could not
// be settled before.
func (s *scheduler) settleLate() {
	for {
		e, ok := s.late.popDue(s.now)
		if !ok {
			return
		}
		// Most have left. If the number is another message's by now, that is
		// settled too soon, which is no harm.
		st := s.straights[e.id]
		if st == nil || st.settling {
			continue
		}
		if st.job == nil {
			if s.exiting {
				continue // it is in todo/, where the next qmail-send looks
			}
			s.fresh[st.channel] = slices.DeleteFunc(s.fresh[st.channel], func(f *straight) bool { return f == st })
		}
		s.settle(st)
	}
}

// settled takes over what the intake has settled, or could not, which it has
// logged: the message is in todo/ still, and what the report said is kept.
func (s *scheduler) settled(st *straight, ok bool) {
	s.settling--
	st.settling = false
	switch {
	case ok && st.job == nil:
		delete(s.straights, st.id)
		s.due[st.channel].push(entry{st.birth, st.id})
	case ok:
		delete(s.straights, st.id)
		st.job.straight = nil
		s.jobs++
		if st.outcome != nil {
			st.outcome()
		}
	default:
		s.late.push(entry{s.now + int64(sleepTrouble.Seconds()), st.id})
		if st.job == nil {
			s.fresh[st.channel] = append(s.fresh[st.channel], st)
		}
	}
}
