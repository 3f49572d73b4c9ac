package dnsq

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/net/dns/dnsmessage"
)

func TestNames(t *testing.T) {
	for _, c := range []struct{ ours, plain, back string }{
		{"example.org", "example.org.", "example.org"},
		{"Example.ORG.", "Example.ORG.", "example.org"},
		{"b\xfccher.org", "b\xfccher.org.", `b\374cher.org`},
		{`a\\b`, `a\b.`, `a\134b`},
		{`\1111`, "I1.", "i1"},
		{`\000\777`, "\x00\xff.", `\000\377`},
		{".", ".", "."},
	} {
		got, ok := fromDots(c.ours)
		if string(got) != c.plain || !ok {
			t.Errorf("fromDots(%q) = %q, %v", c.ours, got, ok)
		}
		if back := got.dots(); back != c.back {
			t.Errorf("%q.dots() = %q", got, back)
		}
	}
	// The longest name there is: 255 bytes in messages, dotted one less.
	long := strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("b", 61)
	if got, ok := fromDots(long); len(got) != 254 || !ok {
		t.Errorf("%d bytes, %v", len(got), ok)
	}
	if _, ok := fromDots(long + "b"); ok || IsName(long+"b") {
		t.Error("256 bytes are a name")
	}
	if a := domain("aBk."); !a.equal("Abk.") || a.equal("ab.") || a.equal("abc.") || a.equal("ab\u212a.") {
		t.Error("names compare wrongly")
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"example.org", `a\056b`, "\xff", `\`, `\3777`, ".", "a..b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, ok := fromDots(s)
		if !ok {
			return
		}
		// What we print we read back as the same name.
		again, ok := fromDots(name.dots())
		if !ok || !again.equal(name) {
			t.Fatalf("%q: %q, then %q", s, name, again)
		}
		// It can be asked about, and the question is read back by others too.
		q := query{id: 1, name: name, qtype: dnsmessage.TypeA, edns: true}
		b, err := q.appendTo(nil)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		m, err := parse(b)
		if err != nil || len(m.asked) != 1 || toDomain(m.asked[0].Name) != name {
			t.Fatalf("%q: %+v, %v", name, m, err)
		}
		theirs := new(dns.Msg)
		if err := theirs.Unpack(b); err != nil || len(theirs.Question) != 1 || theirs.IsEdns0() == nil {
			t.Fatalf("%q: %v, %v", name, theirs, err)
		}
	})
}
