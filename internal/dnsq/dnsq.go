// Package dnsq asks the Domain Name System through the recursive servers that
// the administrator named; it is a stub resolver and keeps nothing.
//
//	question ──UDP──▶ server 1, server 2, server 3, then all of them again
//	         ◀─────── right id, question and letter case  → answer
//	                  truncated, or somebody is guessing  → the same over TCP
//
//	answer   records asked for, perhaps behind CNAMEs     → the records
//	         no such name, or no such records             → ErrNone
//	         anything else, or no answer                  → ErrTemporary
//
// Only ErrNone may become somebody's bounce, so everything doubtful is
// ErrTemporary: a broken, refusing or absent server says nothing about a name.
//
// Names are in the dotted form of djb's DNS library (dns_dfd.c, dns_dtda.c):
// labels between dots, a dot at the end or not, \ooo (octal) for a byte that would
// be mistaken for something else. Names that come out are in lower case and hold
// no byte but a-z 0-9 - _ and such escapes, so that what a stranger wrote into
// his zone may go into logs and environments as it is. The root is ".".
package dnsq

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"

	"paperpath/internal/proc"
)

// ErrNone means that the DNS says there is no such name, or that the name has
// no records of the type asked for.
var ErrNone = errors.New("no such name or records")

// ErrTemporary means that nobody knows: no server answered, none could be
// asked, or the answer was no answer.
var ErrTemporary = errors.New("temporary DNS failure")

// Error says what was asked and how it went. It is ErrNone or ErrTemporary
// to errors.Is.
type Error struct {
	Type   string // "MX", "A", …
	Name   string // what was asked about, fit to be shown
	Class  error  // ErrNone or ErrTemporary
	Reason string // in a few words, for a log
}

func (e *Error) Error() string {
	s := e.Type + " " + e.Name + ": " + e.Class.Error()
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Class }

// MX is one mail exchanger. A Host of "." says that the domain takes no mail
// (RFC 7505).
type MX struct {
	Pref uint16
	Host string
}

// Resolver asks questions. It may be used by several goroutines, and for as
// long as a server lives: the configuration is read again every ten minutes.
type Resolver struct {
	vars proc.Vars
	file string // resolv.conf

	mu     sync.Mutex
	config config
}

// New returns a resolver for a program with the environment vars. It reads
// nothing before the first question.
//
// Servers are those of $DNSCACHEIP, else those of /etc/resolv.conf, else
// 127.0.0.1; see resolv.conf(5) for "nameserver" and for "options" timeout,
// attempts and rotate. "search" and "domain" do not count: every name is
// complete. Sixteen servers at most are used.
//
// DNSCACHEIP is an address or several, with dots or spaces between them as in
// djb's library. Ours: an address may have a port, 127.0.0.1:5353 or
// [::1]:5353, and commas separate too.
func New(vars proc.Vars) *Resolver {
	return &Resolver{vars: vars, file: "/etc/resolv.conf"}
}

// MX returns the mail exchangers of a domain, in no order.
func (r *Resolver) MX(ctx context.Context, name string) ([]MX, error) {
	var list []MX
	err := r.lookup(ctx, name, typeMX, func(m *message, rr record) error {
		if rr.end-rr.data < 2 {
			return errFormat
		}
		host, err := m.nameIn(rr, rr.data+2)
		if err != nil {
			return err
		}
		list = append(list, MX{binary.BigEndian.Uint16(m.bytes(rr)), host.dots()})
		return nil
	})
	return list, err
}

// A returns the IPv4 addresses of a host.
func (r *Resolver) A(ctx context.Context, name string) ([]netip.Addr, error) {
	return r.addrs(ctx, name, typeA, 4)
}

// AAAA returns the IPv6 addresses of a host.
func (r *Resolver) AAAA(ctx context.Context, name string) ([]netip.Addr, error) {
	return r.addrs(ctx, name, typeAAAA, 16)
}

func (r *Resolver) addrs(ctx context.Context, name string, qtype uint16, size int) ([]netip.Addr, error) {
	var list []netip.Addr
	err := r.lookup(ctx, name, qtype, func(m *message, rr record) error {
		a, ok := netip.AddrFromSlice(m.bytes(rr))
		if !ok || rr.end-rr.data != size {
			return errFormat
		}
		list = append(list, a)
		return nil
	})
	return list, err
}

// Addrs returns the addresses of a host, the IPv6 ones first. It asks for both
// kinds at the same time. What one kind yields is not lost because the other
// cannot be had: there are servers that choke on AAAA. With no address at all
// the answer is ErrNone only if both kinds said so.
func (r *Resolver) Addrs(ctx context.Context, name string) ([]netip.Addr, error) {
	type answer struct {
		list []netip.Addr
		err  error
	}
	six := make(chan answer, 1)
	go func() {
		list, err := r.AAAA(ctx, name)
		six <- answer{list, err}
	}()
	four, err4 := r.A(ctx, name)
	v6 := <-six
	if list := append(v6.list, four...); len(list) > 0 {
		return list, nil
	}
	if errors.Is(err4, ErrNone) {
		return nil, v6.err
	}
	return nil, err4
}

// PTR returns the names that the owner of an address gave it.
func (r *Resolver) PTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	if !addr.IsValid() {
		return nil, &Error{"PTR", "?", ErrNone, "no address"}
	}
	name := Reversed(addr) + ".ip6.arpa"
	if addr.Unmap().Is4() {
		name = Reversed(addr) + ".in-addr.arpa"
	}
	var names []string
	err := r.lookup(ctx, name, typePTR, func(m *message, rr record) error {
		host, err := m.nameIn(rr, rr.data)
		if err != nil {
			return err
		}
		names = append(names, host.dots())
		return nil
	})
	return names, err
}

// TXT returns the text records of a name, the strings of each joined. They
// hold any bytes.
func (r *Resolver) TXT(ctx context.Context, name string) ([]string, error) {
	var list []string
	err := r.lookup(ctx, name, typeTXT, func(m *message, rr record) error {
		var text []byte
		for b := m.bytes(rr); len(b) > 0; {
			n := 1 + int(b[0])
			if n > len(b) {
				return errFormat
			}
			text = append(text, b[1:n]...)
			b = b[n:]
		}
		list = append(list, string(text))
		return nil
	})
	return list, err
}

// maxChain bounds CNAMEs from the name asked for to the records.
const maxChain = 8

// lookup calls found with each record of type qtype that the DNS has for name
// or for what name is an alias of.
func (r *Resolver) lookup(ctx context.Context, name string, qtype uint16, found func(*message, record) error) error {
	fail := func(class error, reason string) error {
		return &Error{typeNames[qtype], shown(name), class, reason}
	}
	qname, ok := fromDots(name)
	if !ok {
		return fail(ErrNone, "not a domain name") // nobody can have registered it
	}
	for hops := 0; ; {
		answer, err := r.ask(ctx, qname, qtype)
		if err != nil {
			return fail(ErrTemporary, err.Error())
		}
		// Only records on the path from the question count. Whatever else
		// the server packed into its answer is not ours to believe.
		target, n, err := answer.follow(qname, qtype, &hops, found)
		switch {
		case err != nil:
			return fail(ErrTemporary, err.Error())
		case n > 0:
			return nil
		case answer.rcode == rcodeNoName, target == qname, answer.soa:
			// With an authority's SOA: the name at the end has no such
			// records (RFC 2308 section 2.2). Without: go and ask for it.
			return fail(ErrNone, "")
		}
		qname = target // the server left the rest of the chain to us
	}
}

var errChain = errors.New("CNAME loop or long chain")

// follow walks the CNAMEs of an answer from name to where they end, and calls
// found with each record of type qtype there.
func (m *message) follow(name wireName, qtype uint16, hops *int, found func(*message, record) error) (end wireName, n int, err error) {
	for {
		next := wireName("")
		for _, rr := range m.answers {
			if rr.class != classIN || !rr.name.equal(name) {
				continue
			}
			switch rr.rtype {
			case qtype:
				if err := found(m, rr); err != nil {
					return "", 0, err
				}
				n++
			case typeCNAME:
				if next, err = m.nameIn(rr, rr.data); err != nil {
					return "", 0, err
				}
			}
		}
		if n > 0 || next == "" {
			return name, n, nil
		}
		if *hops++; *hops > maxChain {
			return "", 0, errChain
		}
		name = next
	}
}
