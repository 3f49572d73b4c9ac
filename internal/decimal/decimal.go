// Package decimal reads numbers as djb's programs do: as many decimal digits as
// there are in front, and whatever follows is somebody else's business.
//
//	"100"  → 100, 3 digits
//	"26+4" → 26, 2 digits
//	"x"    → 0, no digit
package decimal

import (
	"math"
	"time"
)

// Prefix returns the number that s begins with and how many digits it has; no
// digit is 0 (scan_ulong.c). A number that does not fit is math.MaxUint64: a
// limit that is too large to write stays large, where C's wraps around.
func Prefix(s string) (n uint64, digits int) {
	for digits < len(s) && '0' <= s[digits] && s[digits] <= '9' {
		c := uint64(s[digits] - '0')
		if n > (math.MaxUint64-c)/10 {
			n = math.MaxUint64
		} else {
			n = n*10 + c
		}
		digits++
	}
	return n, digits
}

// Int is Prefix for numbers that become an int: math.MaxInt at most.
func Int(s string) (n, digits int) {
	u, digits := Prefix(s)
	return int(min(u, math.MaxInt)), digits
}

// Seconds is Prefix for numbers that become a time: maxSeconds at most.
func Seconds(s string) (d time.Duration, digits int) {
	n, digits := Prefix(s)
	return time.Duration(min(n, maxSeconds)) * time.Second, digits
}

// maxSeconds keeps a time within what a time.Duration holds, also when it is added
// to another.
const maxSeconds = 1 << 32
