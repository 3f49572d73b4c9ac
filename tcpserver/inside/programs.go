package inside

import (
	"paperpath/internal/proc"
	"paperpath/mta/queue"
	"paperpath/mta/smtpd"
	"paperpath/rblsmtpd"
	"paperpath/tcpserver/filter"
)

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
