package stamp

import (
	"bytes"
	"context"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/internal/tai"
	"paperpath/internal/zone"
)

// Tai64nlocal is the program.
var Tai64nlocal = proc.Program{Name: "tai64nlocal", Run: tai64nlocal}

func tai64nlocal(_ context.Context, env *proc.Env) error {
	c := converter{calendar: calendar{zone: zone.Of(env.Vars)}}
	edit := c.convert
	if fd, ok := proc.Descriptor(env.Files[1]); ok && sys.IsTerminal(fd) {
		edit = func(dst, src []byte) []byte { return tame(c.convert(dst, src)) }
	}
	// A label that the input ends in is dropped: the original, too, waits for
	// what follows a label before it prints it.
	return silent(filter(env, edit))
}

// tame takes the control bytes out of lines for a terminal: what is in a log
// was often written by strangers.
func tame(text []byte) []byte {
	for i, b := range text {
		if b < ' ' && b != '\n' && b != '\t' || b == 127 {
			text[i] = '?'
		}
	}
	return text
}

// A converter is in one of three states within a line: at its beginning, in a
// label, after it.
type converter struct {
	state    state
	label    label
	calendar calendar
}

const (
	secondDigits = 16
	nanoDigits   = 8
)

type state int

const (
	lineStart state = iota
	inLabel
	inText
)

// A label is hexadecimal digits as they were read. The original takes any
// number of them: the last eight are nanoseconds, of those before the last
// sixteen are seconds.
type label struct {
	secs  uint64
	nanos uint64
	text  []byte // @ and the digits, for a label that is none
}

// maxLabel bounds the memory for the digits of one label. Nobody writes
// longer ones; what goes on after it is text.
const maxLabel = 1000

func (c *converter) convert(dst, src []byte) []byte {
	for len(src) > 0 {
		switch c.state {
		case lineStart:
			if src[0] == '@' {
				n := len(dst)
				if dst, src = c.whole(dst, src); len(dst) > n {
					c.state = inText
					continue
				}
				c.label = label{text: append(c.label.text[:0], '@')}
				c.state = inLabel
				src = src[1:]
			} else {
				c.state = inText
			}
		case inLabel:
			digit := hexDigits[src[0]]
			if digit == noDigit || len(c.label.text) == maxLabel {
				dst = c.flush(dst)
				c.state = inText
				continue
			}
			c.label.add(uint64(digit), src[0])
			src = src[1:]
		case inText:
			end := bytes.IndexByte(src, '\n') + 1
			if end == 0 {
				end = len(src)
			} else {
				c.state = lineStart
			}
			dst = append(dst, src[:end]...)
			src = src[end:]
		}
	}
	return dst
}

// whole is the short way for a label that is there to its end, has the usual
// length. It leaves everything else as it is.
func (c *converter) whole(dst, src []byte) (newDst, rest []byte) {
	const size = 1 + secondDigits + nanoDigits
	if len(src) <= size || hexDigits[src[size]] != noDigit {
		return dst, src
	}
	nanos := uint32(0)
	for _, b := range src[1+secondDigits : size] {
		digit := hexDigits[b]
		if digit == noDigit {
			return dst, src
		}
		nanos = nanos<<4 | uint32(digit)
	}
	if nanos > 999_999_999 {
		return dst, src
	}
	seconds := uint64(0)
	for _, b := range src[1 : 1+secondDigits] {
		digit := hexDigits[b]
		if digit == noDigit {
			return dst, src
		}
		seconds = seconds<<4 | uint64(digit)
	}
	n := len(dst)
	dst, ok := c.calendar.append(dst, int64(seconds-tai.Offset))
	if !ok {
		return dst[:n], src
	}
	dst = append(dst, '.')
	n = len(dst)
	dst = append(dst, "000000000"...)
	for i := n + 8; nanos > 0; i-- {
		dst[i] += byte(nanos % 10)
		nanos /= 10
	}
	return dst, src[size:]
}

// hexDigits are the values of the digits, which are in lower case only, as the
// labels are written.
var hexDigits = func() (values [256]byte) {
	for i := range values {
		values[i] = noDigit
	}
	for i, b := range []byte("0123456789abcdef") {
		values[b] = byte(i)
	}
	return values
}()

const noDigit = 16

func (l *label) add(digit uint64, b byte) {
	l.secs = l.secs<<4 + l.nanos>>28
	l.nanos = l.nanos&0xfffffff<<4 + digit
	l.text = append(l.text, b)
}

// flush appends the label that was being read, as local time. What is no time
// that a calendar knows stays as it is (the original crashed on it).
func (c *converter) flush(dst []byte) []byte {
	if c.state != inLabel {
		return dst
	}
	n := len(dst)
	dst, ok := c.calendar.append(dst, int64(c.label.secs-tai.Offset))
	if !ok {
		return append(dst[:n], c.label.text...)
	}
	return appendPadded(append(dst, '.'), c.label.nanos, 9)
}
