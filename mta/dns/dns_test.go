package dns

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/test/nameserver"
)

const zone = `
one.example                 A      192.0.2.1
many.example                A      192.0.2.2
many.example                A      192.0.2.1
six.example                 AAAA   2001:db8::1
both.example                AAAA   2001:db8::1
both.example                A      192.0.2.1
half.example                A      192.0.2.1
!silent half.example        AAAA
alias.example               CNAME  one.example.
alias2.example              CNAME  alias.example.
dead.example                CNAME  nowhere.example.
loop1.example               CNAME  loop2.example.
loop2.example               CNAME  loop1.example.
text.example                TXT    "x"
!fail fail.example
!refuse refuse.example
!loop broken.example
1.2.0.192.in-addr.arpa      PTR    One.Example.
1.2.0.192.in-addr.arpa      PTR    uno.example.
2.2.0.192.in-addr.arpa      CNAME  2.customer.example.
2.customer.example          PTR    two.example.
3.2.0.192.in-addr.arpa      PTR    we\032ird.example.
4.2.0.192.in-addr.arpa      PTR    mail\.example.
!fail 5.2.0.192.in-addr.arpa
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa  PTR  six.example.
mx.example                  MX     20 many.example.
mx.example                  MX     10 one.example.
mx.example                  MX     30 nowhere.example.
mx.example                  MX     5  fail.example.
mxfail.example              MX     10 fail.example.
mxnone.example              MX     10 nowhere.example.
mxnull.example              MX     0  .
mxsix.example               MX     10 both.example.
short.search.example        A      192.0.2.1
sub.short.search.example    A      192.0.2.2
!fail late.bad.example
late.search.example         A      192.0.2.1
!fail lost.bad.example
plain                       A      192.0.2.1
`

func start(t *testing.T) proc.Vars {
	t.Helper()
	s, err := nameserver.Start("127.0.0.1:0", zone, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return proc.Vars{"DNSCACHEIP=" + s.Addr, "LOCALDOMAIN=bad.example search.example"}
}

// What each program prints for an argument; "hard" and "soft" are its errors.
func TestAnswers(t *testing.T) {
	vars := start(t)
	for _, c := range []struct {
		program   *proc.Program
		arg, want string
	}{
		{&Dnsip, "one.example", "192.0.2.1"},
		{&Dnsip, "One.Example.", "192.0.2.1"},
		{&Dnsip, "many.example", "192.0.2.2 192.0.2.1"},
		{&Dnsip, "six.example", "2001:db8::1"},
		{&Dnsip, "both.example", "192.0.2.1 2001:db8::1"},
		{&Dnsip, "half.example", "192.0.2.1"},
		{&Dnsip, "alias2.example", "192.0.2.1"},
		{&Dnsip, "192.0.2.9", "192.0.2.9"},
		{&Dnsip, "[010.0.0.9]", "10.0.0.9"},
		{&Dnsip, "[IPv6:2001:db8:0::9]", "2001:db8::9"},
		{&Dnsip, "2001:db8::9", "2001:db8::9"},
		{&Dnsip, "nowhere.example", "hard"},
		{&Dnsip, "dead.example", "hard"},
		{&Dnsip, "text.example", "hard"},
		{&Dnsip, "short", "hard"}, // not searched for
		{&Dnsip, "", "hard"},
		{&Dnsip, "a..b", "hard"},
		{&Dnsip, "fe80::1%lo", "hard"},
		{&Dnsip, "fail.example", "soft"},
		{&Dnsip, "refuse.example", "soft"},
		{&Dnsip, "broken.example", "soft"},
		{&Dnsip, "loop1.example", "soft"},

		{&Dnsptr, "192.0.2.1", "one.example"},
		{&Dnsptr, "[192.0.2.1]", "one.example"},
		{&Dnsptr, "192.0.2.1:25", "one.example"},
		{&Dnsptr, "192.0.2.1.", "one.example"},
		{&Dnsptr, "192.0.2.2", "two.example"},
		{&Dnsptr, "192.0.2.3", `we\040ird.example`},
		{&Dnsptr, "192.0.2.4", "soft"}, // would be another's name
		{&Dnsptr, "192.0.2.5", "soft"},
		{&Dnsptr, "192.0.2.6", "hard"},
		{&Dnsptr, "2001:db8::1", "six.example"},
		{&Dnsptr, "192.0.2", "hard"},
		{&Dnsptr, "192.0.2.256", "hard"},
		{&Dnsptr, "one.example", "hard"},
		{&Dnsptr, "", "hard"},

		{&Dnsfq, "one.example", "one.example"},
		{&Dnsfq, "many.example", "two.example"},
		{&Dnsfq, "six.example", "six.example"},
		{&Dnsfq, "both.example", "one.example"},
		{&Dnsfq, "192.0.2.2", "two.example"},
		{&Dnsfq, "2001:db8::1", "six.example"},
		{&Dnsfq, "short", "one.example"},
		{&Dnsfq, "short.", "hard"},
		{&Dnsfq, "sub.short", "two.example"},
		{&Dnsfq, "late", "one.example"},
		{&Dnsfq, "lost", "soft"},
		{&Dnsfq, "plain", "one.example"},
		{&Dnsfq, "nowhere", "hard"},
		{&Dnsfq, "fail.example", "soft"},
		{&Dnsfq, "192.0.2.5", "soft"},

		{&Dnsmxip, "mx.example", "192.0.2.1 10,192.0.2.2 20,192.0.2.1 20"},
		{&Dnsmxip, "mxsix.example", "192.0.2.1 10,2001:db8::1 10"},
		{&Dnsmxip, "both.example", "192.0.2.1 0,2001:db8::1 0"},
		{&Dnsmxip, "[192.0.2.9]", "192.0.2.9 0"},
		{&Dnsmxip, "mxnone.example", ""},
		{&Dnsmxip, "mxnull.example", ""},
		{&Dnsmxip, "mxfail.example", "soft"},
		{&Dnsmxip, "fail.example", "soft"},
		{&Dnsmxip, "nowhere.example", "hard"},

		{&Dnscname, "one.example", "one.example"},
		{&Dnscname, "alias2.example.", "one.example"},
		{&Dnscname, "dead.example", "nowhere.example"},
		{&Dnscname, "nowhere.example", "nowhere.example"},
		{&Dnscname, "[192.0.2.1]", "[192.0.2.1]"},
		{&Dnscname, "loop1.example", "hard"},
		{&Dnscname, "fail.example", "soft"},
	} {
		t.Run(c.program.Name+" "+c.arg, func(t *testing.T) {
			t.Parallel()
			want := proctest.Result{}
			switch c.want {
			case "hard":
				want.Status, want.Err = 100, "hard error\n"
			case "soft":
				want.Status, want.Err = 111, "soft error\n"
			case "":
			default:
				separator := " "
				if c.program == &Dnsmxip {
					separator = ","
				}
				want.Out = strings.ReplaceAll(c.want, separator, "\n") + "\n"
			}
			got := proctest.Run(c.program, proctest.Case{Args: []string{c.arg, "ignored"}, Vars: vars})
			if got.Status != want.Status || got.Out != want.Out || got.Err != want.Err {
				t.Errorf("status %d, %q, %q; want %d, %q, %q", got.Status, got.Out, got.Err, want.Status, want.Out, want.Err)
			}
		})
	}
}

func TestNothingToAsk(t *testing.T) {
	for _, p := range []*proc.Program{&Dnsip, &Dnsptr, &Dnsfq, &Dnsmxip, &Dnscname} {
		if r := proctest.Run(p, proctest.Case{}); r.Status != 100 || r.Out+r.Err != "" {
			t.Errorf("%s: %+v", p.Name, r)
		}
	}
}

func TestThisHost(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if r := proctest.Run(&Hostname, proctest.Case{Args: []string{"-f"}}); r.Status != 0 || r.Out != name+"\n" {
		t.Errorf("hostname: %+v", r)
	}
	r := proctest.Run(&Ipmeprint, proctest.Case{})
	lines := strings.Split(strings.TrimSuffix(r.Out, "\n"), "\n")
	if r.Status != 0 || lines[0] != "0.0.0.0" || !slices.Contains(lines, "127.0.0.1") || !slices.Contains(lines, "::") {
		t.Errorf("ipmeprint: %+v", r)
	}
	six := false
	for _, l := range lines {
		a, err := netip.ParseAddr(l)
		if err != nil || six && a.Is4() {
			t.Errorf("ipmeprint: %q in %q", l, lines)
		}
		six = six || a.Is6()
	}
}

// broken is an output that fails.
type broken struct {
	proctest.Buffer
	err error
}

func (b *broken) Write([]byte) (int, error) { return 0, b.err }

func TestOutputThatFails(t *testing.T) {
	for err, want := range map[error]int{syscall.ENOSPC: 111, syscall.EPIPE: int(proc.BrokenPipe)} {
		for _, p := range []*proc.Program{&Dnsip, &Hostname, &Ipmeprint} {
			r := proctest.Run(p, proctest.Case{Args: []string{"192.0.2.1"}, Files: map[int]proc.File{1: &broken{err: err}}})
			if said := strings.Contains(r.Err, "unable to write output"); r.Status != want || said == errors.Is(err, syscall.EPIPE) {
				t.Errorf("%s, %v: %+v", p.Name, err, r)
			}
		}
	}
}

func FuzzAddresses(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "[192.0.2.1]", "192.0.2.1:25", "1.2.3.4.5", "[IPv6:::1]", "::ffff:1.2.3.4", "fe80::1%lo", "...", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, ok := literal(s); ok {
			if again, ok := literal(a.String()); !ok || again != a || a.Is4In6() {
				t.Errorf("%q is %v, then %v", s, a, again)
			}
		}
		if a, ok := beginning(s); ok && (!a.Is4() || !strings.ContainsAny(s[:1], "0123456789")) {
			t.Errorf("%q begins with %v", s, a)
		}
	})
}
