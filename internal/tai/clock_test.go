package tai

import (
	"testing"
	"time"
)

// Every label is that of its time, and later than the one before, also where
// digits carry and a second ends.
func TestClockTicks(t *testing.T) {
	for _, begin := range []time.Time{
		time.Unix(1_700_000_000, 0),
		time.Unix(1_700_000_000, 0x0fffff0),
		time.Unix(1_700_000_000, 999_999_900),
	} {
		var c Clock
		c.read(begin)
		for i := range 500 {
			want := string(Append(nil, begin.Add(time.Duration(i)))) + " "
			if got := string(c.Label[:]); got != want {
				t.Fatalf("label %d is %q, want %q", i, got, want)
			}
			c.Tick()
		}
	}
}

func TestClockReads(t *testing.T) {
	now := time.Unix(1_700_000_000, 500_000_000)
	for _, c := range []struct {
		name string
		next time.Time // what the clock says after ten lines
		want time.Time
	}{
		{"goes on", now.Add(time.Second), now.Add(time.Second)},
		{"stands still", now, now.Add(11)},
		{"is behind the lines", now.Add(3), now.Add(11)},
		{"was set back", now.Add(-time.Hour), now.Add(-time.Hour)},
	} {
		var clock Clock
		clock.read(now)
		for range 10 {
			clock.Tick()
		}
		clock.read(c.next)
		if got, want := string(clock.Label[:]), string(Append(nil, c.want))+" "; got != want {
			t.Errorf("a clock that %s: %q, want %q", c.name, got, want)
		}
	}
	var clock Clock
	clock.Read()
	if got, ok := parse(clock.Label); !ok || time.Since(got) > time.Minute || time.Since(got) < -time.Minute {
		t.Errorf("now is %v", got)
	}
}

func parse(label [LabelLen + 1]byte) (time.Time, bool) {
	var p [12]byte
	for i := range p {
		for _, digit := range label[1+2*i:][:2] {
			p[i] <<= 4
			if digit <= '9' {
				p[i] |= digit - '0'
			} else {
				p[i] |= digit - 'a' + 10
			}
		}
	}
	return Unpack(p[:])
}
