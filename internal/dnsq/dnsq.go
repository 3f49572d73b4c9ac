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
// his zone may go into logs and environments as it is. The root is ".". A label
// that has a dot in it is taken for broken, here and by package dnsmessage, which
// reads and writes the messages: printed without care it would be two labels.
package dnsq

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"

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
// attempts and rotate. "search" and "domain" count for the method Search alone:
// every name that is asked about is complete. Sixteen servers at most are used.
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
	err := r.lookup(ctx, name, dnsmessage.TypeMX, func(_ uint16, p *dnsmessage.Parser) error {
		rr, err := p.MXResource()
		list = append(list, MX{rr.Pref, toDomain(rr.MX).dots()})
		return err
	})
	return whole(list, err)
}

// A returns the IPv4 addresses of a host.
func (r *Resolver) A(ctx context.Context, name string) ([]netip.Addr, error) {
	var list []netip.Addr
	err := r.lookup(ctx, name, dnsmessage.TypeA, func(size uint16, p *dnsmessage.Parser) error {
		rr, err := p.AResource()
		if err == nil && int(size) != len(rr.A) {
			err = errFormat
		}
		list = append(list, netip.AddrFrom4(rr.A))
		return err
	})
	return whole(list, err)
}

// AAAA returns the IPv6 addresses of a host.
func (r *Resolver) AAAA(ctx context.Context, name string) ([]netip.Addr, error) {
	var list []netip.Addr
	err := r.lookup(ctx, name, dnsmessage.TypeAAAA, func(size uint16, p *dnsmessage.Parser) error {
		rr, err := p.AAAAResource()
		if err == nil && int(size) != len(rr.AAAA) {
			err = errFormat
		}
		list = append(list, netip.AddrFrom16(rr.AAAA))
		return err
	})
	return whole(list, err)
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
	var list []string
	err := r.lookup(ctx, name, dnsmessage.TypePTR, func(_ uint16, p *dnsmessage.Parser) error {
		rr, err := p.PTRResource()
		list = append(list, toDomain(rr.PTR).dots())
		return err
	})
	return whole(list, err)
}

// CNAME returns the name of which one is an alias.
func (r *Resolver) CNAME(ctx context.Context, name string) (string, error) {
	target := ""
	err := r.lookup(ctx, name, dnsmessage.TypeCNAME, func(_ uint16, p *dnsmessage.Parser) error {
		rr, err := p.CNAMEResource()
		target = toDomain(rr.CNAME).dots()
		return err
	})
	return target, err
}

// TXT returns the text records of a name, the strings of each joined. They
// hold any bytes.
func (r *Resolver) TXT(ctx context.Context, name string) ([]string, error) {
	var list []string
	err := r.lookup(ctx, name, dnsmessage.TypeTXT, func(_ uint16, p *dnsmessage.Parser) error {
		rr, err := p.TXTResource()
		list = append(list, strings.Join(rr.TXT, ""))
		return err
	})
	return whole(list, err)
}

// whole returns a list, or none if some of it could not be read.
func whole[T any](list []T, err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	return list, nil
}

// maxChain bounds CNAMEs from the name asked for to the records.
const maxChain = 8

// A reader reads the data of one record, which has so many bytes.
type reader func(size uint16, p *dnsmessage.Parser) error

// lookup reads the records of type qtype that the DNS has for name or for what
// name is an alias of.
func (r *Resolver) lookup(ctx context.Context, name string, qtype dnsmessage.Type, read reader) error {
	fail := func(class error, reason string) error {
		return &Error{typeName(qtype), shown(name), class, reason}
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
		target, n, err := answer.follow(qname, qtype, &hops, read)
		switch {
		case err != nil:
			return fail(ErrTemporary, err.Error())
		case n > 0:
			return nil
		case answer.RCode == dnsmessage.RCodeNameError, target == qname, answer.soa:
			// With an authority's SOA: the name at the end has no such
			// records (RFC 2308 section 2.2). Without: go and ask for it.
			return fail(ErrNone, "")
		}
		qname = target // the server left the rest of the chain to us
	}
}

// typeName returns what zone files call a type. The library's String would cost a
// table of them, made when the program starts.
func typeName(qtype dnsmessage.Type) string {
	switch qtype {
	case dnsmessage.TypeA:
		return "A"
	case dnsmessage.TypeAAAA:
		return "AAAA"
	case dnsmessage.TypeCNAME:
		return "CNAME"
	case dnsmessage.TypeMX:
		return "MX"
	case dnsmessage.TypePTR:
		return "PTR"
	}
	return "TXT"
}

var errChain = errors.New("CNAME loop or long chain")

// follow walks the CNAMEs of an answer from name to where they end, and reads the
// records of type qtype there.
//
// One such record that cannot be read spoils the answer: whoever got the other
// exchangers of a domain might think himself the best of them. To the library, a
// label that has a dot in it cannot be read. So nobody can give his address the
// name mail\056example.org and have it shown as mail.example.org.
func (m *message) follow(name domain, qtype dnsmessage.Type, hops *int, read reader) (end domain, n int, err error) {
	for {
		next := domain("")
		p := m.answers
		err := each(p.AnswerHeader, p.SkipAnswer, func(h dnsmessage.ResourceHeader) error {
			if h.Class != dnsmessage.ClassINET || !toDomain(h.Name).equal(name) {
				return nil
			}
			data := p // may be spoiled
			switch h.Type {
			case qtype:
				n++
				return read(h.Length, &data)
			case dnsmessage.TypeCNAME:
				rr, err := data.CNAMEResource()
				next = toDomain(rr.CNAME)
				return err
			}
			return nil
		})
		if err != nil {
			return "", 0, err
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
