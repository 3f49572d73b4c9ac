package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// contest is one case: several contenders do the same, taking turns.
type contest struct {
	name       string // what BENCH matches
	title      string
	metrics    []*metric
	contenders []contender // the first one is judged by the goals
}

// contender is one program, or set of programs, in a contest.
type contender struct {
	name  string
	needs []string // programs, as package peers finds them for the family
	kin   family
	run   func(*turn) error
}

// metric is one figure of a contest.
type metric struct {
	name, unit string
	goal       *goal // nil: none
}

// goal is what the first contender should reach. It gets the medians, by
// contender.
type goal struct {
	text     string
	relative bool // to others: without any there is none
	met      func(own float64, others map[string]float64) bool
}

func atMost(limit float64) *goal {
	return &goal{fmt.Sprintf("≤ %g", limit), false, func(own float64, _ map[string]float64) bool { return own <= limit }}
}

// timesBest asks for factor times the highest of the others.
func timesBest(factor float64) *goal {
	text := "≥ best peer"
	if factor != 1 {
		text = fmt.Sprintf("≥ %g × best peer", factor)
	}
	return &goal{text, true, func(own float64, others map[string]float64) bool {
		for _, v := range others {
			if own < factor*v {
				return false
			}
		}
		return true
	}}
}

// timesLeast asks for no more than factor times the lowest of the others.
func timesLeast(factor float64) *goal {
	text := "≤ best peer"
	if factor != 1 {
		text = fmt.Sprintf("≤ %g × best peer", factor)
	}
	return &goal{text, true, func(own float64, others map[string]float64) bool {
		for _, v := range others {
			if own > factor*v {
				return false
			}
		}
		return true
	}}
}

// timesOne asks for at least factor times what one other reached.
func timesOne(factor float64, who string) *goal {
	return &goal{fmt.Sprintf("≥ %g × %s", factor, who), true, func(own float64, others map[string]float64) bool {
		v, ok := others[who]
		return !ok || own >= factor*v
	}}
}

// leftOut is the reason why something cannot be measured here. That is no
// failure.
type leftOut string

func (l leftOut) Error() string { return "left out: " + string(l) }

// bench runs contests.
type bench struct {
	ctx      context.Context
	own      string // directory of the programs of this project
	work     string
	rounds   int
	progress io.Writer
}

// turn is one contender's turn in one round.
type turn struct {
	*bench
	dir     string // an empty directory
	samples map[*metric][]float64
}

func (t *turn) add(m *metric, v float64) { t.samples[m] = append(t.samples[m], v) }

// milliseconds adds a time.
func (t *turn) milliseconds(m *metric, d time.Duration) { t.add(m, d.Seconds()*1e3) }

// hold holds a contest. The result has what could be measured, even with an
// error.
func (b *bench) hold(c *contest) (*result, error) {
	r := &result{Name: c.name, Title: c.title}
	var taking []contender
	samples := map[string]map[*metric][]float64{}
	for _, k := range c.contenders {
		if missing := b.missing(k.kin, k.needs); len(missing) > 0 {
			r.Notes = append(r.Notes, k.name+" is left out: no "+strings.Join(missing, ", ")+" here")
			continue
		}
		taking = append(taking, k)
		samples[k.name] = map[*metric][]float64{}
		r.Contenders = append(r.Contenders, k.name)
	}
	var failure error
	out := map[string]bool{}
	for round := range b.rounds {
		for i := range taking {
			k := taking[(round+i)%len(taking)] // no one is always the first
			if out[k.name] || b.ctx.Err() != nil {
				continue
			}
			fmt.Fprintf(b.progress, "%s, round %d of %d: %s\n", c.name, round+1, b.rounds, k.name)
			if err := b.turn(k, samples[k.name]); err != nil {
				out[k.name] = true // it would only fail again
				if !errors.As(err, new(leftOut)) {
					failure = err
				}
				r.Notes = append(r.Notes, k.name+": "+err.Error())
				fmt.Fprintln(b.progress, "  "+err.Error())
			}
		}
	}
	r.fill(c, samples)
	return r, failure
}

// turn gives one contender its turn, in a directory of its own, and leaves
// neither that nor any process.
func (b *bench) turn(k contender, samples map[*metric][]float64) error {
	dir, err := os.MkdirTemp(b.work, "turn-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	defer endAll()
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	return k.run(&turn{bench: b, dir: dir, samples: samples})
}
