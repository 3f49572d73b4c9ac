package remote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"paperpath/internal/dnsq"
	"paperpath/mta/control"
)

// zone is a DNS: "example.org MX" or "a.example.org A" to records between
// spaces; "!" for a temporary failure. What is not in it does not exist.
type zone map[string]string

func (z zone) look(kind, name string) ([]string, error) {
	switch records, ok := z[name+" "+kind]; {
	case !ok:
		return nil, fmt.Errorf("%s: %w", name, dnsq.ErrNone)
	case records == "!":
		return nil, fmt.Errorf("%s: %w", name, dnsq.ErrTemporary)
	default:
		return strings.Fields(records), nil
	}
}

func (z zone) MX(_ context.Context, name string) (list []dnsq.MX, err error) {
	records, err := z.look("MX", name)
	for _, r := range records {
		var mx dnsq.MX
		pref, host, _ := strings.Cut(r, ":")
		fmt.Sscan(pref, &mx.Pref)
		mx.Host = host
		list = append(list, mx)
	}
	return list, err
}

func (z zone) Addrs(_ context.Context, name string) (list []netip.Addr, err error) {
	records, err := z.look("A", name)
	for _, r := range records {
		list = append(list, netip.MustParseAddr(r))
	}
	return list, err
}

// Cases of destination: the addresses in the order of the attempts, those of
// one preference sorted by the test; or the report.
func TestDestination(t *testing.T) {
	const own = "127.0.0.1"
	mine := func() ([]netip.Addr, error) {
		return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified(), netip.MustParseAddr(own)}, nil
	}
	many := zone{}
	var records []string
	for i := range 120 {
		records = append(records, fmt.Sprintf("%d:mx%d.example.org", i, i))
		many[fmt.Sprintf("mx%d.example.org A", i)] = fmt.Sprintf("192.0.2.%d", i)
	}
	many["example.org MX"] = strings.Join(records, " ")
	absent := zone{"example.org MX": many["example.org MX"]}
	broad := zone{"example.org A": strings.Repeat("192.0.2.1 ", 4000)}

	for _, c := range []struct {
		name   string
		dns    zone
		routes string
		want   string
		err    error
	}{
		{"by preference", zone{"example.org MX": "20:b.example.org 10:a.example.org",
			"a.example.org A": "192.0.2.1", "b.example.org A": "192.0.2.2"}, "", "192.0.2.1 192.0.2.2", nil},
		{"equals", zone{"example.org MX": "10:a.example.org 10:b.example.org 5:c.example.org",
			"a.example.org A": "192.0.2.1", "b.example.org A": "192.0.2.2", "c.example.org A": "192.0.2.3"}, "", "192.0.2.3 192.0.2.1 192.0.2.2", nil},
		{"no MX", zone{"example.org A": "192.0.2.1"}, "", "192.0.2.1", nil},
		{"no MX but IPv6", zone{"example.org A": "2001:db8::1"}, "", "2001:db8::1", nil},
		{"IPv6 and IPv4 in turn", zone{"example.org A": "2001:db8::1 2001:db8::2 2001:db8::3 192.0.2.1 192.0.2.2"}, "",
			"2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.2 2001:db8::3", nil},
		{"IPv4 within IPv6", zone{"example.org A": "::ffff:192.0.2.1"}, "", "192.0.2.1", nil},
		{"nothing", zone{}, "", "", noSuchHost("example.org")},
		{"MX cannot be had", zone{"example.org MX": "!", "example.org A": "192.0.2.1"}, "", "", dnsTemporary},
		{"A cannot be had", zone{"example.org A": "!"}, "", "", dnsTemporary},
		{"null MX", zone{"example.org MX": "0:.", "example.org A": "192.0.2.1"}, "", "", nullMX("example.org")},
		{"null MX beside another", zone{"example.org MX": "0:. 10:a.example.org", "a.example.org A": "192.0.2.1"}, "", "192.0.2.1", nil},
		{"MX that is an address", zone{"example.org MX": "10:192.0.2.7"}, "", "192.0.2.7", nil},
		{"an MX does not exist", zone{"example.org MX": "10:a.example.org 20:b.example.org", "b.example.org A": "192.0.2.2"}, "", "192.0.2.2", nil},
		{"no MX exists", zone{"example.org MX": "10:a.example.org 20:b.example.org", "example.org A": "192.0.2.1"}, "", "", noExchanger},
		{"an MX cannot be had", zone{"example.org MX": "10:a.example.org 20:b.example.org", "a.example.org A": "!", "b.example.org A": "192.0.2.2"}, "", "192.0.2.2", nil},
		{"no MX can be had", zone{"example.org MX": "10:a.example.org 20:b.example.org", "a.example.org A": "!"}, "", "", dnsTemporary},

		{"we are the best", zone{"example.org MX": "10:a.example.org 20:b.example.org", "a.example.org A": own, "b.example.org A": "192.0.2.2"}, "", "", ambiguous},
		{"we are among the best", zone{"example.org MX": "10:a.example.org 10:b.example.org", "a.example.org A": own, "b.example.org A": "192.0.2.2"}, "", "", ambiguous},
		{"we are second", zone{"example.org MX": "10:a.example.org 20:b.example.org 30:c.example.org", "b.example.org A": own,
			"a.example.org A": "192.0.2.1", "c.example.org A": "192.0.2.3"}, "", "192.0.2.1", nil},
		{"we are second by our second address", zone{"example.org MX": "10:a.example.org 20:b.example.org 30:c.example.org", "b.example.org A": "192.0.2.2 " + own,
			"a.example.org A": "192.0.2.1", "c.example.org A": "192.0.2.3"}, "", "192.0.2.1", nil},
		{"any address", zone{"example.org A": "0.0.0.0"}, "", "", ambiguous},
		{"any IPv6 address", zone{"example.org A": "::"}, "", "", ambiguous},
		{"ourselves within IPv6", zone{"example.org A": "::ffff:127.0.0.1"}, "", "", ambiguous},
		// Not for good: the better exchanger may be there tomorrow.
		{"we are second, the best cannot be had", zone{"example.org MX": "10:a.example.org 20:b.example.org", "a.example.org A": "!", "b.example.org A": own}, "", "", dnsTemporary},

		{"a hundred exchangers", many, "", "192.0.2.0 192.0.2.1", nil},
		{"the best of a hundred do not exist", absent, "", "", dnsTemporary},
		{"thousands of addresses", broad, "", strings.TrimSpace(strings.Repeat("192.0.2.1 ", maxAddrs)), nil},

		{"a relay", zone{"relay.example.com A": "192.0.2.9"}, ":relay.example.com", "192.0.2.9", nil},
		{"a relay has no MX", zone{"relay.example.com MX": "10:x.example.com", "relay.example.com A": "192.0.2.9"}, ":relay.example.com", "192.0.2.9", nil},
		{"a relay that is ourselves", zone{"relay.example.com A": own}, ":relay.example.com:26", own + ":26", nil},
		{"a relay that does not exist", zone{}, ":relay.example.com", "", noSuchHost("relay.example.com")},
		{"a relay that cannot be had", zone{"relay.example.com A": "!"}, ":relay.example.com", "", dnsTemporary},

		{"QMTP by preference", zone{"example.org MX": "12817:b.example.org 12801:a.example.org",
			"a.example.org A": "192.0.2.1", "b.example.org A": "192.0.2.2"}, "",
			"qmtp 192.0.2.1:209 or 192.0.2.1 qmtp 192.0.2.2:209 or 192.0.2.2", nil},
		{"QMTP for one exchanger of two", zone{"example.org MX": "12800:a.example.org 12801:b.example.org",
			"a.example.org A": "192.0.2.1", "b.example.org A": "192.0.2.2"}, "",
			"192.0.2.1 qmtp 192.0.2.2:209 or 192.0.2.2", nil},
		{"QMTP over IPv6 and IPv4", zone{"example.org MX": "13041:a.example.org", "a.example.org A": "2001:db8::1 192.0.2.1"}, "",
			"qmtp [2001:db8::1]:209 or 2001:db8::1 qmtp 192.0.2.1:209 or 192.0.2.1", nil},
		{"QMTP, we are second", zone{"example.org MX": "12801:a.example.org 12817:b.example.org",
			"a.example.org A": "192.0.2.1", "b.example.org A": own}, "", "qmtp 192.0.2.1:209 or 192.0.2.1", nil},
		{"QMTP to a relay", zone{"relay.example.com A": "192.0.2.9"}, "qmtp :relay.example.com", "qmtp 192.0.2.9:209", nil},
		{"QMTP to a relay's port", zone{}, "qmtp :[2001:db8::9]:2209", "qmtp [2001:db8::9]:2209", nil},
		{"QMTP to a relay that does not exist", zone{}, "qmtp :relay.example.com", "", noSuchHost("relay.example.com")},
		{"a relay before QMTP by preference", zone{"example.org MX": "12801:a.example.org", "relay.example.com A": "192.0.2.9"}, ":relay.example.com", "192.0.2.9", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			list, err := destination(context.Background(), c.dns, mine, routesOf(c.routes), "example.org")
			for _, x := range list {
				got = append(got, strings.TrimSuffix(shown(x), ":25"))
			}
			if c.name == "equals" {
				slices.Sort(got[1:])
			}
			if c.name == "a hundred exchangers" {
				got = got[:2]
				if len(list) != maxHosts {
					t.Errorf("%d addresses", len(list))
				}
			}
			if s := strings.Join(got, " "); s != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %q, %v; want %q, %v", s, err, c.want, c.err)
			}
		})
	}
}

func TestAddressesOfOurOwnThatCannotBeHad(t *testing.T) {
	broken := func() ([]netip.Addr, error) { return nil, errors.New("no netlink") }
	dns := zone{"example.org A": "192.0.2.1"}
	if _, err := destination(context.Background(), dns, broken, routes{}, "example.org"); err != badSystem {
		t.Errorf("%v", err)
	}
}

// Equals are tried in an order of their own each time.
func TestEqualsTakeTurns(t *testing.T) {
	dns := zone{"example.org MX": "10:a.example.org 10:b.example.org", "a.example.org A": "192.0.2.1", "b.example.org A": "192.0.2.2"}
	first := map[netip.Addr]int{}
	for range 200 {
		list, err := exchangers(context.Background(), dns, "example.org")
		if err != nil || len(list) != 2 {
			t.Fatal(list, err)
		}
		first[list[0].addr]++
	}
	if len(first) != 2 {
		t.Errorf("the first was always one: %v", first)
	}
}

// shown is an attempt as TestDestination has it.
func shown(a attempt) string {
	to := a.addr.String()
	if a.addr.Port() == 25 {
		to = a.addr.Addr().String()
	}
	if a.qmtp {
		to = "qmtp " + to
	}
	if a.same {
		to += " or"
	}
	return to
}

// routesOf reads lines of smtproutes, and of qmtproutes behind the word qmtp.
func routesOf(text string) routes {
	r := routes{smtp: control.Map{}, qmtp: control.Map{}}
	for line := range strings.SplitSeq(text, "\n") {
		if qmtp, ok := strings.CutPrefix(line, "qmtp "); ok {
			maps.Copy(r.qmtp, control.Colon([]string{qmtp}))
		} else {
			maps.Copy(r.smtp, control.Colon([]string{line}))
		}
	}
	return r
}

func TestRoute(t *testing.T) {
	both := routesOf(`example.org:one
.example.org:two:26
Upper.Example.ORG:three:
dns.example.org:
v6.example.org:[2001:db8::1]:27
v6.example.com:[IPv6:2001:db8::1]
v4.example.com:[192.0.2.1]:28
odd.example.com:x:y
.:dot
no colon
port.example.com::29
qmtp q.example.org:four
qmtp .q.example.org:five:2209
both.example.org:six
qmtp both.example.org:seven
qmtp dns.q.example.org:
s.q.example.org:eight
qmtp v6.q.example.org:[2001:db8::1]:2209`)
	for host, want := range map[string]relay{
		"example.org":         {"one", 25, false},
		"EXAMPLE.ORG":         {"one", 25, false},
		"a.example.org":       {"two", 26, false},
		"b.a.example.org":     {"two", 26, false},
		"upper.example.org":   {"three", 25, false},
		"dns.example.org":     {},
		"a.dns.example.org":   {"two", 26, false},
		"v6.example.org":      {"[2001:db8::1]", 27, false},
		"v6.example.com":      {"[IPv6:2001:db8::1]", 25, false},
		"v4.example.com":      {"[192.0.2.1]", 28, false},
		"odd.example.com":     {"x", 25, false},
		"port.example.com":    {"", 29, false},
		"trailing.dot.":       {"dot", 25, false},
		"example.net":         {},
		"notexample.org":      {},
		"":                    {},
		"no colon":            {},
		"example.org.example": {},
		"q.example.org":       {"four", 209, true},
		"Q.example.org":       {"four", 209, true},
		"a.q.example.org":     {"five", 2209, true},
		"both.example.org":    {"seven", 209, true},
		"dns.q.example.org":   {}, // neither the relay of .q nor that of .example.org
		"s.q.example.org":     {"eight", 25, false},
		"v6.q.example.org":    {"[2001:db8::1]", 2209, true},
	} {
		got, ok := both.find(host)
		if got != want || ok != (want != relay{}) {
			t.Errorf("%q: %v, %v; want %v", host, got, ok, want)
		}
	}
	if got, ok := routesOf(":all:2525").find("x.y"); !ok || got != (relay{"all", 2525, false}) {
		t.Errorf("default: %v, %v", got, ok)
	}
	if got, ok := routesOf(".y:some\nqmtp :all").find("x.y"); !ok || got != (relay{"some", 25, false}) {
		t.Errorf("default for QMTP: %v, %v", got, ok)
	}
}

func TestLiteral(t *testing.T) {
	for host, want := range map[string]string{
		"[192.0.2.1]":             "192.0.2.1",
		"192.0.2.1":               "192.0.2.1",
		"[192.0.2.010]":           "192.0.2.10",
		"[IPv6:2001:db8::1]":      "2001:db8::1",
		"[ipv6:2001:DB8::1]":      "2001:db8::1",
		"[2001:db8::1]":           "2001:db8::1",
		"[IPv6:::ffff:192.0.2.1]": "192.0.2.1",
		"[IPv6:192.0.2.1]":        "192.0.2.1",
		"2001:db8::1":             "",
		"[192.0.2.1":              "",
		"192.0.2.1]":              "",
		"[192.0.2.256]":           "",
		"192.0.2":                 "",
		"192.0.2.1.":              "",
		"1.2.3.4.example":         "",
		"[]":                      "",
		"[":                       "",
		"":                        "",
		"[IPv6:]":                 "",
		"[fe80::1%lo]":            "",
	} {
		got, ok := literal(host)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%q: %v, %v", host, got, ok)
		}
	}
}

func FuzzRouteAndLiteral(f *testing.F) {
	f.Add("[IPv6:::1]:25", "a.b")
	f.Add("[", ".")
	f.Add(":", "")
	f.Fuzz(func(t *testing.T, value, host string) {
		to, ok := routes{smtp: control.Map{"": value}}.find(host)
		if ok != (value != "") || !strings.HasPrefix(value, to.host) {
			t.Fatalf("%q: %v, %v", value, to, ok)
		}
		if ip, ok := literal(to.host); ok && (!ip.IsValid() || ip.Is4In6() || ip.Zone() != "") {
			t.Fatalf("%q: %v", to.host, ip)
		}
	})
}
