package script

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"paperpath/test/nameserver"
)

// dnsForC finds an address whose port 53 is free: the C programs ask nowhere
// else, and only root may answer there.
func dnsForC() (address string, ok bool) {
	for i := range 50 {
		// Tests of other programs that run at the same time want one, too.
		address := fmt.Sprintf("127.53.%d.%d:53", os.Getpid()%250, i+1)
		pc, err := net.ListenPacket("udp", address)
		if err != nil {
			continue
		}
		pc.Close()
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		l.Close()
		return address, true
	}
	return "", false
}

// serveDNS is the command "dns ZONE": a name server with the zone in the file
// ZONE (see package nameserver) answers until the script ends, and $DNSCACHEIP
// says where. What it is asked goes to the end of the file dns.log, a line a
// question.
func serveDNS(c bool) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 1 {
			ts.Fatalf("usage: dns ZONE")
		}
		address := "127.0.0.1:0"
		if c {
			var ok bool
			if address, ok = dnsForC(); !ok {
				ts.Fatalf("no port 53 for the C programs: begin with [!dns] skip")
			}
		}
		log, err := os.OpenFile(ts.MkAbs("dns.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
		ts.Check(err)
		s, err := nameserver.Start(address, ts.ReadFile(args[0]), log)
		ts.Check(err)
		ts.Defer(func() { s.Close(); log.Close() })
		ts.Setenv("DNSCACHEIP", s.Addr)
		if c {
			ts.Setenv("DNSCACHEIP", netip.MustParseAddrPort(s.Addr).Addr().String())
		}
	}
}

// condition knows "dns": whether the command dns can work.
func condition(c bool) func(string) (bool, error) {
	return func(cond string) (bool, error) {
		if cond != "dns" {
			return false, fmt.Errorf("unknown condition %s", strings.TrimSpace(cond))
		}
		if !c {
			return true, nil
		}
		_, ok := dnsForC()
		return ok, nil
	}
}
