// Package smtpd is qmail-smtpd: it takes mail from the network by SMTP (RFC
// 5321, with PIPELINING of RFC 2920 and 8BITMIME of RFC 6152) and hands it to
// qmail-queue.
//
// The way of a message, in the order in which the files are to be read:
//
//	input.go     descriptor 0 → command lines of bounded length
//	session.go   the dialogue: what may come when, and the replies
//	path.go      MAIL FROM:<…> → an address and its parameters
//	data.go      SMTP's text → lines that end in LF, hops counted → package queue
//	unstuff.go   the state machine that finds the end of the text
//
// The states of a session are two: with and without a sender. HELO, EHLO,
// RSET and DATA leave it; MAIL enters it, also when already there.
//
// Replies are those of qmail-smtpd.c to the letter: log watchers and other
// people's scripts compare them.
package smtpd

import (
	"context"
	"time"

	"paperpath/internal/decimal"
	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/mta/control"
	"paperpath/mta/layout"
	"paperpath/mta/queue"
	"paperpath/mta/rcpthosts"
	"paperpath/mta/received"
)

// QmailSmtpd is qmail-smtpd(8).
var QmailSmtpd = proc.Program{
	Name: "qmail-smtpd",
	Run:  func(_ context.Context, env *proc.Env) error { return qmailSmtpd(env, queue.Start) },
}

// Inside returns qmail-smtpd for a server of many clients, whose messages go
// through the pool.
func Inside(pool *queue.Pool) *proc.Program {
	p := QmailSmtpd
	p.Run = func(_ context.Context, env *proc.Env) error { return qmailSmtpd(env, pool.Start) }
	return &p
}

func qmailSmtpd(env *proc.Env, start func(home string, vars proc.Vars) (*queue.Client, error)) error {
	home := layout.Home(env.Vars)
	s := newSession(env.Files[0], env.Files[1])
	s.open = func() (message, error) { return start(home, env.Vars) }
	if err := s.configure(env.Vars, fsys.OS{Root: home}); err != nil {
		s.reply("421 unable to read controls (#4.3.0)")
		s.out.Flush()
		env.Warn(err) // for the log; the client has got its answer
		return errEnd
	}
	defer s.hosts.Close()
	return s.serve()
}

// errEnd ends a session that did not end with QUIT.
const errEnd = proc.Exit(1)

// configure reads the control files and the environment.
func (s *session) configure(vars proc.Vars, fs fsys.FS) (err error) {
	dir := control.Open(fs)
	// Read first, although smtpgreeting may make it unnecessary: an
	// unreadable control/me is an error all the same (control_init).
	me, hasMe, err := dir.Line("me")
	if err != nil {
		return err
	}
	lineOrMe := dir.LineOrMe
	if hasMe {
		lineOrMe = func(name string) (string, error) { return dir.LineOr(name, me) }
	}
	if s.greeting, err = lineOrMe("smtpgreeting"); err != nil {
		return err
	}
	if s.localIPHost, err = lineOrMe("localiphost"); err != nil && err != control.ErrNoMe {
		return err
	}
	timeout, err := dir.Int("timeoutsmtpd", 1200)
	if err != nil {
		return err
	}
	s.setTimeout(time.Duration(min(max(timeout, 1), maxSeconds)) * time.Second)
	if s.hosts, err = rcpthosts.Open(fs); err != nil {
		return err
	}
	bad, _, err := dir.List("badmailfrom")
	if err != nil {
		return err
	}
	s.badMailFrom = control.Set(bad)
	if s.dataBytes, err = dir.Int("databytes", 0); err != nil {
		return err
	}
	if v, ok := vars.Get("DATABYTES"); ok {
		s.dataBytes, _ = decimal.Int(v)
	}
	s.relayClient, s.mayRelay = vars.Get("RELAYCLIENT")
	s.peer = received.FromVars(vars)
	return nil
}

// maxSeconds keeps a timeout within what a time.Duration holds.
const maxSeconds = 1 << 32
