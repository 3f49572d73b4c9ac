package stamp

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"time"

	"paperpath/internal/proc"
)

// Accustamp puts Unix seconds with six decimals before each line: what the
// analog programs of qmail read. As in the original a read error is the end of
// the input.
var Accustamp = proc.Program{Name: "accustamp", Run: accustamp}

func accustamp(_ context.Context, env *proc.Env) error {
	inLine := false
	var stamp []byte
	return endOfInput(filter(env, func(dst, src []byte) []byte {
		stamp = appendDecimal(stamp[:0], time.Now())
		for len(src) > 0 {
			if !inLine {
				dst = append(dst, stamp...)
			}
			end := bytes.IndexByte(src, '\n') + 1
			if inLine = end == 0; inLine {
				end = len(src)
			}
			dst = append(dst, src[:end]...)
			src = src[end:]
		}
		return dst
	}))
}

// appendDecimal appends "935467423.787492 ".
func appendDecimal(dst []byte, t time.Time) []byte {
	dst = strconv.AppendInt(dst, t.Unix(), 10)
	dst = appendPadded(append(dst, '.'), uint64(t.Nanosecond()/1000), 6)
	return append(dst, ' ')
}

// endOfInput forgives a failed read, and nothing else.
func endOfInput(err error) error {
	var exit proc.Exit
	if errors.As(err, &exit) {
		return err
	}
	return nil
}
