package pop3

import (
	"context"
	"os"
	"strconv"
	"time"

	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
)

// QmailPopup is the program qmail-popup(8): it takes a name and a password and
// has another program judge them.
var QmailPopup = proc.Program{Name: "qmail-popup", Usage: "hostname subprogram ...", Run: popup}

// statusEnd is how qmail-popup ends, whatever happened.
const statusEnd = proc.Exit(1)

func popup(_ context.Context, env *proc.Env) error {
	sys.IgnoreSIGPIPE()
	p := &popupSession{env: env}
	p.start(byByte{timed{env.Files[0]}}, timed{env.Files[1]}, 128, 512)
	if len(env.Args) < 3 {
		p.err("usage: popup hostname subprogram")
		p.out.Flush()
		return statusEnd
	}
	p.challenge = "<" + strconv.Itoa(os.Getpid()) + "." + strconv.FormatInt(time.Now().Unix(), 10) + "@" + env.Args[1] + ">"
	p.say("+OK ", p.challenge)
	p.serve(p.do)
	return statusEnd
}

type popupSession struct {
	dialogue
	env       *proc.Env
	challenge string // for APOP
	user      []byte // nil: none yet
}

func (p *popupSession) do(verb string, arg []byte) error {
	switch verb {
	case "user":
		if len(arg) == 0 {
			p.err("syntax error")
			return nil
		}
		p.user = arg
		p.ok()
	case "pass":
		switch {
		case p.user == nil:
			p.err("USER first")
		case len(arg) == 0:
			p.err("syntax error")
		default:
			return p.login(p.user, arg)
		}
	case "apop":
		user, digest, ok := cutSpace(arg)
		if !ok {
			p.err("syntax error")
			return nil
		}
		return p.login(user, digest)
	case "capa": // RFC 2449 section 5; those of the next state count too
		p.ok()
		p.list("USER", "TOP", "UIDL", "PIPELINING")
	case "noop":
		p.ok()
	case "quit":
		p.ok()
		return errEnd
	default:
		p.err("authorization first")
	}
	return nil
}

// cutSpace cuts at the first space, and only there: a digest may begin with one.
func cutSpace(b []byte) (before, after []byte, ok bool) {
	for i, c := range b {
		if c == ' ' {
			return b[:i], b[i+1:], true
		}
	}
	return b, nil, false
}

// login runs the subprogram with what it is to judge on descriptor 3. It has
// the conversation now; here there is only its end left to tell.
func (p *popupSession) login(user, secret []byte) error {
	if p.out.Flush() != nil {
		return errEnd
	}
	r, w, err := sys.Pipe()
	if err != nil {
		p.err("unable to open pipe")
		return errEnd
	}
	defer w.Close()
	fd := func(n int) int {
		fd, _ := proc.Descriptor(p.env.Files[n])
		return fd
	}
	subprogram, err := child.Start(&child.Command{
		Argv: p.env.Args[2:], Vars: p.env.Vars, Dir: p.env.Dir,
		Files: []int{fd(0), fd(1), fd(2), int(r.Fd())},
		Chain: true, Script: true,
	})
	r.Close()
	switch {
	case err == nil:
	case child.Exhausted(err):
		p.err("unable to fork")
		return errEnd
	default: // as if it had started and could not go on
		p.err("authorization failed")
		return errEnd
	}
	what := append(append(append(append(append([]byte{}, user...), 0), secret...), 0), p.challenge+"\x00"...)
	_, err = w.Write(what)
	w.Close()
	clear(secret)
	clear(what)
	if err != nil {
		p.err("unable to write pipe")
	}
	status, werr := subprogram.Wait()
	switch {
	case werr != nil || err != nil:
	case status.Crashed():
		p.err("aack, child crashed")
	case status.Code() != 0:
		p.err("authorization failed")
	}
	return errEnd
}
