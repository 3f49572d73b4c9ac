package rblsmtpd

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"paperpath/internal/dnsq"
)

// resolver is what is used of dnsq.Resolver.
type resolver interface {
	A(ctx context.Context, name string) ([]netip.Addr, error)
	TXT(ctx context.Context, name string) ([]string, error)
}

// judgement is a decision and how it came about.
type judgement struct {
	decision
	score    int
	why      string // for the log
	warnings []error
}

// noList is for those who count on the original's default, which is closed.
const noList = "no list asked: there is none but those named with -r"

// judge asks all sources at the same time and weighs their answers in the
// order of the command line, so that the result is that of asking one after
// the other until one decides. It does not wait for those behind that one.
func judge(ctx context.Context, dns resolver, set *settings, client string) *judgement {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	inquiry := inquiry{ctx, dns, map[question]*answer{}}
	front := reverse(client)
	pending := make([]func() finding, len(set.sources))
	for i := range set.sources {
		pending[i] = inquiry.start(&set.sources[i], front, client)
	}
	j := &judgement{}
	var why []string
	for i := range set.sources {
		why = append(why, j.weigh(&set.sources[i], pending[i](), set.threshold))
		if j.verdict != undecided {
			break
		}
	}
	if len(set.sources) == 0 {
		why = []string{noList}
		if set.silence == 0 && !set.verbose { // else it does something, or says so anyway
			j.warnings = append(j.warnings, errors.New(noList))
		}
	}
	j.why = "score " + strconv.Itoa(j.score) + "/" + strconv.Itoa(set.threshold) + ": " + strings.Join(why, ", ")
	return j
}

// finding is what a source says of the client.
type finding struct {
	failed error // nobody knows
	listed bool
	text   string // for the client
	code   string // for the log
	odd    []netip.Addr
}

// weigh takes a finding into account (rbl and antirbl in rblsmtpd.c) and says
// for the log what it was.
func (j *judgement) weigh(s *source, f finding, threshold int) string {
	for _, a := range f.odd {
		j.warnings = append(j.warnings, errors.New(s.zone+" answers "+a.String()+", which is no listing"))
	}
	switch {
	case f.failed != nil:
		j.doubt = true
		switch {
		case s.anti && !s.closed:
			j.verdict = accept
		case !s.anti && s.closed:
			j.verdict, j.text = refuse, "temporary RBL lookup error"
		}
		return s.zone + " failed"
	case !f.listed:
		return s.zone + " no"
	case s.anti:
		j.verdict = accept
		return s.zone + " " + f.code
	}
	if j.score += s.weight; s.weight > 0 && j.score >= threshold {
		j.verdict, j.text = s.listed, f.text
	}
	sign := ""
	if s.weight >= 0 {
		sign = "+"
	}
	return s.zone + " " + f.code + " " + sign + strconv.Itoa(s.weight)
}

// inquiry asks each question once, however many sources want to know.
type inquiry struct {
	ctx context.Context
	dns resolver
	all map[question]*answer
}

type question struct {
	name  string
	txt   bool // or A
	limit time.Duration
}

type answer struct {
	done  chan struct{} // closed when the rest is there
	addrs []netip.Addr
	texts []string
	err   error // other than "there is none"
}

func (q *inquiry) ask(name string, txt bool, limit time.Duration) *answer {
	key := question{name, txt, limit}
	if a := q.all[key]; a != nil {
		return a
	}
	a := &answer{done: make(chan struct{})}
	q.all[key] = a
	go func() {
		defer close(a.done)
		ctx := q.ctx
		if limit > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, limit)
			defer cancel()
		}
		if !dnsq.IsName(name) {
			a.err = errors.New("not a domain name") // not an answer (dns_txt.c)
		} else if txt {
			a.texts, a.err = q.dns.TXT(ctx, name)
		} else {
			a.addrs, a.err = q.dns.A(ctx, name)
		}
		if errors.Is(a.err, dnsq.ErrNone) {
			a.err = nil
		}
	}()
	return a
}

// start asks what s needs to know and returns a function that waits for it.
func (q *inquiry) start(s *source, front, client string) func() finding {
	name := withoutEmptyLabels(front + s.zone)
	switch {
	case s.byCode:
		a, txt := q.ask(name, false, s.limit), (*answer)(nil)
		if !s.anti && s.message == "" {
			txt = q.ask(name, true, s.limit)
		}
		return func() finding { return s.byCodes(a, txt, client) }
	case s.anti && isLiteral(front+s.zone):
		return func() finding { return finding{listed: true, code: "address"} }
	case s.anti:
		a := q.ask(name, false, s.limit)
		return func() finding {
			<-a.done
			f := finding{failed: a.err, listed: len(a.addrs) > 0}
			if f.listed {
				f.code = a.addrs[0].String()
			}
			return f
		}
	}
	a := q.ask(name, true, s.limit)
	return func() finding {
		<-a.done
		text := strings.Join(a.texts, "")
		return finding{failed: a.err, listed: text != "", text: text, code: "text"}
	}
}

// byCodes makes a finding of A records; txt is nil if its text is not wanted.
func (s *source) byCodes(a, txt *answer, client string) (f finding) {
	<-a.done
	f.failed = a.err
	for _, code := range a.addrs {
		if s.counts(code) {
			f.listed, f.code = true, code.String()
			break
		}
		if !loopback.Contains(code) || mistakes.Contains(code) {
			f.odd = append(f.odd, code)
		}
	}
	switch {
	case !f.listed || s.anti:
	case txt == nil:
		f.text = strings.ReplaceAll(s.message, "%IP%", client)
	default:
		<-txt.done
		if f.text = strings.Join(txt.texts, ""); f.text == "" {
			f.text = client + " is listed by " + s.zone
		}
	}
	return f
}

// withoutEmptyLabels makes one dot of several (dns_dfd.c).
func withoutEmptyLabels(name string) string {
	return strings.Join(strings.FieldsFunc(name, func(c rune) bool { return c == '.' }), ".")
}

// isLiteral reports whether dns_ip4.c takes a name for an address, asks nobody
// and finds it: nothing but digits and brackets between three dots or more.
func isLiteral(name string) bool {
	return strings.Trim(name, "0123456789.[]") == "" && strings.Count(name, ".") >= 3
}
