package dnsq

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
)

// server is a name server on a loopback port, UDP and TCP, that answers as a
// function of the question says. A nil answer is silence.
type server struct {
	addr     string
	udp, tcp atomic.Int32 // questions seen
}

type reply func(q *dns.Msg, tcp bool) [][]byte

func serve(t *testing.T, answer reply) *server {
	t.Helper()
	var pc net.PacketConn
	var l net.Listener
	for range 50 { // until the same port is free for both
		var err error
		if pc, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if l, err = net.Listen("tcp", pc.LocalAddr().String()); err == nil {
			break
		}
		pc.Close()
	}
	if l == nil {
		t.Fatal("no port for UDP and TCP")
	}
	t.Cleanup(func() { pc.Close(); l.Close() })
	s := &server{addr: pc.LocalAddr().String()}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			s.udp.Add(1)
			q := new(dns.Msg)
			if q.Unpack(buf[:n]) == nil {
				for _, b := range answer(q, false) {
					pc.WriteTo(b, from)
				}
			}
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.tcp.Add(1)
			go func() {
				defer c.Close()
				var size [2]byte
				if _, err := io.ReadFull(c, size[:]); err != nil {
					return
				}
				b := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(c, b); err != nil {
					return
				}
				q := new(dns.Msg)
				if q.Unpack(b) == nil {
					for _, b := range answer(q, true) {
						c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
					}
				}
				io.Copy(io.Discard, c)
			}()
		}
	}()
	return s
}

// resolver asks the servers given.
func resolver(servers ...*server) *Resolver {
	var addrs []string
	for _, s := range servers {
		addrs = append(addrs, s.addr)
	}
	r := New(proc.Vars{"DNSCACHEIP=" + strings.Join(addrs, " ")})
	c, err := load(r.vars, "/nonexistent")
	if err != nil {
		panic(err)
	}
	c.timeout, c.read = 3*time.Second, time.Now()
	r.config = c
	return r
}

// records answers q with records in zone-file form.
func records(q *dns.Msg, rcode int, texts ...string) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q)
	m.Rcode, m.RecursionAvailable = rcode, true
	for _, text := range texts {
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

func wire(m *dns.Msg) [][]byte {
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return [][]byte{b}
}

func zone(texts ...string) reply {
	return func(q *dns.Msg, _ bool) [][]byte { return wire(records(q, dns.RcodeSuccess, texts...)) }
}

func code(rcode int) reply {
	return func(q *dns.Msg, _ bool) [][]byte { return wire(records(q, rcode)) }
}

func silence(*dns.Msg, bool) [][]byte { return nil }

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestRecordsOfEachType(t *testing.T) {
	r := resolver(serve(t, func(q *dns.Msg, _ bool) [][]byte {
		switch q.Question[0].Qtype {
		case dns.TypeMX:
			return wire(records(q, 0, "example.org. MX 20 b.Example.ORG.", "example.org. MX 10 a.example.org."))
		case dns.TypeA:
			return wire(records(q, 0, "example.org. A 192.0.2.1", "example.org. A 192.0.2.2"))
		case dns.TypeAAAA:
			return wire(records(q, 0, "example.org. AAAA 2001:db8::1"))
		case dns.TypeTXT:
			return wire(records(q, 0, `example.org. TXT "one " "two" "\200"`))
		case dns.TypeCNAME:
			return wire(records(q, 0, "example.org. CNAME A.example.org.", "a.example.org. CNAME b.example.org."))
		case dns.TypePTR:
			return wire(records(q, 0, q.Question[0].Name+` PTR a\010b.Example.org.`))
		}
		t.Errorf("question of type %d", q.Question[0].Qtype)
		return nil
	}))
	ctx := context.Background()
	if got, err := r.MX(ctx, "example.org"); err != nil || !slices.Equal(got, []MX{{20, "b.example.org"}, {10, "a.example.org"}}) {
		t.Errorf("MX: %v, %v", got, err)
	}
	if got, err := r.Addrs(ctx, "example.org"); err != nil || !slices.Equal(got, addrs("2001:db8::1", "192.0.2.1", "192.0.2.2")) {
		t.Errorf("Addrs: %v, %v", got, err)
	}
	if got, err := r.TXT(ctx, "example.org"); err != nil || !slices.Equal(got, []string{"one two\xc8"}) {
		t.Errorf("TXT: %q, %v", got, err)
	}
	if got, err := r.CNAME(ctx, "example.org"); err != nil || got != "a.example.org" {
		t.Errorf("CNAME: %q, %v", got, err)
	}
	for _, a := range []string{"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"} {
		if got, err := r.PTR(ctx, netip.MustParseAddr(a)); err != nil || !slices.Equal(got, []string{`a\012b.example.org`}) {
			t.Errorf("PTR %s: %q, %v", a, got, err)
		}
	}
	if _, err := r.PTR(ctx, netip.Addr{}); !errors.Is(err, ErrNone) {
		t.Errorf("PTR of no address: %v", err)
	}
}

// Each case is a server's behaviour and what asking it for the A records of
// www.example.org must yield.
func TestAnswers(t *testing.T) {
	const a = "www.example.org. A 192.0.2.1"
	ok := addrs("192.0.2.1")
	cases := []struct {
		name   string
		answer reply
		want   []netip.Addr
		err    error
	}{
		{"plain", zone(a), ok, nil},
		{"owner in another case", zone("WWW.example.ORG. A 192.0.2.1"), ok, nil},
		{"NXDOMAIN", code(dns.RcodeNameError), nil, ErrNone},
		{"NODATA", zone(), nil, ErrNone},
		{"SERVFAIL", code(dns.RcodeServerFailure), nil, ErrTemporary},
		{"REFUSED", code(dns.RcodeRefused), nil, ErrTemporary},
		{"NOTIMP", code(dns.RcodeNotImplemented), nil, ErrTemporary},
		{"FORMERR", code(dns.RcodeFormatError), nil, ErrTemporary},
		{"an unknown code", code(11), nil, ErrTemporary},
		{"silence", silence, nil, ErrTemporary},
		{"records of another type", zone(`www.example.org. TXT "x"`, "www.example.org. MX 0 x."), nil, ErrNone},
		{"records of another name", zone("www.example.com. A 192.0.2.9"), nil, ErrNone},
		{"other names beside ours", zone("www.example.com. A 192.0.2.9", a), ok, nil},
		{"CNAME", zone("www.example.org. CNAME w.example.org.", "w.example.org. A 192.0.2.1"), ok, nil},
		{"CNAME behind its target", zone("w.example.org. A 192.0.2.1", "www.example.org. CNAME w.example.org."), ok, nil},
		{"CNAME, target not there", zone("www.example.org. CNAME w.example.org.", "x.example.org. A 192.0.2.9"), nil, ErrNone},
		{"CNAME to nothing", func(q *dns.Msg, _ bool) [][]byte {
			return wire(records(q, dns.RcodeNameError, "www.example.org. CNAME w.example.org."))
		}, nil, ErrNone},
		{"CNAME to itself", zone("www.example.org. CNAME www.example.org."), nil, ErrTemporary},
		{"CNAME loop", zone("www.example.org. CNAME w.example.org.", "w.example.org. CNAME www.example.org."), nil, ErrTemporary},
		{"CNAME loop over several answers", func(q *dns.Msg, _ bool) [][]byte {
			n := strings.ToLower(q.Question[0].Name)
			return wire(records(q, 0, n+" CNAME x"+n))
		}, nil, ErrTemporary},
		{"CNAME followed by asking", func(q *dns.Msg, _ bool) [][]byte {
			if strings.EqualFold(q.Question[0].Name, "w.example.org.") {
				return wire(records(q, 0, "w.example.org. A 192.0.2.1"))
			}
			return wire(records(q, 0, "www.example.org. CNAME w.example.org."))
		}, ok, nil},
		{"not Internet class", func(q *dns.Msg, _ bool) [][]byte {
			return wire(records(q, 0, "www.example.org. CH A 192.0.2.9"))
		}, nil, ErrNone},
		{"forged id before the answer", func(q *dns.Msg, _ bool) [][]byte {
			bad := records(q, 0, "www.example.org. A 192.0.2.9")
			bad.Id++
			return append(wire(bad), wire(records(q, 0, a))...)
		}, ok, nil},
		{"forged id alone", func(q *dns.Msg, _ bool) [][]byte {
			bad := records(q, 0, a)
			bad.Id++
			return wire(bad)
		}, nil, ErrTemporary},
		{"forged NXDOMAIN without a question", func(q *dns.Msg, _ bool) [][]byte {
			bad := records(q, dns.RcodeNameError)
			bad.Question = nil
			return append(wire(bad), wire(records(q, 0, a))...)
		}, ok, nil},
		{"another question", func(q *dns.Msg, _ bool) [][]byte {
			bad := records(q, 0, a)
			bad.Question[0].Name = "www.example.com."
			return wire(bad)
		}, nil, ErrTemporary},
		{"another question's type", func(q *dns.Msg, _ bool) [][]byte {
			bad := records(q, 0, a)
			bad.Question[0].Qtype = dns.TypeAAAA
			return wire(bad)
		}, nil, ErrTemporary},
		{"the question itself", func(q *dns.Msg, _ bool) [][]byte { return wire(q) }, nil, ErrTemporary},
		{"a flood of forgeries, then TCP", func(q *dns.Msg, tcp bool) [][]byte {
			if tcp {
				return wire(records(q, 0, a))
			}
			bad := records(q, 0, "www.example.org. A 192.0.2.9")
			bad.Id++
			return slices.Repeat(wire(bad), 50)
		}, ok, nil},
		{"letters folded over UDP, then TCP", func(q *dns.Msg, tcp bool) [][]byte {
			m := records(q, 0, a)
			if tcp {
				return wire(m)
			}
			m.Answer = nil
			m.Question[0].Name = swapCase(q.Question[0].Name)
			return wire(m)
		}, ok, nil},
		{"truncated, then TCP", func(q *dns.Msg, tcp bool) [][]byte {
			m := records(q, 0)
			if m.Truncated = !tcp; tcp {
				m = records(q, 0, a)
			}
			return wire(m)
		}, ok, nil},
		{"truncated in both", func(q *dns.Msg, _ bool) [][]byte {
			m := records(q, 0, a)
			m.Truncated = true
			return wire(m)
		}, nil, ErrTemporary},
		{"truncated, TCP answers another question", func(q *dns.Msg, tcp bool) [][]byte {
			m := records(q, 0, a)
			if m.Truncated = !tcp; tcp {
				m.Question[0].Name = "www.example.com."
			}
			return wire(m)
		}, nil, ErrTemporary},
		{"truncated, TCP length beyond the bytes", func(q *dns.Msg, tcp bool) [][]byte {
			m := records(q, 0)
			m.Truncated = true
			if tcp {
				return [][]byte{{1, 2, 3}}
			}
			return wire(m)
		}, nil, ErrTemporary},
		{"garbage", func(*dns.Msg, bool) [][]byte { return [][]byte{[]byte("GET / HTTP/1.0\r\n\r\n")} }, nil, ErrTemporary},
		{"an empty datagram", func(*dns.Msg, bool) [][]byte { return [][]byte{{}} }, nil, ErrTemporary},
		{"compression loop", func(q *dns.Msg, _ bool) [][]byte {
			b := wire(records(q, 0))[0]
			binary.BigEndian.PutUint16(b[6:], 1)
			at := len(b)
			b = append(b, 0xc0|byte(at>>8), byte(at), 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 9)
			return [][]byte{b}
		}, nil, ErrTemporary},
		{"no such records, a dot in the SOA's address", func(q *dns.Msg, _ bool) [][]byte {
			m := records(q, 0)
			soa, err := dns.NewRR(`example.org. SOA ns.example.org. john\.doe.example.org. 1 2 3 4 5`)
			if err != nil {
				panic(err)
			}
			m.Ns = append(m.Ns, soa)
			return wire(m)
		}, nil, ErrNone},
		{"CNAME to a label with a dot", zone(`www.example.org. CNAME w\.example.org.`, "w.example.org. A 192.0.2.9"), nil, ErrTemporary},
		{"a label with a dot as owner", zone(`www\.example.org. A 192.0.2.9`), nil, ErrTemporary},
		{"name of eleven pointers", func(q *dns.Msg, _ bool) [][]byte {
			b := wire(records(q, 0))[0]
			binary.BigEndian.PutUint16(b[6:], 1)
			target := 12
			at := len(b) + 12
			b = append(b, 0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 0, 0, 24)
			for range 12 { // a text that is pointers, each to the one before
				b = append(b, 0xc0|byte(target>>8), byte(target))
				target, at = at, at+2
			}
			binary.BigEndian.PutUint16(b[6:], 2)
			b = append(b, 0xc0|byte(target>>8), byte(target), 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 9)
			return [][]byte{b}
		}, nil, ErrTemporary},
		{"code in the OPT record, of a newer EDNS", func(q *dns.Msg, _ bool) [][]byte {
			m := records(q, 0)
			m.SetEdns0(1232, false)
			m.Rcode = dns.RcodeBadVers
			m.IsEdns0().SetVersion(1)
			return wire(m)
		}, nil, ErrTemporary},
		{"no EDNS understood", func(q *dns.Msg, _ bool) [][]byte {
			if q.IsEdns0() != nil {
				m := records(q, dns.RcodeFormatError)
				m.Question = nil
				return wire(m)
			}
			return wire(records(q, 0, a))
		}, ok, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := resolver(serve(t, c.answer))
			if c.err == ErrTemporary {
				r.config.timeout = 300 * time.Millisecond // what fails may fail early
			}
			got, err := r.A(context.Background(), "www.example.org")
			if !slices.Equal(got, c.want) || !errors.Is(err, c.err) {
				t.Errorf("got %v, %v; want %v, %v", got, err, c.want, c.err)
			}
		})
	}
}

// A label with a dot in it, printed as it is, would be another name: somebody who
// writes mail\.example in the zone of his addresses does not get mail.example.
func TestLabelsWithDots(t *testing.T) {
	ctx := context.Background()
	r := resolver(serve(t, func(q *dns.Msg, _ bool) [][]byte {
		if q.Question[0].Qtype == dns.TypePTR {
			return wire(records(q, 0, q.Question[0].Name+` PTR mail\.example.`))
		}
		return wire(records(q, 0, "example.org. MX 10 mail.example.org.", `example.org. MX 5 mail\.example.`))
	}))
	if got, err := r.PTR(ctx, netip.MustParseAddr("192.0.2.1")); !errors.Is(err, ErrTemporary) || got != nil {
		t.Errorf("PTR: %q, %v", got, err)
	}
	if got, err := r.MX(ctx, "example.org"); !errors.Is(err, ErrTemporary) || got != nil {
		t.Errorf("MX: %v, %v", got, err)
	}
}

func swapCase(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c|0x20 >= 'a' && c|0x20 <= 'z' {
			b[i] = c ^ 0x20
		}
	}
	return string(b)
}

// A 65,535-byte answer, and as much as fits an EDNS datagram.
func TestHugeAnswers(t *testing.T) {
	var texts []string
	for i := range 4000 {
		texts = append(texts, fmt.Sprintf("www.example.org. A 10.0.%d.%d", i>>8, i&255))
	}
	s := serve(t, func(q *dns.Msg, tcp bool) [][]byte {
		if got := q.IsEdns0().UDPSize(); got > 1232 {
			t.Errorf("announced %d bytes", got)
		}
		m := records(q, 0, texts...)
		m.Compress = true
		if !tcp {
			m.Truncate(1232)
		}
		b := wire(m)
		if tcp && len(b[0]) < 60000 {
			t.Errorf("answer of only %d bytes", len(b[0]))
		}
		return b
	})
	got, err := resolver(s).A(context.Background(), "www.example.org")
	if len(got) != len(texts) || err != nil {
		t.Errorf("%d addresses, %v", len(got), err)
	}
}

func TestOneServerOfSeveralIsEnough(t *testing.T) {
	closed := &server{addr: "127.0.0.1:1"}
	for name, bad := range map[string]*server{
		"silent":   serve(t, silence),
		"refusing": serve(t, code(dns.RcodeRefused)),
		"failing":  serve(t, code(dns.RcodeServerFailure)),
		"absent":   closed,
	} {
		t.Run(name, func(t *testing.T) {
			good := serve(t, zone("www.example.org. A 192.0.2.1"))
			got, err := resolver(bad, good).A(context.Background(), "www.example.org")
			if err != nil || !slices.Equal(got, addrs("192.0.2.1")) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	if _, err := resolver(closed).A(context.Background(), "www.example.org"); !errors.Is(err, ErrTemporary) {
		t.Errorf("no server at all: %v", err)
	}
}

// Servers that choke on one kind of address must not cost the other.
func TestAddrsOfOneKind(t *testing.T) {
	const v4, v6 = "www.example.org. A 192.0.2.1", "www.example.org. AAAA 2001:db8::1"
	answer := map[string]func(q *dns.Msg, rr string) [][]byte{
		"ok":   func(q *dns.Msg, rr string) [][]byte { return wire(records(q, 0, rr)) },
		"none": func(q *dns.Msg, _ string) [][]byte { return wire(records(q, 0)) },
		"fail": func(q *dns.Msg, _ string) [][]byte { return wire(records(q, dns.RcodeServerFailure)) },
	}
	for _, c := range []struct {
		a, aaaa string
		want    []netip.Addr
		err     error
	}{
		{"ok", "none", addrs("192.0.2.1"), nil},
		{"ok", "fail", addrs("192.0.2.1"), nil},
		{"none", "ok", addrs("2001:db8::1"), nil},
		{"fail", "ok", addrs("2001:db8::1"), nil},
		{"none", "none", nil, ErrNone},
		{"none", "fail", nil, ErrTemporary},
		{"fail", "none", nil, ErrTemporary},
		{"fail", "fail", nil, ErrTemporary},
	} {
		s := serve(t, func(q *dns.Msg, _ bool) [][]byte {
			if q.Question[0].Qtype == dns.TypeA {
				return answer[c.a](q, v4)
			}
			return answer[c.aaaa](q, v6)
		})
		got, err := resolver(s).Addrs(context.Background(), "www.example.org")
		if !slices.Equal(got, c.want) || !errors.Is(err, c.err) {
			t.Errorf("A %s, AAAA %s: %v, %v", c.a, c.aaaa, got, err)
		}
	}
}

func TestNamesNobodyCanHave(t *testing.T) {
	s := serve(t, zone("www.example.org. A 192.0.2.1"))
	for _, name := range []string{"", "..", "a..org", ".org", "a.org..", `a.org\`, `a.org\.`, `a\.b.org`, `a\056b.org`, `a\456b.org`, strings.Repeat("a", 64) + ".org", strings.Repeat("a.", 127) + "org"} {
		if _, err := resolver(s).A(context.Background(), name); !errors.Is(err, ErrNone) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if n := s.udp.Load(); n != 0 {
		t.Errorf("%d questions were asked", n)
	}
}

// An answer that is broken behind the question is a broken server, not a
// forgery that is to be waited out.
func TestBrokenAnswerIsNotWaitedFor(t *testing.T) {
	broken := serve(t, func(q *dns.Msg, _ bool) [][]byte {
		b := wire(records(q, 0, "www.example.org. A 192.0.2.1"))[0]
		return [][]byte{b[:len(b)-3]}
	})
	r := resolver(broken, serve(t, zone("www.example.org. A 192.0.2.1")))
	r.config.timeout = time.Hour
	if got, err := r.A(context.Background(), "www.example.org"); err != nil || !slices.Equal(got, addrs("192.0.2.1")) {
		t.Errorf("%v, %v", got, err)
	}
	// Records of the right type and the wrong size are no answer either.
	long := serve(t, func(q *dns.Msg, _ bool) [][]byte {
		b := wire(records(q, 0, "www.example.org. A 192.0.2.1"))[0]
		b[len(b)-5] = 5 // bytes of data
		return [][]byte{append(b, 9)}
	})
	if got, err := resolver(long).A(context.Background(), "www.example.org"); !errors.Is(err, ErrTemporary) {
		t.Errorf("an address of five bytes: %v, %v", got, err)
	}
}

// An answer counts only if it comes from where the question went.
func TestAnswerFromElsewhere(t *testing.T) {
	elsewhere, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			q := new(dns.Msg)
			if q.Unpack(buf[:n]) == nil {
				elsewhere.WriteTo(wire(records(q, 0, "www.example.org. A 192.0.2.9"))[0], from)
				time.Sleep(20 * time.Millisecond)
				pc.WriteTo(wire(records(q, 0, "www.example.org. A 192.0.2.1"))[0], from)
			}
		}
	}()
	r := resolver(&server{addr: pc.LocalAddr().String()})
	r.config.timeout = time.Hour
	if got, err := r.A(context.Background(), "www.example.org"); err != nil || !slices.Equal(got, addrs("192.0.2.1")) {
		t.Errorf("%v, %v", got, err)
	}
}

// Look-ups leave nothing behind, however they end.
func TestNoLeak(t *testing.T) {
	r := resolver(serve(t, func(q *dns.Msg, _ bool) [][]byte {
		if strings.HasPrefix(strings.ToLower(q.Question[0].Name), "none") {
			return nil
		}
		return wire(records(q, 0, q.Question[0].Name+" A 192.0.2.1"))
	}))
	r.config.timeout = time.Hour
	r.A(context.Background(), "warm.example")
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() { r.A(context.Background(), "name"+strconv.Itoa(i)+".example") })
		wg.Go(func() { r.A(ctx, "none"+strconv.Itoa(i)+".example") })
	}
	time.Sleep(50 * time.Millisecond)
	cancel()
	wg.Wait()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		g, f := runtime.NumGoroutine(), openFiles(t)
		if g <= goroutines && f <= files {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d goroutines after %d before, %d files after %d before", g, goroutines, f, files)
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("cannot count descriptors: %v", err)
	}
	return len(list)
}

// A question that finds no descriptor waits for one: in a server others are given
// back soon. One that finds none in its time has no answer.
func TestDescriptorsExhausted(t *testing.T) {
	r := resolver(serve(t, zone("name.example. 60 IN A 192.0.2.1")))
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	low := unix.Rlimit{Cur: min(limit.Cur, 100), Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	var files []int
	giveBack := func() {
		for _, fd := range files {
			unix.Close(fd)
		}
		files = nil
	}
	defer giveBack()
	for {
		fd, err := unix.Open("/dev/null", unix.O_CLOEXEC, 0)
		if err != nil {
			break
		}
		files = append(files, fd)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if list, err := r.A(ctx, "name.example"); !errors.Is(err, ErrTemporary) {
		t.Errorf("%v, %v", list, err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := r.A(context.Background(), "name.example")
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("answered without a descriptor: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	giveBack()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestGivingUp(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := serve(t, func(*dns.Msg, bool) [][]byte { cancel(); return nil })
	r := resolver(s)
	r.config.timeout = time.Hour
	if _, err := r.A(ctx, "www.example.org"); !errors.Is(err, ErrTemporary) {
		t.Errorf("%v", err)
	}
	if n := s.udp.Load(); n != 1 {
		t.Errorf("%d questions", n)
	}
}

// A host may have a name that no host should have; the answer is known as the
// answer all the same.
func TestOddNames(t *testing.T) {
	s := serve(t, func(q *dns.Msg, _ bool) [][]byte {
		return wire(records(q, 0, q.Question[0].Name+" A 192.0.2.1"))
	})
	for _, name := range []string{`we\040ird.example`, `a\134c\072d\045.example`, `\001\377.example`, `"x";(y)@\044.example`} {
		if got, err := resolver(s).A(context.Background(), name); err != nil || !slices.Equal(got, addrs("192.0.2.1")) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// The id, the port and the case of letters must differ from question to
// question.
func TestQuestionsCannotBeGuessed(t *testing.T) {
	const asked = 40
	var mu sync.Mutex
	ids, names := map[uint16]bool{}, map[string]bool{}
	s := serve(t, func(q *dns.Msg, _ bool) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		ids[q.Id], names[q.Question[0].Name] = true, true
		return wire(records(q, 0))
	})
	for range asked {
		resolver(s).A(context.Background(), "a-long-name.example.org")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ids) < asked/2 || len(names) < asked/2 {
		t.Errorf("%d ids and %d spellings in %d questions", len(ids), len(names), asked)
	}
}

func TestResolvConf(t *testing.T) {
	c := parseConf("# comment\nsearch example.org\nnameserver 192.0.2.1\nnameserver\t2001:db8::1\n" +
		"nameserver nonsense\nnameserver 192.0.2.2\nnameserver 192.0.2.3\noptions rotate timeout:3 attempts:9\n")
	if got := fmt.Sprint(c.servers); got != "[192.0.2.1:53 [2001:db8::1]:53 192.0.2.2:53 192.0.2.3:53]" {
		t.Errorf("servers %s", got)
	}
	if c.timeout != 3*time.Second || c.tries != 5 || !c.rotate {
		t.Errorf("timeout %v, tries %d, rotate %v", c.timeout, c.tries, c.rotate)
	}
	if c = parseConf("options timeout:0 attempts:x timeout:"); c.timeout != 5*time.Second || c.tries != 2 {
		t.Errorf("bad options: timeout %v, tries %d", c.timeout, c.tries)
	}
}

func TestSearch(t *testing.T) {
	for _, c := range []struct {
		conf, local, name string
		want              []string
	}{
		{"search b.example example", "", "a", []string{"a.b.example", "a.example", "a"}},
		{"search b.example example", "", "a.b", []string{"a.b", "a.b.b.example", "a.b.example"}},
		{"search b.example example", "", "a.", []string{"a."}},
		{"search b.example example\noptions ndots:2", "", "a.b", []string{"a.b.b.example", "a.b.example", "a.b"}},
		{"search b.example\noptions ndots:0", "", "a", []string{"a", "a.b.example"}},
		{"domain b.example x\nsearch example.", "", "a", []string{"a.example", "a"}},
		{"search example\ndomain b.example x", "", "a", []string{"a.b.example", "a"}},
		{"search .", "", "a", []string{"a"}},
		{"search example", "x.example y.example", "a", []string{"a.x.example", "a.y.example", "a"}},
	} {
		file := t.TempDir() + "/resolv.conf"
		if err := os.WriteFile(file, []byte(c.conf), 0o644); err != nil {
			t.Fatal(err)
		}
		r := New(nil)
		if r.file = file; c.local != "" {
			r.vars = proc.Vars{"LOCALDOMAIN=" + c.local}
		}
		if got, err := r.Search(c.name); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q, %q: %s is %q, %v; want %q", c.conf, c.local, c.name, got, err, c.want)
		}
	}
	r := New(nil) // the host's own domain, or none
	r.file = t.TempDir() + "/absent"
	host, _ := os.Hostname()
	want := []string{"a"}
	if _, domain, ok := strings.Cut(host, "."); ok {
		want = []string{"a." + domain, "a"}
	}
	if got, err := r.Search("a"); err != nil || !slices.Equal(got, want) {
		t.Errorf("on %s: %q, %v; want %q", host, got, err, want)
	}
	r = New(nil)
	r.file = t.TempDir() // a directory
	if got, err := r.Search("a"); err == nil {
		t.Errorf("without a file that can be read: %q", got)
	}
}

func TestServersWithoutAFile(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "[127.0.0.1:53]",
		"garbage":                      "[127.0.0.1:53]",
		"192.0.2.1":                    "[192.0.2.1:53]",
		"192.0.2.1.192.0.2.2":          "[192.0.2.1:53 192.0.2.2:53]",
		"192.0.2.1 192.0.2.2 x ::1":    "[192.0.2.1:53 192.0.2.2:53 [::1]:53]",
		"127.0.0.1:5353,[::1]:54":      "[127.0.0.1:5353 [::1]:54]",
		"1.1.1.1 2.2.2.2 3.3.3.3 4.4":  "[1.1.1.1:53 2.2.2.2:53 3.3.3.3:53]",
		"010.000.0.1":                  "[10.0.0.1:53]",
		strings.Repeat("1.1.1.1.", 20): "[" + strings.TrimSpace(strings.Repeat("1.1.1.1:53 ", 16)) + "]",
	} {
		c, err := load(proc.Vars{"DNSCACHEIP=" + in}, t.TempDir()+"/absent")
		if got := fmt.Sprint(c.servers); got != want || err != nil {
			t.Errorf("%q: %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestResolvConfThatCannotBeRead(t *testing.T) {
	r := New(nil)
	r.file = t.TempDir() // a directory
	if _, err := r.A(context.Background(), "www.example.org"); !errors.Is(err, ErrTemporary) {
		t.Errorf("%v", err)
	}
}
