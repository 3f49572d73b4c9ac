package remote

import (
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

// QmailRemote delivers one message over SMTP and reports on descriptor 1. It
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
	list, port, err := destination(ctx, dnsq.New(env.Vars), ipme.Addresses, set.routes, host)
	if err != nil {
		return err
	}
	conn, partner, err := call(tcpto.Of(home), list, port, set.timeoutConnect)
	if err != nil {
		return err
	}
	defer conn.Close()

	s := NewSession(conn, partner, set.timeoutRemote)
	defer s.Quit()
	if err := s.Hello(set.helo); err != nil {
		return err
	}
	*report = s.Send(sender, recipients, env.Files[0])
	return nil
}

type settings struct {
	helo           string
	routes         control.Map
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
	lines, _, err := c.List("smtproutes")
	if err != nil {
		return set, badControl
	}
	set.routes = control.Colon(lines)
	return set, nil
}

// seconds reads a time; more than a week is a week.
func seconds(c *control.Dir, name string, def int) (time.Duration, error) {
	n, err := c.Int(name, def)
	return time.Duration(min(n, 7*86400)) * time.Second, err
}

// destination finds where the mail for host goes; own says which addresses are
// this machine's.
func destination(ctx context.Context, dns resolver, own func() ([]netip.Addr, error), routes control.Map, host string) ([]exchanger, uint16, error) {
	if to, ok := route(routes, host); ok {
		// A relay that is this machine is the administrator's business:
		// there may be another server behind the port.
		list, err := relayAddrs(ctx, dns, to.host)
		return list, to.port, err
	}
	list, err := exchangers(ctx, dns, host)
	if err != nil && len(list) == 0 {
		return nil, 0, err
	}
	mine, ownErr := own()
	if ownErr != nil {
		return nil, 0, badSystem
	}
	others := better(list, mine)
	if len(others) == 0 {
		if err != nil {
			return nil, 0, err // a better exchanger may exist: nobody knows yet
		}
		return nil, 0, ambiguous
	}
	return others, smtpPort, nil
}

// call connects to the first address that answers.
func call(dead *tcpto.Table, list []exchanger, port uint16, timeout time.Duration) (*sys.FD, netip.Addr, error) {
	for _, x := range list {
		skip, known := dead.Dead(x.addr)
		if skip {
			continue
		}
		wait := timeout
		if x.other {
			wait /= 2
		}
		conn, err := connect(x.addr, port, wait)
		switch {
		case errors.Is(err, errNoSocket):
			return nil, x.addr, badSystem
		case err == unix.ETIMEDOUT:
			dead.TimedOut(x.addr)
		case known:
			dead.Answered(x.addr) // if only to refuse, tcpto_err in tcpto.c
		}
		if err == nil {
			return conn, x.addr, nil
		}
	}
	return nil, netip.Addr{}, noConnection
}
