// Package nameserver is a DNS server for tests, on UDP and TCP, that knows what
// its zone says and does to everybody else what its zone says:
//
//	name TYPE data      a record, as in a zone file; *.name is every name below
//	!fail name          SERVFAIL
//	!refuse name        REFUSED
//	!silent name        no answer at all
//	!silent name AAAA   the same to questions about one type only
//	!wait name 50ms     the answer takes this long
//	!truncate name      over UDP the answer is cut
//	!forge name         before the answer over UDP comes one with another id
//	!loop name          an answer whose names point at themselves
//	# comment
//
// A name without records does not exist.
package nameserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Server is a running server.
type Server struct {
	Addr string // 127.0.0.1:port

	udp, tcp *dns.Server
	done     chan struct{} // closed at the end
	log      io.Writer
	mu       sync.Mutex
	records  map[string][]dns.RR // by lower-case name
	conduct  map[string]conduct
}

type conduct struct {
	what  string
	qtype uint16 // 0 is any
	wait  time.Duration
}

// Start starts a server on address, whose port may be 0. Each question is
// written to log as a line, "TXT name", with the name in lower case.
func Start(address, zone string, log io.Writer) (*Server, error) {
	s := &Server{done: make(chan struct{}), log: log, records: map[string][]dns.RR{}, conduct: map[string]conduct{}}
	if err := s.load(zone); err != nil {
		return nil, err
	}
	pc, l, err := listen(address)
	if err != nil {
		return nil, err
	}
	s.Addr = pc.LocalAddr().String()
	s.udp = &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(s.answer)}
	s.tcp = &dns.Server{Listener: l, Handler: dns.HandlerFunc(s.answer)}
	for _, server := range []*dns.Server{s.udp, s.tcp} {
		ready := make(chan struct{})
		server.NotifyStartedFunc = func() { close(ready) }
		go server.ActivateAndServe()
		<-ready
	}
	return s, nil
}

// listen finds a port that is free for both protocols.
func listen(address string) (pc net.PacketConn, l net.Listener, err error) {
	for range 50 {
		if pc, err = net.ListenPacket("udp", address); err != nil {
			return nil, nil, err
		}
		if l, err = net.Listen("tcp", pc.LocalAddr().String()); err == nil {
			return pc, l, nil
		}
		pc.Close()
	}
	return nil, nil, err
}

// Close stops the server.
func (s *Server) Close() {
	close(s.done)
	s.udp.Shutdown()
	s.tcp.Shutdown()
}

func (s *Server) load(zone string) error {
	for line := range strings.Lines(zone) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", line[0] == '#':
		case line[0] == '!':
			f := append(strings.Fields(line[1:]), "", "0")
			c := conduct{what: f[0]}
			switch c.what {
			case "wait":
				var err error
				if c.wait, err = time.ParseDuration(f[2]); err != nil {
					return fmt.Errorf("%s: %w", line, err)
				}
			case "silent":
				c.qtype = dns.StringToType[f[2]]
			}
			s.conduct[key(f[1])] = c
		default:
			rr, err := dns.NewRR(line)
			if err != nil {
				return fmt.Errorf("%s: %w", line, err)
			}
			if rr == nil {
				return errors.New(line + ": no record")
			}
			s.records[key(rr.Header().Name)] = append(s.records[key(rr.Header().Name)], rr)
		}
	}
	return nil
}

func key(name string) string { return dns.Fqdn(strings.ToLower(name)) }

// find looks for name and then for the wildcards above it.
func find[T any](m map[string]T, name string) (v T, ok bool) {
	if v, ok = m[key(name)]; ok {
		return v, true
	}
	for _, i := range dns.Split(name) {
		if i == 0 {
			continue
		}
		if v, ok = m["*."+key(name[i:])]; ok {
			return v, true
		}
	}
	return v, false
}

func (s *Server) answer(w dns.ResponseWriter, q *dns.Msg) {
	name, qtype := q.Question[0].Name, q.Question[0].Qtype
	s.mu.Lock()
	fmt.Fprintf(s.log, "%s %s\n", dns.TypeToString[qtype], strings.TrimSuffix(strings.ToLower(name), "."))
	s.mu.Unlock()
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	s.fill(m, name, qtype)
	overUDP := w.RemoteAddr().Network() == "udp"
	c, _ := find(s.conduct, name)
	if c.qtype != 0 && c.qtype != qtype {
		c = conduct{}
	}
	select {
	case <-time.After(c.wait):
	case <-s.done:
		return
	}
	switch c.what {
	case "silent":
		return
	case "fail":
		m.Rcode, m.Answer = dns.RcodeServerFailure, nil
	case "refuse":
		m.Rcode, m.Answer = dns.RcodeRefused, nil
	case "truncate":
		if overUDP {
			m.Truncated, m.Answer = true, nil
		}
	case "forge":
		if overUDP {
			forged := m.Copy()
			forged.Id++
			forged.Answer, forged.Rcode = nil, dns.RcodeNameError
			w.WriteMsg(forged)
		}
	case "loop":
		w.Write(loop(m))
		return
	}
	if opt := q.IsEdns0(); overUDP {
		size := dns.MinMsgSize
		if opt != nil {
			size = int(opt.UDPSize())
		}
		m.Truncate(size)
	}
	w.WriteMsg(m)
}

// fill puts the records for a question into m, aliases first.
func (s *Server) fill(m *dns.Msg, name string, qtype uint16) {
	for range 8 {
		records, ok := find(s.records, name)
		if !ok {
			m.Rcode = dns.RcodeNameError
			return
		}
		alias := ""
		for _, rr := range records {
			rr = dns.Copy(rr)
			rr.Header().Name = name
			if rr.Header().Rrtype == qtype {
				m.Answer = append(m.Answer, rr)
			} else if c, ok := rr.(*dns.CNAME); ok {
				m.Answer = append(m.Answer, rr)
				alias = c.Target
			}
		}
		if alias == "" {
			return
		}
		name = alias
	}
}

// loop answers with a record whose owner's name is a pointer to itself.
func loop(m *dns.Msg) []byte {
	m.Answer = nil
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	binary.BigEndian.PutUint16(b[6:], 1)
	return append(b, 0xc0|byte(len(b)>>8), byte(len(b)), 0, 16, 0, 1, 0, 0, 0, 0, 0, 2, 1, 'x')
}
