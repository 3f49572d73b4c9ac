// Package zone finds the time zone that a user of the C library would have.
package zone

import (
	"io"
	"os"
	"strings"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
)

// Of returns the time zone that $TZ names, the system's without one, as
// tzset(3) does: a file of the zone database or, failing that, a rule like
// "CET-1CEST,M3.5.0,M10.5.0/3"; what is neither is UTC.
func Of(vars proc.Vars) *time.Location {
	name, ok := vars.Get("TZ")
	name = strings.TrimPrefix(name, ":")
	switch {
	case !ok:
		name = "/etc/localtime"
	case name == "":
		return time.UTC
	}
	if strings.HasPrefix(name, "/") {
		data, err := read(name)
		if err != nil {
			return time.UTC
		}
		if loc, err := time.LoadLocationFromTZData(name, data); err == nil {
			return loc
		}
		return time.UTC
	}
	if loc, err := time.LoadLocation(name); err == nil {
		return loc
	}
	if loc, err := time.LoadLocationFromTZData(name, ruleData(name)); err == nil {
		return loc
	}
	return time.UTC
}

// maxFile is many times the size of any zone's file; $TZ may name another one.
const maxFile = 1 << 20

// read reads a file without the runtime's poller, for which a process may lack the
// descriptors.
func read(name string) ([]byte, error) {
	f, err := sys.Open(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// ruleData returns a zone file (RFC 8536) of version 2 with one transition, at
// the beginning of time, so that the rule in its footer governs everything.
func ruleData(rule string) []byte {
	const (
		zeros  = "\x00\x00\x00\x00"
		one    = "\x00\x00\x00\x01"
		counts = zeros + zeros + zeros + one + one + "\x00\x00\x00\x04" // isut, isstd, leap, transitions, types, letters
		unused = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
		began  = "\xf0\x00\x00\x00" // and four more bytes in version 2
		utc    = "\x00" + zeros + "\x00\x00" + "UTC\x00"
	)
	return []byte("TZif2" + unused + counts + began + utc +
		"TZif2" + unused + counts + began + zeros + utc +
		"\n" + rule + "\n")
}
