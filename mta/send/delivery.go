package send

import (
	"io"

	"paperpath/mta/queue/store"
	"paperpath/mta/spawn/delnum"
)

// A spawner is qmail-lspawn or qmail-rspawn as seen from here:
//
//	it says first   how many deliveries it can run
//	to it           number, "S/N" NUL, sender NUL, recipient NUL
//	from it         number, K or Z or D, text, NUL
//
// number is the index in slots; package delnum says how it is written.
type spawner struct {
	channel     channel
	alive       bool
	width       delnum.Width
	limit       int // what it said first
	concurrency int // ours, at most limit
	used        int
	slots       []*delivery
	numbers     []int // the free ones, the next one last
	to          io.Writer
	from        io.Reader
	commands    chan []byte // room for every slot: putting never waits
}

// delivery is one attempt for one recipient.
type delivery struct {
	job       *job
	serial    uint64 // in the log
	pos       int64  // of its record
	recipient string
}

// meet hears how many deliveries a spawner can run and agrees with it on the
// width of their numbers.
func meet(c channel, to io.Writer, from io.Reader, concurrency int) (*spawner, error) {
	sp := &spawner{channel: c, alive: true, width: delnum.Narrow, to: to, from: from}
	var first [2]byte
	switch n, _ := from.Read(first[:]); n {
	case 0:
		return nil, errNoSpawner
	case 1:
		sp.limit = int(first[0])
	case 2: // patched for big concurrency: both in one write
		sp.width = delnum.Wide
		sp.limit = sp.width.Number(first[:])
	}
	if sp.width == delnum.Narrow && sp.limit == delnum.MaxNarrow {
		if err := sp.askForWide(); err != nil {
			return nil, err
		}
	}
	sp.slots = make([]*delivery, sp.limit)
	sp.commands = make(chan []byte, sp.limit)
	for n := range sp.limit {
		sp.numbers = append(sp.numbers, sp.limit-1-n) // small ones first
	}
	sp.setConcurrency(concurrency)
	return sp, nil
}

// askForWide asks a spawner for numbers of two bytes. Nothing else has been
// said yet, so that whatever comes until the next NUL is its answer.
func (sp *spawner) askForWide() error {
	if _, err := io.WriteString(sp.to, delnum.Question); err != nil {
		return errNoSpawner
	}
	var answer []byte
	for b := make([]byte, 1); ; answer = append(answer, b[0]) {
		if n, _ := sp.from.Read(b); n < 1 || len(answer) > maxReport {
			return errNoSpawner
		}
		if b[0] == 0 && len(answer) > 0 {
			break
		}
	}
	limit, wide, err := delnum.ParseAnswer(string(answer[1:]))
	if wide {
		sp.width, sp.limit = delnum.Wide, limit
	}
	return err
}

// setConcurrency reports whether that changed anything.
func (sp *spawner) setConcurrency(n int) bool {
	n = min(n, sp.limit)
	changed := n != sp.concurrency
	sp.concurrency = n
	return changed
}

func (sp *spawner) free() bool { return sp.alive && sp.used < sp.concurrency }

// start begins the delivery of one recipient of the job. The caller knows that
// the job's spawner has a free slot.
func (s *scheduler) start(j *job, rec store.Record) {
	sp := s.spawners[j.channel]
	last := len(sp.numbers) - 1
	number := sp.numbers[last]
	sp.numbers = sp.numbers[:last]
	s.started++
	d := &delivery{j, s.started, rec.Pos, rec.Text}
	j.refs++
	sp.slots[number] = d
	sp.used++

	command := sp.width.Append(nil, number)
	command = append(command, j.id.Split()...)
	command = append(command, 0)
	command = append(command, senderFor(j.sender, d.recipient)...)
	command = append(command, 0)
	command = append(command, d.recipient...)
	sp.commands <- append(command, 0)

	s.log.line("starting delivery ", decimal(d.serial), ": msg ", j.id.String(),
		" to ", sp.channel.String(), " ", safe(d.recipient))
	s.logStatus()
}

const tooLong = "I'm not going to try again; this message has been in the queue too long.\n"

// report obeys one report of a spawner. It comes from a program that may be
// broken, or broken into, so nothing in it is trusted.
func (s *scheduler) report(c channel, number int, text string) {
	sp := s.spawners[c]
	if number >= len(sp.slots) || sp.slots[number] == nil {
		s.log.line("warning: internal error: delivery report out of range")
		return
	}
	d := sp.slots[number]
	sp.slots[number] = nil
	sp.numbers = append(sp.numbers, number)
	sp.used--

	verdict := byte(0)
	if text != "" {
		verdict, text = text[0], text[1:]
	}
	if verdict == 'Z' && d.job.lastTry {
		verdict, text = 'D', text+tooLong
	}
	serial := decimal(d.serial)
	switch verdict {
	case 'K':
		s.log.line("delivery ", serial, ": success: ", safe(text))
		s.succeeded(d)
	case 'Z':
		s.log.line("delivery ", serial, ": deferral: ", safe(text))
		s.whenSettled(d.job, func() { s.closeJob(d.job) })
	case 'D':
		s.log.line("delivery ", serial, ": failure: ", safe(text))
		paragraph := bounceText(s.settings.stripPrepend(d.recipient), text)
		s.whenSettled(d.job, func() {
			s.recorder.put(d.job.id, paragraph, func() { s.recipientDone(d) })
		})
	default:
		s.log.line("delivery ", serial, ": report mangled, will defer")
		s.whenSettled(d.job, func() { s.closeJob(d.job) })
	}
	s.logStatus()
}

// spawnerDied notes the end of a spawner. Its deliveries may have gone on and
// succeeded; nobody will ever know, so they will be made again.
func (s *scheduler) spawnerDied(c channel) {
	if sp := s.spawners[c]; sp.alive {
		sp.alive = false
		s.lost("spawn")
	}
}

// maxReport is how much of a report is kept, its number included.
const maxReport = 10000

// readReports posts the reports that a spawner writes, until it ends.
func (s *scheduler) readReports(c channel, r io.Reader) {
	var buf [4096]byte
	var partial []byte
	width := s.spawners[c].width
	type report struct {
		number int
		text   string
	}
	for {
		n, err := r.Read(buf[:])
		if err != nil {
			s.post(func() { s.spawnerDied(c) })
			return
		}
		var reports []report
		for _, b := range buf[:n] {
			switch {
			case b == 0 && len(partial) >= int(width):
				reports = append(reports, report{width.Number(partial), string(partial[width:])})
				partial = partial[:0]
			case len(partial) < maxReport:
				partial = append(partial, b)
			}
		}
		if len(reports) > 0 {
			s.post(func() {
				for _, r := range reports {
					s.report(c, r.number, r.text)
				}
			})
		}
	}
}

// writeCommands writes what start puts, all that is there at once, until the
// scheduler stops. A spawner that does not read is waited for here, where
// nobody else has to wait.
func (s *scheduler) writeCommands(c channel, w io.Writer) {
	commands := s.spawners[c].commands
	for {
		var buf []byte
		select {
		case buf = <-commands:
		case <-s.stop:
			return
		}
		for more := true; more; {
			select {
			case b := <-commands:
				buf = append(buf, b...)
			default:
				more = false
			}
		}
		if _, err := w.Write(buf); err != nil {
			s.post(func() { s.spawnerDied(c) })
			return
		}
	}
}
