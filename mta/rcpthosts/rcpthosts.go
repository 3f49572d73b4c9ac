// Package rcpthosts says which recipient addresses a server takes from
// anybody: those whose domain, or a parent of it with its leading dot, is a
// line of control/rcpthosts or a key of control/morercpthosts.cdb
// (rcpthosts.c).
//
//	heaven.af.mil     that host
//	.heaven.af.mil    everything below it
//
// Without control/rcpthosts every address is taken: an open relay, but the
// administrator's own (qmail-smtpd(8)).
package rcpthosts

import (
	"strings"

	"paperpath/internal/fsys"
	"paperpath/mta/control"
)

// Hosts is the set of domains.
type Hosts struct {
	all    bool // no control/rcpthosts
	listed control.Map
	more   *More
}

// Open reads the set of the qmail home directory fs. The caller closes it.
func Open(fs fsys.FS) (*Hosts, error) {
	lines, ok, err := control.Open(fs).List("rcpthosts")
	if err != nil {
		return nil, err
	}
	if !ok {
		return &Hosts{all: true}, nil
	}
	more, err := OpenMore(fs, "control/morercpthosts.cdb")
	if err != nil {
		return nil, err
	}
	return &Hosts{listed: control.Set(lines), more: more}, nil
}

// Close closes the database.
func (h *Hosts) Close() { h.more.Close() }

// Allowed reports whether addr is taken. An address without @ is: it gets
// control/envnoathost later. An error means that nobody knows.
func (h *Hosts) Allowed(addr string) (bool, error) {
	at := strings.LastIndexByte(addr, '@')
	if h.all || at < 0 {
		return true, nil
	}
	domain := control.Lower(addr[at+1:])
	for d := range suffixes(domain) {
		if h.listed.Has(d) {
			return true, nil
		}
	}
	for d := range suffixes(domain) {
		if found, err := h.more.Has(d); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// suffixes yields a.b.c, .b.c, .c.
func suffixes(domain string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := range len(domain) {
			if (i == 0 || domain[i] == '.') && !yield(domain[i:]) {
				return
			}
		}
	}
}
