package script

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"paperpath/test/nameserver"
)

// startForC starts a name server at a loopback address whose port 53 is free:
// the C programs ask nowhere else, and only root may answer there.
func startForC(zone string, log io.Writer) (s *nameserver.Server, err error) {
	for i := range 50 {
		// Other scripts, and other tests at the same time, want one, too.
		s, err = nameserver.Start(fmt.Sprintf("127.53.%d.%d:53", os.Getpid()%250, i+1), zone, log)
		if err == nil {
			return s, nil
		}
	}
	return nil, err
}

// serveDNS is the command "dns ZONE": a name server with the zone in the file
// ZONE (see package nameserver; ${IDENT} and ${IDENT_REVERSED} are those of the
// command ident) answers until the script ends, and $DNSCACHEIP says where. What
// it is asked goes to the end of the file dns.log, a line a question.
func serveDNS(c bool) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 1 {
			ts.Fatalf("usage: dns ZONE")
		}
		zone := strings.NewReplacer("${IDENT}", ts.Getenv("IDENT"), "${IDENT_REVERSED}", ts.Getenv("IDENT_REVERSED")).Replace(ts.ReadFile(args[0]))
		log, err := os.OpenFile(ts.MkAbs("dns.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
		ts.Check(err)
		ts.Defer(func() { log.Close() })
		var s *nameserver.Server
		if c {
			s, err = startForC(zone, log)
		} else {
			s, err = nameserver.Start("127.0.0.1:0", zone, log)
		}
		ts.Check(err)
		ts.Defer(s.Close)
		ts.Setenv("DNSCACHEIP", s.Addr)
		if c {
			ts.Setenv("DNSCACHEIP", netip.MustParseAddrPort(s.Addr).Addr().String())
		}
	}
}

// condition knows "dns" and "ident": whether the commands can work.
func condition(c bool) func(string) (bool, error) {
	return func(cond string) (bool, error) {
		switch cond {
		case "dns":
			if !c {
				return true, nil
			}
			s, err := startForC("", io.Discard)
			if err == nil {
				s.Close()
			}
			return err == nil, nil
		case "ident":
			l, _, err := listenIdent()
			if err == nil {
				l.Close()
			}
			return err == nil, nil
		}
		return false, errors.New("unknown condition " + cond)
	}
}
