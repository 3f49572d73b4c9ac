package decimal

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestPrefix(t *testing.T) {
	for _, c := range []struct {
		text   string
		n      uint64
		digits int
	}{
		{"", 0, 0},
		{"x", 0, 0},
		{"-1", 0, 0},
		{" 1", 0, 0},
		{"0", 0, 1},
		{"007", 7, 3},
		{"26+4", 26, 2},
		{"18446744073709551615", math.MaxUint64, 20},
		{"18446744073709551616", math.MaxUint64, 20},
		{"18446744073709551615x", math.MaxUint64, 20},
		{"99999999999999999999999", math.MaxUint64, 23},
		{strings.Repeat("0", 100) + "5", 5, 101},
	} {
		n, digits := Prefix(c.text)
		if n != c.n || digits != c.digits {
			t.Errorf("Prefix(%q) = %d, %d; want %d, %d", c.text, n, digits, c.n, c.digits)
		}
		i, digits := Int(c.text)
		if want := min(c.n, math.MaxInt); uint64(i) != want || digits != c.digits {
			t.Errorf("Int(%q) = %d, %d; want %d, %d", c.text, i, digits, want, c.digits)
		}
		d, digits := Seconds(c.text)
		if want := time.Duration(min(c.n, 1<<32)) * time.Second; d != want || digits != c.digits {
			t.Errorf("Seconds(%q) = %v, %d; want %v, %d", c.text, d, digits, want, c.digits)
		}
	}
}
