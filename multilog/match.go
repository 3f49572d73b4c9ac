package multilog

import "bytes"

// match reports whether pattern matches the whole of line. A non-star matches
// itself. A star in front of another character matches what does not include
// that character, so it ends at the first one: nothing is ever tried twice and
// the time is bounded by the lengths. A star at the end matches anything. In
// "**" the second star is both: it ends the first and is a star itself
// (match.c).
func match(pattern string, line []byte) bool {
	for i := 0; i < len(pattern); i++ {
		if pattern[i] == '*' {
			if i+1 == len(pattern) {
				return true
			}
			skip := bytes.IndexByte(line, pattern[i+1])
			if skip < 0 {
				return false
			}
			line = line[skip:]
			continue
		}
		if len(line) == 0 || line[0] != pattern[i] {
			return false
		}
		line = line[1:]
	}
	return len(line) == 0
}
