package tcpserver

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestParseLimit(t *testing.T) {
	for _, tt := range []struct {
		kind  limitKind
		value string
		most  uint64
		over  time.Duration
		ok    bool
	}{
		{conns, "5", 5, 0, true},
		{conns, "0", 0, 0, true},
		{conns, "", 0, 0, false},
		{conns, "5x", 0, 0, false},
		{conns, "-1", 0, 0, false},
		{conns, "5/60", 0, 0, false},
		{rate, "10/60", 10, time.Minute, true},
		{rate, "0/1", 0, time.Second, true},
		{rate, "10", 0, 0, false},
		{rate, "10/", 0, 0, false},
		{rate, "10/0", 0, 0, false},
		{rate, "10/60s", 0, 0, false},
		{rate, "/60", 0, 0, false},
		{rate, "10/86401", 0, 0, false},
	} {
		most, over, err := parseLimit(tt.kind, tt.value)
		if most != tt.most || over != tt.over || (err == nil) != tt.ok {
			t.Errorf("%q: %d, %v, %v", tt.value, most, over, err)
		}
	}
}

func TestRate(t *testing.T) {
	var u usage
	now := time.Now()
	key := usageKey{kind: rate, rule: "a"}
	take := func(after time.Duration) bool { return u.take(key, 3, time.Minute, now.Add(after)) }
	for i, step := range []struct {
		after time.Duration
		want  bool
	}{
		{0, true}, {0, true}, {0, true}, {0, false}, // three at once
		{19 * time.Second, false}, {20 * time.Second, true}, {20 * time.Second, false}, // then one every 20 s
		{time.Hour, true}, {time.Hour, true}, {time.Hour, true}, {time.Hour, false},
	} {
		if got := take(step.after); got != step.want {
			t.Errorf("%d: %v", i, got)
		}
	}
	if u.take(key, 0, time.Minute, now.Add(48*time.Hour)) {
		t.Error("0 is nobody")
	}
}

// Whoever is long gone is forgotten; whoever comes in crowds is not remembered
// without end.
func TestRateMemory(t *testing.T) {
	var u usage
	now := time.Now()
	for i := range 100_000 {
		u.take(usageKey{kind: rate, rule: strconv.Itoa(i)}, 1, time.Second, now.Add(time.Duration(i)*time.Millisecond))
	}
	if len(u.until) > 5000 {
		t.Errorf("%d are remembered of 1000 in the last second", len(u.until))
	}
	for i := range maxRemembered + 1000 {
		if !u.take(usageKey{kind: rate, rule: strconv.Itoa(i)}, 1, time.Hour, now.Add(time.Hour)) {
			t.Fatal(i)
		}
	}
	if len(u.until) > maxRemembered {
		t.Errorf("%d are remembered", len(u.until))
	}
	// The crowd does not help those who were there before it, and when it is
	// gone, others are remembered again.
	if u.take(usageKey{kind: rate, rule: "0"}, 1, time.Hour, now.Add(time.Hour+time.Minute)) {
		t.Error("a crowd makes others forgotten")
	}
	late := usageKey{kind: rate, rule: "late"}
	if now = now.Add(3 * time.Hour); !u.take(late, 1, time.Hour, now) || u.take(late, 1, time.Hour, now) {
		t.Error("nobody is remembered any more")
	}
}

func TestConns(t *testing.T) {
	var u usage
	now := time.Now()
	a, b := usageKey{kind: conns, rule: "a"}, usageKey{kind: conns, rule: "b"}
	for i, want := range []bool{true, true, false} {
		if got := u.take(a, 2, 0, now); got != want {
			t.Errorf("%d: %v", i, got)
		}
	}
	if !u.take(b, 2, 0, now) {
		t.Error("b is not a")
	}
	u.release([]usageKey{a, b})
	if !u.take(a, 2, 0, now) || u.take(a, 2, 0, now) {
		t.Error("one of two is gone")
	}
	u.release([]usageKey{a, a})
	if len(u.conns) != 0 {
		t.Errorf("%v", u.conns)
	}
}

func TestUsageKeys(t *testing.T) {
	for _, tt := range []struct{ ip, address, network string }{
		{"192.0.2.7", "192.0.2.7/32", "192.0.2.0/24"},
		{"::ffff:192.0.2.7", "192.0.2.7/32", "192.0.2.0/24"},
		{"2001:db8:1:2:3::4", "2001:db8:1:2::/64", "2001:db8:1::/48"},
		{"fe80::1%7", "fe80::/64", "fe80::/48"},
	} {
		var c connection
		c.Remote.Addr = netip.AddrPortFrom(netip.MustParseAddr(tt.ip), 1)
		address, network := c.usageKey(limit{scope: ofAddress}), c.usageKey(limit{scope: ofNetwork})
		if address.network.String() != tt.address || network.network.String() != tt.network {
			t.Errorf("%s: %v, %v", tt.ip, address, network)
		}
		if rule := c.usageKey(limit{scope: ofRule}); rule != (usageKey{}) {
			t.Errorf("no rule: %v", rule)
		}
	}
}

// hold connects and waits until the program has the connection.
func (r *running) hold(t *testing.T, from string) net.Conn {
	t.Helper()
	c := r.dial(t, from, "127.0.0.1")
	if _, err := io.WriteString(c, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatalf("%s: %v\n%s", from, err, r.said())
	}
	return c
}

// ends returns what a connection from an address yields, closing its own side
// at once.
func (r *running) quick(t *testing.T, from string) string {
	t.Helper()
	c := r.dial(t, from, "127.0.0.1")
	c.(*net.TCPConn).CloseWrite()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// again is quick, repeated until it yields want: a place is free a moment after
// its client has seen the end.
func (r *running) again(t *testing.T, from, want string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if got := r.quick(t, from); got == want {
			return
		} else if time.Now().After(end) {
			t.Fatalf("%s: %q, want %q\n%s", from, got, want, r.said())
		}
	}
}

// Both ways of running programs, and all limits.
func TestLimits(t *testing.T) {
	for _, options := range []string{"-RHl0", "-iRHl0"} {
		r := serve(t, "127.0.0.2:allow,MAXCONNIP=\"1\",DIEMSG=\"421 too many\"\n"+
			"127.0.1.:allow,MAXCONNC=\"1\",DIEMSG=\"421 neighbours\"\n"+
			"127.0.2.0/24:allow,MAXCONNRULE=\"1\"\n"+
			"127.0.3.:allow,MAXRATEIP=\"1/3600\",DIEMSG=\"421 too fast\"\n"+
			"127.0.4.:allow,MAXCONNIP=\"one\"\n"+
			":allow\n", options, "-C", "2:421 two at most", "-x", "rules.cdb", "127.0.0.1", "0", "cat")
		c := r.hold(t, "127.0.0.2")
		if got := r.quick(t, "127.0.0.2"); got != "421 too many\r\n" {
			t.Errorf("%q", got)
		}
		c.Close()
		r.again(t, "127.0.0.2", "")
		c = r.hold(t, "127.0.1.1")
		if got := r.quick(t, "127.0.1.2"); got != "421 neighbours\r\n" {
			t.Errorf("%q", got)
		}
		c.Close()
		c = r.hold(t, "127.0.2.1")
		if got := r.quick(t, "127.0.2.2"); got != "421 two at most\r\n" {
			t.Errorf("%q", got)
		}
		c.Close()
		if got := r.quick(t, "127.0.3.1") + r.quick(t, "127.0.3.1") + r.quick(t, "127.0.3.2"); got != "421 too fast\r\n" {
			t.Errorf("%q", got)
		}
		r.quick(t, "127.0.4.1")
		r.waitLog(t, "dropping connection, unable to understand MAXCONNIP: one\n")
		r.hold(t, "127.0.0.5")
		c = r.hold(t, "127.0.0.5")
		r.hold(t, "127.0.0.6")
		if got := r.quick(t, "127.0.0.5"); got != "421 two at most\r\n" {
			t.Errorf("%q", got)
		}
		r.waitLog(t, "deny P 0:127.0.0.1:PORT :127.0.0.5::N\ntcpserver: end P status 25600\n")
		c.Close()
		r.again(t, "127.0.0.5", "")
	}
}

var summaryParts = regexp.MustCompile(`port=\d+`)

func TestSummaryAndStatus(t *testing.T) {
	for _, options := range []string{"-1RHl0", "-i1RHl0"} {
		r := command(t, "127.0.0.2:deny\n127.0.0.0/28:allow,TCPREMOTEINFO=\"joe\"\n127.0.0.77:allow,MAXCONNIP=\"0\"\n", nil,
			options, "-LS", "status", "-x", "rules.cdb", "127.0.0.1", "0", "sh", "-c", "exit 3").start(t)
		for _, from := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.33", "127.0.0.77"} {
			r.ask(t, from)
			r.waitLog(t, " ip="+from+" port=")
		}
		for _, want := range []string{
			" deny ip=127.0.0.2 port=N local=127.0.0.1:PORT rule=127.0.0.2 status=25600 seconds=",
			" ok ip=127.0.0.3 port=N local=127.0.0.1:PORT rule=127.0.0.0/28 status=768 seconds=",
			" ok ip=127.0.0.33 port=N local=127.0.0.1:PORT rule=none status=768 seconds=",
			" deny ip=127.0.0.77 port=N local=127.0.0.1:PORT rule=127.0.0.77 limit=MAXCONNIP status=25600 seconds=",
		} {
			if got := summaryParts.ReplaceAllString(r.said(), "port=N"); !strings.Contains(got, want) {
				t.Errorf("the log lacks %q:\n%s", want, got)
			}
		}
		if n := strings.Count(r.said(), "\n"); n != 4 {
			t.Errorf("%d lines:\n%s", n, r.said())
		}
		text := r.status(t)
		for _, want := range []string{
			"# tcpserver: status: 0/40\n", "\ntcpserver_connections 0\n", "\ntcpserver_accepted_total 4\n",
			"\ntcpserver_served_total 2\n", "\ntcpserver_denied_total 1\n", "\ntcpserver_refused_total{limit=\"MAXCONNIP\"} 1\n",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("the status lacks %q:\n%s", want, text)
			}
		}
	}
}

// status reads the status socket.
func (r *running) status(t *testing.T) string {
	t.Helper()
	c, err := net.Dial("unix", r.dir+"/status")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestNetworks(t *testing.T) {
	for list, want := range map[string]string{
		"192.0.2.7":                           "[192.0.2.7/32]",
		"10.0.0.0/8,2001:db8::/32,2001:db8::": "[10.0.0.0/8 2001:db8::/32 2001:db8::/128]",
		"::ffff:192.0.2.7":                    "[192.0.2.7/32]",
	} {
		if got, err := networks(list); fmt.Sprint(got) != want || err != nil {
			t.Errorf("%q: %v, %v", list, got, err)
		}
	}
	for _, list := range []string{"", "192.0.2.7,", "10.0.0.0/33", "proxy.example", "::ffff:10.0.0.0/104"} {
		if got, err := networks(list); err == nil {
			t.Errorf("%q: %v", list, got)
		}
	}
}

func TestProxy(t *testing.T) {
	for _, options := range []string{"-RHl0", "-iRHl0"} {
		r := serve(t, "192.0.2.7:allow,R=\"client\"\n127.0.0.9:allow,R=\"proxy\"\n:allow\n", options, "-y", "127.0.0.9,10.0.0.0/8,2001:db8::/32",
			"-x", "rules.cdb", "127.0.0.1", "0", "sh", "-c", "env; cat")
		for _, tt := range []struct{ from, send, env, rest string }{
			{"127.0.0.9", "PROXY TCP4 192.0.2.7 192.0.2.1 4000 25\r\nhello", "R=client TCPLOCALHOST=0 TCPLOCALIP=192.0.2.1 TCPLOCALPORT TCPREMOTEIP=192.0.2.7 TCPREMOTEPORT", "hello"},
			{"127.0.0.9", "PROXY UNKNOWN\r\nhello", "R=proxy TCPLOCALHOST=0 TCPLOCALIP=127.0.0.1 TCPLOCALPORT TCPREMOTEIP=127.0.0.9 TCPREMOTEPORT", "hello"},
			{"127.0.0.9", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\x0f\xa0\x00\x19hello", "R=client TCPLOCALHOST=0 TCPLOCALIP=192.0.2.1 TCPLOCALPORT TCPREMOTEIP=192.0.2.7 TCPREMOTEPORT", "hello"},
			{"127.0.0.8", "PROXY UNKNOWN\r\nhello", "TCPLOCALHOST=0 TCPLOCALIP=127.0.0.1 TCPLOCALPORT TCPREMOTEIP=127.0.0.8 TCPREMOTEPORT", "PROXY UNKNOWN\r\nhello"},
			{"127.0.0.9", "PROXY what\r\nhello", "", ""},
			{"127.0.0.9", "PROXY UNK", "", ""},
			{"127.0.0.9", "PROXY TCP4 x", "", ""},
			{"127.0.0.9", "EHLO x.example\r\n", "", ""},
		} {
			c := r.dial(t, tt.from, "127.0.0.1")
			io.WriteString(c, tt.send)
			c.(*net.TCPConn).CloseWrite()
			b, _ := io.ReadAll(c)
			if env := environment(string(b), "R"); env != tt.env || !strings.HasSuffix(string(b), tt.rest) || tt.env == "" && len(b) != 0 {
				t.Errorf("%q:\n got %s\nwant %s\n%q", tt.send, env, tt.env, b)
			}
		}
		r.waitLog(t, "ok P 0:192.0.2.1:25 :192.0.2.7::N\n")
		r.waitLog(t, "dropping connection, unable to read PROXY header: no PROXY header\n")
		r.waitLog(t, "dropping connection, unable to read PROXY header: bad PROXY header\n")
		r.waitLog(t, "dropping connection, unable to read PROXY header: unexpected end of file\n")
	}
}
