package sys

import (
	"testing"
	"time"
)

func TestPoll(t *testing.T) {
	a, toA, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b, toB, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(20 * time.Millisecond)
	if ready, err := Poll(until, a, b); ready[0] || ready[1] || err != nil || time.Now().Before(until) {
		t.Error(ready, err, time.Until(until))
	}
	toB.Write([]byte("x"))
	if ready, err := Poll(time.Time{}, a, b); ready[0] || !ready[1] || err != nil {
		t.Error(ready, err)
	}
	toA.Close() // an end is no reason to wait
	if ready, err := Poll(time.Time{}, a, b); !ready[0] || !ready[1] || err != nil {
		t.Error(ready, err)
	}
	if IsTerminal(int(a.Fd())) {
		t.Error("a pipe is a terminal")
	}
}

func TestMilliseconds(t *testing.T) {
	for _, c := range []struct {
		in        time.Duration
		least, to int
	}{
		{-time.Hour, 0, 0},
		{0, 0, 0},
		{time.Hour + time.Nanosecond, 3590_000, 3600_001},
		{1 << 62, 1 << 30, 1 << 30},
		{1<<63 - 1, 1 << 30, 1 << 30},
	} {
		if ms := Milliseconds(time.Now().Add(c.in)); ms < c.least || ms > c.to {
			t.Errorf("%v: %d ms", c.in, ms)
		}
	}
	if ms := Milliseconds(time.Time{}); ms != -1 {
		t.Errorf("for ever: %d ms", ms)
	}
	// Never 0 before the time has come.
	for range 1000 {
		until := time.Now().Add(300 * time.Microsecond)
		if ms := Milliseconds(until); ms == 0 && time.Now().Before(until) {
			t.Fatal("it would spin")
		}
	}
}
