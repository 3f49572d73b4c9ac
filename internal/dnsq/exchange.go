package dnsq

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"paperpath/internal/strerr"
)

const (
	// udpSize is announced by EDNS0 (RFC 6891): what passes without
	// fragments, whose second half can be forged.
	udpSize = 1232

	// maxForged is how many datagrams that do not belong to the question are
	// let pass before it is asked over TCP, where nobody can guess. Stray
	// late answers are few; more are an attack.
	maxForged = 8
)

// ask asks every server until one gives an answer: NOERROR or NXDOMAIN. Any
// other code is that server's trouble, and the next one is asked.
func (r *Resolver) ask(ctx context.Context, name domain, qtype dnsmessage.Type) (*message, error) {
	c, err := r.current(ctx)
	if err != nil {
		return nil, strerr.Unable("read", r.file, err)
	}
	first := 0
	if c.rotate {
		first = rand.IntN(len(c.servers))
	}
	last := errors.New("no server")
	for range c.tries {
		for i := range c.servers {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			server := c.servers[(first+i)%len(c.servers)]
			answer, err := askServer(ctx, server, name, qtype, c.timeout)
			if err == nil {
				return answer, nil
			}
			last = errors.New(server.String() + ": " + strerr.Text(err))
		}
	}
	return nil, last
}

// askServer asks one server once: UDP, and TCP where UDP does not do.
func askServer(ctx context.Context, server netip.AddrPort, name domain, qtype dnsmessage.Type, timeout time.Duration) (*message, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	q := query{qtype: qtype, edns: true}
	for {
		q.id, q.name = uint16(rand.Uint32()), mixCase(name)
		answer, err := overUDP(ctx, server, &q)
		if err == nil && answer.Truncated || err == errForged {
			// Letters as they are: a server that does not keep mixed case
			// gets here with its datagrams taken for forgeries.
			q.id, q.name = uint16(rand.Uint32()), name
			answer, err = overTCP(ctx, server, &q)
			if err == nil && answer.Truncated {
				err = errors.New("truncated over TCP")
			}
		}
		if err != nil {
			return nil, err
		}
		switch answer.RCode {
		case dnsmessage.RCodeSuccess, dnsmessage.RCodeNameError:
			return answer, nil
		case dnsmessage.RCodeFormatError, dnsmessage.RCodeNotImplemented:
			if q.edns { // a server from before 1999
				q.edns = false
				continue
			}
		}
		return nil, errors.New("response code " + rcodeName(answer.RCode))
	}
}

// rcodeName returns the name that an error code has in zone files and logs.
func rcodeName(code dnsmessage.RCode) string {
	switch code {
	case dnsmessage.RCodeFormatError:
		return "FORMERR"
	case dnsmessage.RCodeServerFailure:
		return "SERVFAIL"
	case dnsmessage.RCodeNotImplemented:
		return "NOTIMP"
	case dnsmessage.RCodeRefused:
		return "REFUSED"
	}
	return strconv.Itoa(int(code))
}

// mixCase adds a bit that a forger must guess for every letter: servers copy
// the question into the answer as it is (draft-vixie-dnsext-dns0x20). The
// kernel draws the port.
func mixCase(name domain) domain {
	b := []byte(name)
	for i, c := range b {
		if ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') && rand.Uint32()&1 == 0 {
			b[i] = c ^ 0x20
		}
	}
	return domain(b)
}

// errForged means that datagrams came which do not answer the question.
var errForged = errors.New("answers to other questions")

func overUDP(ctx context.Context, server netip.AddrPort, q *query) (*message, error) {
	s, err := dial(ctx, server, false)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	question, err := q.appendTo(nil)
	if err != nil {
		return nil, err
	}
	if _, err := s.Write(question); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096) // larger than announced: some send more
	for range maxForged {
		n, err := s.Read(buf)
		if err != nil {
			return nil, err
		}
		answer, err := q.judge(buf[:n])
		if err == errCase {
			break // id and port are right: a server that folds case
		}
		if err != errOther {
			return answer, err
		}
	}
	return nil, errForged
}

func overTCP(ctx context.Context, server netip.AddrPort, q *query) (*message, error) {
	s, err := dial(ctx, server, true)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	answer, err := s.converse(q)
	if err == errCase {
		err = nil // a connection to the server itself: case proves nothing
	}
	return answer, err
}

var (
	errOther = errors.New("not an answer to the question")
	errCase  = errors.New("answer with the question's letters in another case")
)

// judge reads an answer to q. errOther means that it is none, and errCase comes
// with the answer.
func (q *query) judge(wire []byte) (*message, error) {
	answer, broken := parse(wire)
	if answer == nil || answer.ID != q.id || !answer.Response || answer.OpCode != 0 {
		return nil, errOther
	}
	if broken == nil && len(answer.asked) == 0 && answer.RCode != dnsmessage.RCodeSuccess && answer.RCode != dnsmessage.RCodeNameError {
		return answer, nil // "I did not even read that" says nothing about the name
	}
	if len(answer.asked) != 1 {
		return nil, errOther
	}
	asked := answer.asked[0]
	name := toDomain(asked.Name)
	if asked.Type != q.qtype || asked.Class != dnsmessage.ClassINET || !name.equal(q.name) {
		return nil, errOther
	}
	if broken != nil {
		return nil, broken // a broken server; nothing better will come from it
	}
	if name != q.name {
		return answer, errCase
	}
	return answer, nil
}
