package stamp

import (
	"bytes"
	"context"
	"math"
	"strconv"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/internal/tai"
)

// Tai64nlocal is the program.
var Tai64nlocal = proc.Program{Name: "tai64nlocal", Run: tai64nlocal}

func tai64nlocal(_ context.Context, env *proc.Env) error {
	c := converter{zone: zone(env.Vars)}
	edit := c.convert
	if fd, ok := proc.Descriptor(env.Files[1]); ok && sys.IsTerminal(fd) {
		edit = func(dst, src []byte) []byte { return tame(c.convert(dst, src)) }
	}
	if err := filter(env, edit); err != nil {
		return err
	}
	// A label that the input ends in is still held back.
	if _, err := env.Files[1].Write(c.flush(nil)); err != nil {
		return proc.Exit(proc.StatusTemporary)
	}
	return nil
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
	zone  *time.Location
	state state
	label label

	// Lines of one second share their first 19 bytes.
	second int64
	prefix []byte
}

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
				c.label = label{text: append(c.label.text[:0], '@')}
				c.state = inLabel
				src = src[1:]
			} else {
				c.state = inText
			}
		case inLabel:
			digit, ok := hexDigit(src[0])
			if !ok || len(c.label.text) == maxLabel {
				dst = c.flush(dst)
				c.state = inText
				continue
			}
			c.label.add(digit, src[0])
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

// hexDigit knows lower case only, as the labels are written.
func hexDigit(b byte) (uint64, bool) {
	switch {
	case '0' <= b && b <= '9':
		return uint64(b - '0'), true
	case 'a' <= b && b <= 'f':
		return uint64(b-'a') + 10, true
	}
	return 0, false
}

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
	secs := int64(c.label.secs - tai.Offset)
	if len(c.prefix) == 0 || secs != c.second {
		prefix, ok := appendSecond(c.prefix[:0], secs, c.zone)
		if !ok {
			return append(dst, c.label.text...)
		}
		c.prefix, c.second = prefix, secs
	}
	dst = append(dst, c.prefix...)
	dst = append(dst, '.')
	return appendPadded(dst, c.label.nanos, 9)
}

// yearSeconds is a year's length to within what is needed here.
const yearSeconds = 365.2425 * 86400

// appendSecond appends "1999-08-23 21:03:43". A year must fit a C int, and
// negative ones look as strange as ever.
func appendSecond(dst []byte, secs int64, zone *time.Location) ([]byte, bool) {
	if math.Abs(float64(secs)) > (math.MaxInt32-1)*yearSeconds {
		return dst, false
	}
	t := time.Unix(secs, 0).In(zone)
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = strconv.AppendUint(dst, uint64(int64(year)), 10)
	dst = appendPadded(append(dst, '-'), uint64(month), 2)
	dst = appendPadded(append(dst, '-'), uint64(day), 2)
	dst = appendPadded(append(dst, ' '), uint64(hour), 2)
	dst = appendPadded(append(dst, ':'), uint64(minute), 2)
	return appendPadded(append(dst, ':'), uint64(second), 2), true
}

// appendPadded appends n with at least width digits.
func appendPadded(dst []byte, n uint64, width int) []byte {
	var digits [20]byte
	text := strconv.AppendUint(digits[:0], n, 10)
	for range width - len(text) {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}
