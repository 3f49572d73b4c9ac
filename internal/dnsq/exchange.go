package dnsq

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

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
// other code is that server's trouble, and the next one is asked. name is
// complete and in the library's form.
func (r *Resolver) ask(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	c, err := r.current()
	if err != nil {
		return nil, strerr.Unable("read", r.file, err)
	}
	last := errors.New("no server")
	for range c.tries {
		for _, server := range c.servers {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			answer, err := query(ctx, server, name, qtype, c.timeout)
			if err == nil {
				return answer, nil
			}
			last = errors.New(server.String() + ": " + strerr.Text(err))
		}
	}
	return nil, last
}

// query asks one server once: UDP, and TCP where UDP does not do.
func query(ctx context.Context, server netip.AddrPort, name string, qtype uint16, timeout time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	edns := true
	for {
		answer, err := overUDP(ctx, server, question(mixCase(name), qtype, edns))
		if err == nil && answer.Truncated || errors.Is(err, errForged) {
			// Letters as they are: a server that does not keep mixed case
			// gets here with its datagrams taken for forgeries.
			answer, err = overTCP(ctx, server, question(name, qtype, edns))
			if err == nil && answer.Truncated {
				err = errors.New("truncated over TCP")
			}
		}
		if err != nil {
			return nil, err
		}
		switch answer.Rcode {
		case dns.RcodeSuccess, dns.RcodeNameError:
			return answer, nil
		case dns.RcodeFormatError, dns.RcodeNotImplemented:
			if edns { // a server from before 1999
				edns = false
				continue
			}
		}
		return nil, errors.New(dns.RcodeToString[answer.Rcode])
	}
}

// question makes a query with a random id, recursion desired.
func question(name string, qtype uint16, edns bool) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	if edns {
		m.SetEdns0(udpSize, false)
	}
	return m
}

// mixCase adds a bit that a forger must guess for every letter: servers copy
// the question into the answer as it is (draft-vixie-dnsext-dns0x20). The
// library draws the id, the kernel the port.
func mixCase(name string) string {
	b := []byte(name)
	for i, c := range b {
		if ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') && rand.Uint32()&1 == 0 {
			b[i] = c ^ 0x20
		}
	}
	return string(b)
}

// errForged means that datagrams came which do not answer the question.
var errForged = errors.New("answers to other questions")

func overUDP(ctx context.Context, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	conn, wire, err := open(ctx, "udp", server, q)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write(wire); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096) // larger than announced: some send more
	for range maxForged {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		answer, err := unpack(buf[:n], q)
		if err == nil {
			return answer, nil
		}
		if err == errCase {
			break // id and port are right: a server that folds case
		}
	}
	return nil, errForged
}

func overTCP(ctx context.Context, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	conn, wire, err := open(ctx, "tcp", server, q)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// One write: there are servers that read the length and the message with
	// one read each (RFC 7766 section 8).
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return nil, err
	}
	answer, err := unpack(buf, q)
	if err == errCase {
		err = nil // a connection to the server itself: case proves nothing
	}
	return answer, err
}

func open(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg) (net.Conn, []byte, error) {
	wire, err := q.Pack()
	if err != nil {
		return nil, nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, nil, err
	}
	// Both for the question's own time and for a caller that gives up.
	context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return conn, wire, nil
}

var (
	errOther = errors.New("not an answer to the question")
	errCase  = errors.New("answer with the question's letters in another case")
)

// unpack reads an answer to q. errCase comes with the answer.
func unpack(wire []byte, q *dns.Msg) (*dns.Msg, error) {
	answer := new(dns.Msg)
	if err := answer.Unpack(wire); err != nil && !answer.Truncated {
		return nil, errOther
	}
	if answer.Id != q.Id || !answer.Response || answer.Opcode != dns.OpcodeQuery {
		return nil, errOther
	}
	if len(answer.Question) == 0 && answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
		return answer, nil // "I did not even read that" says nothing about the name
	}
	if len(answer.Question) != 1 {
		return nil, errOther
	}
	asked, got := q.Question[0], answer.Question[0]
	if got.Qtype != asked.Qtype || got.Qclass != asked.Qclass || !strings.EqualFold(got.Name, asked.Name) {
		return nil, errOther
	}
	if got.Name != asked.Name {
		return answer, errCase
	}
	return answer, nil
}
