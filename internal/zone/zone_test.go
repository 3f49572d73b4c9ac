package zone

import (
	"testing"
	"time"

	"paperpath/internal/proc"
)

func TestOf(t *testing.T) {
	winter, summer := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), time.Date(2026, 7, 15, 12, 0, 0, 0, time.UTC)
	for tz, want := range map[string][2]int{ // hours east of Greenwich
		"":                            {0, 0},
		"UTC":                         {0, 0},
		"CET-1CEST,M3.5.0,M10.5.0/3":  {1, 2},
		":CET-1CEST,M3.5.0,M10.5.0/3": {1, 2},
		"<-03>3":                      {-3, -3},
		"no such zone":                {0, 0},
		"/nonexistent":                {0, 0},
		"/etc/passwd":                 {0, 0},
	} {
		z := Of(proc.Vars{"TZ=" + tz})
		for i, when := range []time.Time{winter, summer} {
			if _, offset := when.In(z).Zone(); offset != want[i]*3600 {
				t.Errorf("TZ=%s: %d seconds in month %d, want %d hours", tz, offset, when.Month(), want[i])
			}
		}
	}
	if Of(nil) == nil {
		t.Error("no zone without TZ")
	}
}
