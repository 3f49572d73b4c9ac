package maildir

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// delivered counts the names that this process has made: one process may
// deliver many messages within a microsecond.
var delivered atomic.Uint64

// newName returns a name that no other delivery on any host has: the form that
// the Maildir authors recommend since one process per delivery is no longer
// the rule. It begins with the time, as C qmail's TIME.PID.HOST does, because
// readers sort by it.
func newName(now time.Time) string {
	b := make([]byte, 0, 96)
	b = strconv.AppendInt(b, now.Unix(), 10)
	b = append(b, ".M"...)
	b = strconv.AppendInt(b, int64(now.Nanosecond()/1000), 10)
	b = append(b, 'P')
	b = strconv.AppendInt(b, int64(os.Getpid()), 10)
	b = append(b, 'Q')
	b = strconv.AppendUint(b, delivered.Add(1), 10)
	b = append(b, '.')
	return string(append(b, hostname()...))
}

// maxHost is how much of the host's name C qmail uses.
const maxHost = 64

// hostname returns the host's name, fit for a file name: a slash would end it
// and a colon begins a reader's flags.
var hostname = sync.OnceValue(func() string {
	name, _ := os.Hostname() // without one, pid and time still tell names apart
	name = strings.NewReplacer("/", `\057`, ":", `\072`).Replace(name)
	return name[:min(len(name), maxHost)]
})
