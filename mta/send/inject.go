package send

import (
	"io"
	"math"
	"os"
	"syscall"
	"time"

	"paperpath/internal/date822"
	"paperpath/internal/fsys"
	"paperpath/internal/quote"
	"paperpath/mta/queue/store"
)

// doubleBounceSender is the sender of a double bounce. What bounces to it is
// discarded.
const doubleBounceSender = "#@[]"

// submission is a message on its way into the queue: a queue.Client.
type submission interface {
	io.Writer
	Envelope(sender string)
	Recipient(addr string)
	Fail()
	Close() string
	PID() int
}

// injector makes messages of its own: bounces, and notes to the postmaster.
type injector struct {
	fs             fsys.FS
	log            *logger
	clock          func() time.Time
	submit         func() (submission, error)
	from, host     string
	doubleBounceTo string
	zone           *time.Location // of Date
	maxBytes       int64          // of the message in a bounce; < 0: all of it
}

// bounce injects what bounce/N says and removes it (injectbounce). It reports
// whether bounce/N is gone, and has logged why not.
//
// The format is QSBMF (https://cr.yp.to/proto/qsbmf.txt).
func (in *injector) bounce(id store.ID, sender string) bool {
	sender = bounceSender(sender)
	if sender == doubleBounceSender {
		in.log.line("triple bounce: discarding ", id.Bounce())
	} else if !in.injectBounce(id, sender) {
		return false
	}
	if err := in.fs.Remove(id.Bounce()); err != nil {
		in.log.line("warning: unable to unlink ", id.Bounce())
		return false
	}
	return true
}

func (in *injector) injectBounce(id store.ID, sender string) bool {
	from, to := "", sender
	intro := "I'm afraid I wasn't able to deliver your message to the following addresses.\n" +
		"This is a permanent error; I've given up. Sorry it didn't work out.\n"
	below := "--- Below this line is a copy of the message.\n"
	if sender == "" {
		from, to = doubleBounceSender, in.doubleBounceTo
		intro = "I tried to deliver a bounce message to this address, but the bounce bounced!\n"
		below = "--- Below this line is the original bounce.\n"
	}
	m, err := in.submit()
	if err != nil {
		in.log.line("warning: unable to start qmail-queue, will try later")
		return false
	}
	in.header(m, to)
	io.WriteString(m, "Hi. This is the qmail-send program at "+in.host+".\n"+intro+"\n")
	in.copy(m, id.Bounce())
	io.WriteString(m, below+"\nReturn-Path: <"+quote.Address(sender)+">\n")
	in.copyMessage(m, id.Mess())
	m.Envelope(from)
	m.Recipient(to)
	if m.Close() != "" {
		in.log.line("warning: trouble injecting bounce message, will try later")
		return false
	}
	in.log.line("bounce msg ", id.String(), " qp ", decimal(m.PID()))
	return true
}

func (in *injector) header(m submission, to string) {
	io.WriteString(m, "Date: "+string(date822.AppendIn(nil, in.clock(), in.zone))+"\n"+
		"From: "+quote.Box(in.from)+"@"+in.host+"\n"+
		"To: "+quote.Address(to)+"\n"+
		"Subject: failure notice\n\n")
}

// copy copies a file into a message, or spoils the message.
func (in *injector) copy(m submission, name string) { in.copyBegin(m, name, math.MaxInt64) }

// copyMessage copies a message that bounces, or as much of it as
// control/bouncemaxbytes allows.
func (in *injector) copyMessage(m submission, name string) {
	if in.maxBytes < 0 {
		in.copy(m, name)
	} else if in.copyBegin(m, name, in.maxBytes) {
		io.WriteString(m, "\n\n--- End of message stripped.\n")
	}
}

// copyBegin copies at most n bytes of a file and reports whether there are
// more.
func (in *injector) copyBegin(m submission, name string, n int64) (more bool) {
	f, err := in.fs.Open(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		m.Fail()
		return false
	}
	defer f.Close()
	st, err := f.Stat()
	if err == nil {
		_, err = io.Copy(m, io.LimitReader(f, n))
	}
	if err != nil {
		m.Fail()
	}
	return st.Size > n
}

// note tells the postmaster about a message that was taken out of the queue.
// It is sent as a double bounce is, so that it cannot go round.
func (in *injector) note(id store.ID, file string) {
	m, err := in.submit()
	if err != nil {
		return // the log has it
	}
	in.header(m, in.doubleBounceTo)
	io.WriteString(m, "Hi. This is the qmail-send program at "+in.host+".\n")
	if file == id.Mess() {
		io.WriteString(m, "I was to deliver a message that is not in my queue: there is no "+file+".\n"+
			"Who should have had it is said in corrupt/"+id.String()+".todo in the queue directory.\n"+
			"Somebody has to look at it there.\n")
	} else {
		io.WriteString(m, "A message in my queue cannot be delivered, because "+file+" is not what it should be.\n"+
			"Nothing is lost: I moved the message to corrupt/"+id.String()+".mess in the queue directory.\n"+
			"Somebody has to look at it there.\n")
	}
	m.Envelope(doubleBounceSender)
	m.Recipient(in.doubleBounceTo)
	m.Close()
}
