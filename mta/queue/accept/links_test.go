package accept

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// linked is what the setuid program consists of. Something new here is code
// that runs with qmailq's rights in an environment chosen by anybody: read it
// before adding it. (limit and gobinary come with host for programs that become
// another one; this one never does.)
const linked = `
bufio bytes cmp context encoding/binary errors fmt io io/fs iter maps math math/bits os os/signal path reflect
runtime runtime/debug slices sort strconv strings sync sync/atomic syscall time unicode unicode/utf8 unsafe
golang.org/x/sys/unix
paperpath/internal/date822 paperpath/internal/decimal paperpath/internal/fsys paperpath/internal/gobinary paperpath/internal/limit paperpath/internal/line
paperpath/internal/proc paperpath/internal/proc/host paperpath/internal/strerr paperpath/internal/sys paperpath/internal/zone
paperpath/mta/control paperpath/mta/layout paperpath/mta/queue/accept paperpath/mta/queue/answer paperpath/mta/queue/resident paperpath/mta/queue/store
paperpath/cmd/qmail-queue
`

func TestLinkedPackages(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "paperpath/cmd/qmail-queue")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	allowed := strings.Fields(linked)
	for _, p := range strings.Fields(string(out)) {
		// The standard library's own internals change from release to release.
		internal := strings.HasPrefix(p, "internal/") || strings.Contains(p, "/internal/") && !strings.HasPrefix(p, "paperpath/")
		if !internal && !slices.Contains(allowed, p) {
			t.Errorf("the setuid program links %s", p)
		}
	}
}
