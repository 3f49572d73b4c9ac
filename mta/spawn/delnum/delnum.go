// Package delnum is how qmail-send and the spawners number the deliveries that
// are under way. In qmail 1.03 a number is one byte, so there are at most 255
// of them; the big-concurrency patch has compiled both sides for two bytes, low
// one first, for 65 000 or so.
//
//	the spawner's first words    its programs
//	255                          one byte; if it is ours it can do with two
//	1 … 254                      one byte
//	two bytes at once, N         two bytes; patched, N deliveries
//
// A qmail-send of ours asks who said 255 whether it can do with two, by a
// command that every other spawner refuses, since it has no delivery 255:
//
//	255 "wide" \0 \0 \0        →   255 "w" N \0                            N in decimal
//	                           →   255 "ZInternal error: delnum …" \0      it cannot
//
// After the first answer every number, in commands and reports, has two bytes.
package delnum

import (
	"errors"
	"strconv"
	"strings"

	"paperpath/mta/layout"
)

const (
	// MaxNarrow is the most that numbers of one byte count, and no number itself.
	MaxNarrow = 255
	// MaxWide is the most that anybody asks of numbers of two.
	MaxWide = layout.Spawn

	// Ask is the file of a command that asks; sender and recipient are empty.
	Ask = "wide"
	// Question is that command.
	Question = "\xff" + Ask + "\x00\x00\x00"
)

// Width is how many bytes a number has.
type Width int

const (
	Narrow Width = 1
	Wide   Width = 2
)

// Append appends number n.
func (w Width) Append(dst []byte, n int) []byte {
	dst = append(dst, byte(n))
	if w == Wide {
		dst = append(dst, byte(n>>8))
	}
	return dst
}

// Number returns the number that b begins with; b has w bytes or more.
func (w Width) Number(b []byte) int {
	n := int(b[0])
	if w == Wide {
		n |= int(b[1]) << 8
	}
	return n
}

// Answer is the report that says yes.
func Answer(limit int) string { return "w" + strconv.Itoa(limit) }

// ErrAnswer means that a spawner has numbers of two bytes from here on, and
// how many deliveries is not to be understood.
var ErrAnswer = errors.New("spawner does not say how many deliveries it can do")

// ParseAnswer reads a report on Question; wide is false if it does not say yes.
func ParseAnswer(report string) (limit int, wide bool, err error) {
	digits, wide := strings.CutPrefix(report, "w")
	if !wide {
		return 0, false, nil
	}
	limit, err = strconv.Atoi(digits)
	if err != nil || limit < MaxNarrow || limit > MaxWide || Answer(limit) != report {
		return 0, true, ErrAnswer
	}
	return limit, true, nil
}
