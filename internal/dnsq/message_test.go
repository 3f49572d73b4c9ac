package dnsq

import (
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/net/dns/dnsmessage"
)

// Whatever comes in answer to a question, it is an answer, no answer or none to
// this question, and of an answer only records on the path from the question
// count.
func FuzzAnswer(f *testing.F) {
	asked := new(dns.Msg).SetQuestion("www.example.org.", dns.TypeMX)
	asked.Id = 1
	for _, m := range []*dns.Msg{
		asked,
		records(asked, 0, "www.example.org. MX 1 mx.example.org."),
		records(asked, 0, "www.example.org. CNAME w.example.org.", "w.example.org. CNAME www.example.org."),
		records(asked, 0, "www.example.org. CNAME w.example.org.", "w.example.org. MX 1 .", "x.example.org. MX 1 x.", "w.example.org. A 192.0.2.1"),
		records(asked, 3, "www.example.org. MX 1 .", `www.example.org. TXT "a" "b"`),
	} {
		f.Add(wire(m)[0])
		m.Compress = true
		f.Add(wire(m)[0])
	}
	f.Add([]byte("\x00\x01\x80\x00\x00\x00\x00\x01\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04abcd"))
	f.Fuzz(func(t *testing.T, b []byte) {
		q := query{id: 1, name: "www.example.org.", qtype: dnsmessage.TypeMX}
		m, err := q.judge(b)
		if err != nil && err != errCase || m == nil {
			return
		}
		hops := 0
		var got []string
		end, n, err := m.follow(q.name, q.qtype, &hops, func(_ uint16, p *dnsmessage.Parser) error {
			rr, err := p.MXResource()
			got = append(got, toDomain(rr.MX).dots())
			return err
		})
		if hops > maxChain+1 || err == nil && (n != len(got) || hops == 0 && end != q.name) {
			t.Fatalf("%d records, %d read, %d hops to %q", n, len(got), hops, end)
		}
		if err != nil {
			return
		}
		for _, host := range got {
			if !IsName(host) {
				t.Fatalf("the exchanger %q has no name", host)
			}
		}
		// The records of the owner at the end, counted without a path.
		all, err := m.answers.AllAnswers()
		if err != nil {
			return // a record elsewhere is broken
		}
		count := 0
		for _, rr := range all {
			if rr.Header.Type == q.qtype && toDomain(rr.Header.Name).equal(end) && rr.Header.Class == dnsmessage.ClassINET {
				count++
			}
		}
		if len(got) != count {
			t.Fatalf("%d records of %q, not %d", count, end, len(got))
		}
	})
}
