package remote

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"paperpath/internal/dnsq"
	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/test/nameserver"
)

// relays starts servers on 127.0.0.2, 127.0.0.3 and so on, all on one port, and
// a name server that has them for relay.test. An empty play is no server.
func relays(t *testing.T, plays []script) (servers []*server, port int, dns string) {
	t.Helper()
	var zone strings.Builder
	for range 50 {
		l, err := net.Listen("tcp4", "127.0.0.2:0")
		if err != nil {
			t.Skipf("no second loopback address: %v", err)
		}
		port = l.Addr().(*net.TCPAddr).Port
		free := []net.Listener{l}
		for i := 1; i < len(plays); i++ {
			if l, err = net.Listen("tcp4", fmt.Sprintf("127.0.0.%d:%d", i+2, port)); err != nil {
				break
			}
			free = append(free, l)
		}
		if err == nil {
			for i, l := range free {
				fmt.Fprintf(&zone, "relay.test. 60 IN A 127.0.0.%d\n", i+2)
				if plays[i] == "" {
					l.Close()
				}
				servers = append(servers, serveOn(t, l, plays[i]))
			}
			break
		}
		for _, l := range free {
			l.Close()
		}
	}
	if servers == nil {
		t.Skip("no port that is free on all addresses")
	}
	ns, err := nameserver.Start("127.0.0.1:0", zone.String(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ns.Close)
	return servers, port, ns.Addr
}

// A server that does not hear us out is not the last word, one that has heard
// of the message is.
func TestNextAddress(t *testing.T) {
	const taken = sent + "> 250 ok"
	accepted := func(n int) string {
		return fmt.Sprintf("r|K127.0.0.%d accepted message.\nRemote host said: 250 ok\n|", n)
	}
	const greeting2 = "ZConnected to 127.0.0.2 but greeting failed.\nRemote host said: "
	for _, c := range []struct {
		name  string
		plays []script
		want  string
		heard []bool // whether a server was called
	}{
		{"the first", []script{taken, taken}, accepted(2), []bool{true, false}},
		{"greets with 554", []script{"> 554 no", taken}, accepted(3), []bool{true, true}},
		{"greets with 421 and closes", []script{"> 421 no\nclose", taken}, accepted(3), []bool{true, true}},
		{"greets with words", []script{"> what", taken}, accepted(3), []bool{true, true}},
		{"closes", []script{"close", taken}, accepted(3), []bool{true, true}},
		{"refuses HELO", []script{greeted + "> 550 no", taken}, accepted(3), []bool{true, true}},
		{"refuses HELO for now", []script{greeted + "> 450 no", taken}, accepted(3), []bool{true, true}},
		{"closes at HELO", []script{greeted + "close", taken}, accepted(3), []bool{true, true}},
		{"some refuse, some are away", []script{"> 554 no", "", "close", "", taken}, accepted(6), []bool{true, false, true, false, true}},
		{"all refuse", []script{"> 554 two", "> 421 three", "close"}, greeting2 + "554 two\n|", []bool{true, true, true}},
		{"one refuses, nobody else is there", []script{"> 554 no", ""}, greeting2 + "554 no\n|", []bool{true, false}},
		{"five are enough", []script{"> 554 no", "> 554 no", "> 554 no", "> 554 no", "> 554 no", taken},
			greeting2 + "554 no\n|", []bool{true, true, true, true, true, false}},

		{"refuses the sender", []script{helloed + "> 450 no", taken}, "ZConnected to 127.0.0.2 but sender was rejected.\nRemote host said: 450 no\n|", []bool{true, false}},
		{"closes at MAIL", []script{helloed + "close", taken}, "ZConnected to 127.0.0.2 but connection died. (#4.4.2)\n|", []bool{true, false}},
		{"closes after the dot", []script{sent + "close", taken}, "r|ZConnected to 127.0.0.2 but connection died. Possible duplicate! (#4.4.2)\n|", []bool{true, false}},
		{"does not greet", []script{"hang", taken}, "ZConnected to 127.0.0.2 but connection died. (#4.4.2)\n|", []bool{true, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			servers, port, dns := relays(t, c.plays)
			files := map[string]string{"smtproutes": fmt.Sprintf(":relay.test:%d\n", port)}
			if c.plays[0] == "hang" {
				files["timeoutremote"] = "1\n"
			}
			r := proctest.Run(&QmailRemote, proctest.Case{
				Args: []string{"example.org", "me@client.test", "you@example.org"},
				In:   message,
				Vars: proc.Vars{"QMAILHOME=" + home(t, "127.0.0.1", 1, files), "DNSCACHEIP=" + dns},
			})
			if got := strings.ReplaceAll(r.Out, "\x00", "|"); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			for i, s := range servers {
				if s.called.Load() != c.heard[i] {
					t.Errorf("127.0.0.%d: called %v", i+2, !c.heard[i])
				}
			}
		})
	}
}

// A list of exchangers that fits into no datagram is read whole, and so is one
// that fits into a large one only: the best is the last of it.
func TestLargeAnswers(t *testing.T) {
	for _, hosts := range []int{15, 40, 900} {
		var zone strings.Builder
		for i := range hosts {
			fmt.Fprintf(&zone, "example.org. 60 IN MX %d mx%d.a-long-name.example.org.\n", 100+hosts-i, i)
		}
		last := fmt.Sprintf("mx%d.a-long-name.example.org", hosts-1)
		fmt.Fprintf(&zone, "%s. 60 IN A 192.0.2.1\n*.a-long-name.example.org. 60 IN A 192.0.2.2\n", last)
		ns, err := nameserver.Start("127.0.0.1:0", zone.String(), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		own := func() ([]netip.Addr, error) { return nil, nil }
		list, err := destination(context.Background(), dnsq.New(proc.Vars{"DNSCACHEIP=" + ns.Addr}), own, routes{}, "example.org")
		ns.Close()
		if want := min(hosts, maxHosts); err != nil || len(list) != want || list[0].addr.String() != "192.0.2.1:25" || list[1].addr.String() != "192.0.2.2:25" {
			t.Errorf("%d exchangers: %v, %v", hosts, list, err)
		}
	}
}
