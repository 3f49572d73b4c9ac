package send

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSchedule(t *testing.T) {
	// The table of qmail-send's manual: after 0, 400, 1600, 3600 … seconds for
	// remote recipients, 0, 100, 400, 900 … for local ones.
	for c, step := range map[channel]int64{local: 10, remote: 20} {
		due := int64(1000)
		for n := range int64(50) {
			if want := 1000 + n*n*step*step; due != want {
				t.Fatalf("%v attempt %d at %d, want %d", c, n, due, want)
			}
			due = nextRetry(1000, due, c)
		}
	}
	// A late attempt puts the next ones off.
	if got := nextRetry(0, 450, remote); got != 41*41 {
		t.Errorf("after an attempt at 450: %d, want %d", got, 41*41)
	}
	// A birth in the future is a wrong clock's and holds nothing up.
	if got := nextRetry(1<<40, 5000, local); got != 5100 {
		t.Errorf("birth in the future: %d", got)
	}
}

func TestSquareRoot(t *testing.T) {
	for _, x := range []int64{0, 1, 2, 3, 4, 99, 100, 101, 1<<31 - 1, 1 << 32, 1<<52 + 1, 1 << 61} {
		if r := squareRoot(x); r*r > x || (r+1)*(r+1) <= x {
			t.Errorf("root of %d: %d", x, r)
		}
	}
}

func TestHeapGivesTheFirstDueFirst(t *testing.T) {
	var h dueHeap
	rng := rand.New(rand.NewPCG(1, 2))
	var want []int64
	for range 1000 {
		due := rng.Int64N(500)
		h.push(entry{due: due})
		want = append(want, due)
	}
	slices.Sort(want)
	if _, ok := h.popDue(want[0] - 1); ok {
		t.Error("not yet due and taken")
	}
	for _, due := range want {
		if e, ok := h.popDue(due); !ok || e.due != due {
			t.Fatalf("got %v, want %d", e, due)
		}
	}
	if _, ok := h.first(); ok {
		t.Error("something is left")
	}
}

func TestLastTry(t *testing.T) {
	s := &scheduler{now: 1_000_000}
	s.settings.lifetime = 604800
	for _, c := range []struct {
		age, late int64
		last      bool
		why       string
	}{
		{604800, 0, false, "exactly as old as it may be"},
		{604801, 0, true, "too old"},
		{604801, 86399, true, "too old and late"},
		{900_000, 86400, false, "the first attempt in a day: perhaps the clock is wrong"},
		{-5, 0, false, "born in the future"},
	} {
		if got := s.isLastTry(s.now-c.age, s.now-c.late); got != c.last {
			t.Errorf("%s: %v", c.why, got)
		}
	}
}
