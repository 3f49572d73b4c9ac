package received

import (
	"testing"
	"time"

	"paperpath/internal/proc"
)

func TestAppend(t *testing.T) {
	when := time.Date(1995, 9, 26, 6, 46, 54, 0, time.FixedZone("", 2*3600))
	for _, tt := range []struct {
		name string
		vars proc.Vars
		helo string
		want string
	}{
		{"the example of received.c",
			proc.Vars{"TCPREMOTEHOST=relay1.uu.net", "TCPREMOTEINFO=7", "TCPREMOTEIP=192.48.96.5", "TCPLOCALHOST=silverton.berkeley.edu"},
			"uunet.uu.net",
			"Received: from relay1.uu.net (HELO uunet.uu.net) (7@192.48.96.5)\n" +
				"  by silverton.berkeley.edu with SMTP; 26 Sep 1995 04:46:54 -0000\n"},
		{"nothing known", nil, "",
			"Received: from unknown (unknown)\n  by unknown with SMTP; 26 Sep 1995 04:46:54 -0000\n"},
		{"the local address stands in for its name, empty info is shown",
			proc.Vars{"TCPLOCALIP=10.0.0.1", "TCPREMOTEIP=::1", "TCPREMOTEINFO="}, "[::1]",
			"Received: from unknown (HELO [::1]) (@::1)\n  by 10.0.0.1 with SMTP; 26 Sep 1995 04:46:54 -0000\n"},
		{"nobody ends the field or opens a comment",
			proc.Vars{"TCPREMOTEHOST=a b(c)\x00"}, "x\r\nSubject: y\xff_",
			"Received: from a?b?c?? (HELO x??Subject:?y??) (unknown)\n  by unknown with SMTP; 26 Sep 1995 04:46:54 -0000\n"},
	} {
		p := FromVars(tt.vars)
		p.Helo, p.HasHelo = tt.helo, tt.helo != ""
		if got := string(p.Append(nil, "SMTP", when)); got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}
