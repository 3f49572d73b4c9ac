// Package smtpd is qmail-smtpd: it takes mail from the network by SMTP (RFC
// 5321, with PIPELINING of RFC 2920 and 8BITMIME of RFC 6152) and hands it to
// qmail-queue.
//
// The way of a message, in the order in which the files are to be read:
//
//	input.go     descriptor 0 → command lines of bounded length
//	session.go   the dialogue: what may come when, and the replies
//	path.go      MAIL FROM:<…> → an address and its parameters
//	envelope.go  the recipients, and what they may take of memory
//	data.go      SMTP's text → lines that end in LF, hops counted → package queue
//	unstuff.go   the state machine that finds the end of the text
//
//	settings.go  what the control files say
//	badlist.go   control/badmailfrom, badrcptto …: who is refused, and how
//	pattern.go   the patterns in these
//	keeper.go    settings for many connections
//
// The states of a session are two: with and without a sender. HELO, EHLO,
// RSET and DATA leave it; MAIL enters it, also when already there.
//
// Replies are those of qmail-smtpd.c to the letter: log watchers and other
// people's scripts compare them.
package smtpd

import (
	"context"

	"paperpath/internal/decimal"
	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/zone"
	"paperpath/mta/layout"
	"paperpath/mta/queue"
	"paperpath/mta/received"
)

// QmailSmtpd is qmail-smtpd(8).
var QmailSmtpd = proc.Program{
	Name: "qmail-smtpd",
	Run: func(_ context.Context, env *proc.Env) error {
		home := layout.Home(env.Vars)
		set, err := load(fsys.OS{Root: home})
		if err != nil {
			return refuse(env, err)
		}
		defer set.close()
		warn(env, set)
		return converse(env, set, nil, func() (message, error) { return queue.Start(home, env.Vars) })
	},
}

// Inside returns qmail-smtpd for a server of many clients, whose messages go
// through the pool.
func Inside(pool *queue.Pool) *proc.Program {
	k := &keeper{}
	shared := &budget{left: sharedEnvelopes}
	p := QmailSmtpd
	p.Run = func(_ context.Context, env *proc.Env) error {
		home := layout.Home(env.Vars)
		set, fresh, err := k.get(home)
		if err != nil {
			return refuse(env, err)
		}
		defer k.put(set)
		if fresh {
			warn(env, set.settings)
		}
		return converse(env, set.settings, shared, func() (message, error) { return pool.Start(home, env.Vars) })
	}
	return &p
}

// errEnd ends a session that did not end with QUIT.
const errEnd = proc.Exit(1)

// converse serves the client on descriptors 0 and 1; open is a way into the
// queue. The recipients come out of the budget.
func converse(env *proc.Env, set *settings, shared *budget, open func() (message, error)) error {
	s := newSession(env.Files[0], env.Files[1])
	s.open, s.say, s.recipients.budget = open, env.Say, shared
	s.configure(set, env.Vars)
	return s.serve()
}

// refuse answers a client that cannot be served.
func refuse(env *proc.Env, err error) error {
	s := newSession(env.Files[0], env.Files[1])
	s.reply("421 unable to read controls (#4.3.0)")
	s.out.Flush()
	env.Warn(err) // for the log; the client has got its answer
	return errEnd
}

// warn logs what is wrong with settings that will do all the same.
func warn(env *proc.Env, set *settings) {
	for _, fault := range set.faults {
		env.Warn(fault)
	}
}

// configure takes the settings, and what the environment says of this client.
func (s *session) configure(set *settings, vars proc.Vars) {
	s.settings = set
	s.in.timeout = set.timeout
	s.limit = set.dataBytes
	if v, ok := vars.Get("DATABYTES"); ok {
		s.limit, _ = decimal.Int(v)
	}
	s.relayClient, s.mayRelay = vars.Get("RELAYCLIENT")
	_, s.anyHelo = vars.Get("NOBADHELO")
	_, s.logPatterns = vars.Get("LOGREGEX")
	s.peer = received.FromVars(vars)
	if set.localDates {
		s.peer.Zone = zone.Of(vars)
	}
}
