package date822

import (
	"net/mail"
	"testing"
	"time"
)

func TestAppend(t *testing.T) {
	for seconds, want := range map[int64]string{
		0:            "1 Jan 1970 00:00:00 -0000",
		-1:           "31 Dec 1969 23:59:59 -0000",
		951782399:    "28 Feb 2000 23:59:59 -0000",
		951782400:    "29 Feb 2000 00:00:00 -0000",
		1<<31 - 1:    "19 Jan 2038 03:14:07 -0000",
		1 << 31:      "19 Jan 2038 03:14:08 -0000",
		4107542399:   "28 Feb 2100 23:59:59 -0000",
		4107542400:   "1 Mar 2100 00:00:00 -0000",
		812090813:    "26 Sep 1995 04:46:53 -0000",
		1795252023:   "21 Nov 2026 09:07:03 -0000",
		253402300799: "31 Dec 9999 23:59:59 -0000",
	} {
		// Wherever the clock was read.
		for _, zone := range []*time.Location{time.UTC, time.FixedZone("", 5*3600), time.FixedZone("", -11*3600)} {
			at := time.Unix(seconds, 999999999).In(zone)
			if got := string(Append([]byte("Date: "), at)); got != "Date: "+want {
				t.Errorf("%d: %q, want %q", seconds, got, want)
			}
			back, err := mail.ParseDate(String(at))
			if err != nil || back.Unix() != seconds {
				t.Errorf("%d reads as %v, %v", seconds, back, err)
			}
		}
	}
}

func TestAppendIn(t *testing.T) {
	at := time.Unix(1795252023, 0)
	for want, zone := range map[string]*time.Location{
		"21 Nov 2026 09:07:03 -0000": nil,
		"21 Nov 2026 09:07:03 +0000": time.UTC,
		"21 Nov 2026 14:37:03 +0530": time.FixedZone("", 5*3600+1800),
		"20 Nov 2026 22:07:03 -1100": time.FixedZone("", -11*3600),
	} {
		if got := string(AppendIn(nil, at, zone)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
