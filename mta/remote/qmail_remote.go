package remote

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/dnsq"
	"paperpath/internal/fsys"
	"paperpath/internal/ipme"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/mta/control"
	"paperpath/mta/layout"
	"paperpath/mta/tcpto"
)

// QmailRemote delivers one message and reports on descriptor 1. It
// exits 0 whatever happens.
var QmailRemote = proc.Program{
	Name:  "qmail-remote",
	Usage: "host sender recipient ...",
	Run:   run,
}

func run(ctx context.Context, env *proc.Env) error {
	var report Report
	if err := deliver(ctx, env, &report); err != nil {
		report = Report{Message: err.Error()}
	}
	// Who does not listen learns nothing, and will try again.
	env.Files[1].Write(report.Append(nil))
	return nil
}

// maxGreetings is how many servers may turn us away before they hear of the
// message.
const maxGreetings = 5

// deliver fills in a report, or returns one on the message alone.
func deliver(ctx context.Context, env *proc.Env, report *Report) error {
	if len(env.Args) < 4 {
		return badUsage
	}
	host, sender, recipients := env.Args[1], env.Args[2], env.Args[3:]
	home := layout.Home(env.Vars)
	set, err := readSettings(home)
	if err != nil {
		return err
	}
	list, err := destination(ctx, dnsq.New(env.Vars), ipme.Addresses, set.routes, host)
	if err != nil {
		return err
	}
	dead := tcpto.Of(home)
	began := time.Now()
	var refusal error // of the best server that turned us away
	for greetings := 1; ; greetings++ {
		conn, at, err := call(dead, list, set.timeoutConnect)
		if err != nil {
			return cmp.Or(refusal, err)
		}
		to := list[at]
		list = list[at+1:]
		if to.qmtp {
			*report = sendQMTP(newLink(conn, to.addr.Addr(), set.timeoutRemote), sender, recipients, env.Files[0])
			conn.Close()
			return nil
		}
		s := NewSession(conn, to.addr.Addr(), set.timeoutRemote)
		if err = s.Hello(set.helo); err == nil {
			*report = s.Send(sender, recipients, env.Files[0])
		}
		s.Quit()
		conn.Close()
		if err == nil {
			return nil
		}
		// RFC 5321 section 5.1: the client tries at least two addresses. One
		// that wastes our time is the last all the same.
		refusal = cmp.Or(refusal, err)
		if greetings == maxGreetings || time.Since(began) >= set.timeoutRemote {
			return refusal
		}
	}
}

type settings struct {
	helo           string
	routes         routes
	timeoutConnect time.Duration
	timeoutRemote  time.Duration
}

func readSettings(home string) (set settings, err error) {
	if _, err := (fsys.OS{Root: home}).Stat("."); err != nil {
		return set, badHome
	}
	c := control.Home(home)
	if _, _, err = c.Line("me"); err != nil { // which must be readable, needed or not
		return set, badControl
	}
	if set.timeoutRemote, err = seconds(c, "timeoutremote", 1200); err != nil {
		return set, badControl
	}
	if set.timeoutConnect, err = seconds(c, "timeoutconnect", 60); err != nil {
		return set, badControl
	}
	if set.helo, err = c.LineOrMe("helohost"); err != nil {
		return set, badControl
	}
	if set.routes.smtp, err = lines(c, "smtproutes"); err != nil {
		return set, badControl
	}
	if set.routes.qmtp, err = lines(c, "qmtproutes"); err != nil {
		return set, badControl
	}
	return set, nil
}

func lines(c *control.Dir, name string) (control.Map, error) {
	list, _, err := c.List(name)
	return control.Colon(list), err
}

// seconds reads a time; more than a week is a week.
func seconds(c *control.Dir, name string, def int) (time.Duration, error) {
	n, err := c.Int(name, def)
	return time.Duration(min(n, 7*86400)) * time.Second, err
}

// attempt is one way to bring a message to its destination.
type attempt struct {
	addr netip.AddrPort
	qmtp bool
	// same means that the next attempt is the same address by SMTP, and other
	// that it is the same host's address of the other kind: reasons not to
	// wait long for this one.
	same, other bool
}

// destination finds where the mail for host goes, the best way first; own says
// which addresses are this machine's.
func destination(ctx context.Context, dns resolver, own func() ([]netip.Addr, error), routes routes, host string) (list []attempt, err error) {
	if to, ok := routes.find(host); ok {
		// A relay that is this machine is the administrator's business:
		// there may be another server behind the port.
		addrs, err := relayAddrs(ctx, dns, to.host)
		for _, x := range addrs {
			list = append(list, attempt{addr: netip.AddrPortFrom(x.addr, to.port), qmtp: to.qmtp, other: x.other})
		}
		return list, err
	}
	all, err := exchangers(ctx, dns, host)
	if err != nil && len(all) == 0 {
		return nil, err
	}
	mine, ownErr := own()
	if ownErr != nil {
		return nil, badSystem
	}
	others := better(all, mine)
	if len(others) == 0 {
		if err != nil {
			return nil, err // a better exchanger may exist: nobody knows yet
		}
		return nil, ambiguous
	}
	for _, x := range others {
		if mxps(x.pref) {
			list = append(list, attempt{addr: netip.AddrPortFrom(x.addr, qmtpPort), qmtp: true, same: true})
		}
		list = append(list, attempt{addr: netip.AddrPortFrom(x.addr, smtpPort), other: x.other})
	}
	return list, nil
}

// call connects to the first address that answers, and says which that is.
func call(dead *tcpto.Table, list []attempt, timeout time.Duration) (conn *sys.FD, at int, err error) {
	none := noConnection
	if len(list) > 0 && list[0].qmtp && !list[0].same {
		none = noQMTP // by qmtproutes, and by it alone
	}
	for i, to := range list {
		host := to.addr.Addr()
		skip, known := dead.Dead(host)
		if skip {
			continue
		}
		wait := timeout
		if to.same || to.other {
			wait /= 2
		}
		conn, err := connect(host, to.addr.Port(), wait)
		switch {
		case errors.Is(err, errNoSocket):
			return nil, i, badSystem
		case err != nil && to.same: // only SMTP will show whether it is dead
		case err == unix.ETIMEDOUT:
			dead.TimedOut(host)
		case known:
			dead.Answered(host) // if only to refuse, tcpto_err in tcpto.c
		}
		if err == nil {
			return conn, i, nil
		}
	}
	return nil, 0, none
}
