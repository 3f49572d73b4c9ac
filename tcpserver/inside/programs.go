package inside

import (
	"path"

	"paperpath/internal/proc"
	"paperpath/mta/queue"
	"paperpath/mta/smtpd"
	"paperpath/rblsmtpd"
	"paperpath/tcpserver/filter"
)

// Files returns how many descriptors the programs that argv names may take beside
// the connection's, if they run inside: the pipes around a filter's program. A
// word that only looks like a filter's name does no harm.
func Files(argv []string) (n uint64) {
	for _, word := range argv {
		switch path.Base(word) {
		case "recordio", "fixcrio":
			n += filter.InsideFiles
		}
	}
	return n
}

// Programs returns the programs that PROGRAMS marks for this, by the import
// paths of their main packages, and what they share among connections.
func Programs() map[string]*proc.Program {
	pool := queue.NewPool()
	return map[string]*proc.Program{
		"paperpath/cmd/qmail-smtpd": smtpd.Inside(pool),
		"paperpath/cmd/rblsmtpd":    &rblsmtpd.Rblsmtpd,
		"paperpath/cmd/recordio":    &filter.RecordioInside,
		"paperpath/cmd/fixcrio":     &filter.FixcrioInside,
	}
}
