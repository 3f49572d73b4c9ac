package stamp

import (
	"bytes"
	"context"
	"strconv"

	"paperpath/internal/proc"
	"paperpath/internal/zone"
)

// Tailocal turns the number that each line begins with into local time. A line
// that begins with none is taken to begin with 0, as ever.
var Tailocal = proc.Program{Name: "tailocal", Run: tailocal}

func tailocal(_ context.Context, env *proc.Env) error {
	c := seconds{calendar: calendar{zone: zone.Of(env.Vars)}}
	// Digits that the input ends in are dropped: the original, too, waits for
	// what follows a number before it prints it.
	return endOfInput(filter(env, c.convert))
}

// seconds converts a stream: it is in a line's number or behind it.
type seconds struct {
	calendar calendar
	inText   bool
	number   int64
	digits   []byte // as they were read, for a number that is no time
}

// maxDigits bounds the memory for one number; what follows is text.
const maxDigits = 1000

func (c *seconds) convert(dst, src []byte) []byte {
	for len(src) > 0 {
		if !c.inText {
			if digit := src[0] - '0'; digit < 10 && len(c.digits) < maxDigits {
				c.number = c.number*10 + int64(digit)
				c.digits = append(c.digits, src[0])
				src = src[1:]
				continue
			}
			dst = c.flush(dst)
		}
		end := bytes.IndexByte(src, '\n') + 1
		c.inText = end == 0
		if c.inText {
			end = len(src)
		}
		dst = append(dst, src[:end]...)
		src = src[end:]
	}
	return dst
}

// flush appends the time that the number is.
func (c *seconds) flush(dst []byte) []byte {
	n := len(dst)
	dst, ok := c.calendar.append(dst, c.number)
	// More digits than these overflow: no time of anybody's.
	if len(bytes.TrimLeft(c.digits, "0")) > len(strconv.Itoa(1<<62)) || !ok {
		dst = append(dst[:n], c.digits...)
	}
	c.number, c.digits = 0, c.digits[:0]
	return dst
}
