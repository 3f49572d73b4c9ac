package local

import (
	"io"
	"strconv"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/mta/layout"
)

// Recipient is one mailbox name, as users/cdb or qmail-getpw took it apart.
type Recipient struct {
	User string
	Home string // an absolute name
	// The address is Local@Host, and .qmail + Dash + Ext controls it. An empty
	// Dash is the user's own address, which needs no .qmail file.
	Local, Dash, Ext, Host string
}

// delivery is one message on its way to one recipient.
type delivery struct {
	*Recipient
	env    *proc.Env
	vars   proc.Vars // of commands and of qmail-queue
	fs     fsys.FS   // relative names begin at Home
	sender string
	fields fields

	forwards                   []string
	files, forwarded, programs int
	queueProcess               int // "qp"
	stop                       bool
}

// deliver delivers the message on descriptor 0 of env, which must be seekable,
// from sender to a recipient. instructions are followed if the .qmail file is
// empty or, for the user's own address, missing. With doit false it prints the
// instructions on descriptor 1 and does not touch the message.
//
// It uses env and nothing of the process, whose umask should be 077. Commands
// get the descriptors 0, 1 and 2 of env that have a number.
func deliver(env *proc.Env, to *Recipient, files fsys.FS, sender, instructions string, doit bool) error {
	d := &delivery{
		Recipient: to, env: env, sender: sender,
		vars:   env.Vars.Clone(),
		fs:     files,
		fields: newFields(to, sender, time.Now()),
	}
	if err := d.checkHome(doit); err != nil {
		return err
	}
	if doit {
		if err := d.checkLoop(); err != nil {
			return err
		}
	}
	d.setVars()
	file, err := d.findQmail()
	if err != nil {
		return err
	}
	if file == nil && d.Dash != "" {
		return proc.Verbatim(100, "Sorry, no mailbox here by that name. (#5.1.1)")
	}
	newSender, err := d.newSender()
	if err != nil {
		return err
	}
	d.vars.Set("NEWSENDER", newSender)
	lines, forwardOnly, err := file.instructions(instructions)
	if err != nil {
		return err
	}
	if err := d.follow(lines, forwardOnly, doit); err != nil {
		return err
	}
	if len(d.forwards) > 0 {
		if err := d.forward(newSender); err != nil {
			return err
		}
	}
	d.report()
	return nil
}

// files are the files below a home directory.
func files(home string) fsys.FS { return fsys.OS{Root: home} }

// checkHome refuses a home directory that others could put a .qmail into, and
// waits for a user who is editing (dot-qmail(5), "safe qmail editing").
func (d *delivery) checkHome(doit bool) error {
	info, err := d.fs.Stat(".")
	switch {
	case err != nil:
		return proc.Verbatim(111, "Unable to switch to "+strerr.Clean(d.Home)+": "+strerr.Text(err)+". (#4.3.0)")
	case info.Mode&layout.Patrn != 0:
		return proc.Verbatim(111, "Uh-oh: home directory is writable. (#4.7.0)")
	case info.Mode&0o1000 == 0:
		return nil
	case doit:
		return proc.Verbatim(111, "Home directory is sticky: user is editing his .qmail file. (#4.2.1)")
	}
	io.WriteString(d.env.Files[2], "Warning: home directory is sticky.\n")
	return nil
}

// follow follows the lines of a .qmail file. Forward lines are collected: they
// become one message when everything else has gone well.
func (d *delivery) follow(lines []line, forwardOnly, doit bool) error {
	for _, l := range lines {
		switch l.kind {
		case kindList:
			forwardOnly = true
			continue
		case kindForward:
			d.forwarded++
			if doit {
				d.forwards = append(d.forwards, l.arg)
			}
		case kindMaildir, kindMbox:
			d.files++
			if forwardOnly {
				return proc.Verbatim(111, "Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)")
			}
		case kindProgram:
			d.programs++
			if forwardOnly {
				return proc.Verbatim(111, "Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)")
			}
		}
		if !doit {
			io.WriteString(d.env.Files[1], l.kind.String()+" "+l.arg+"\n")
			continue
		}
		var err error
		switch l.kind {
		case kindMaildir:
			err = d.maildir(l.arg)
		case kindMbox:
			err = d.mbox(l.arg)
		case kindProgram:
			err = d.program(l.arg)
		}
		if err != nil || d.stop {
			return err
		}
	}
	return nil
}

// report prints the line that ends in the log of the delivery.
func (d *delivery) report() {
	text := "did " + strconv.Itoa(d.files) + "+" + strconv.Itoa(d.forwarded) + "+" + strconv.Itoa(d.programs) + "\n"
	if d.queueProcess != 0 {
		text += "qp " + strconv.Itoa(d.queueProcess) + "\n"
	}
	io.WriteString(d.env.Files[1], text)
}
