package send

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"paperpath/mta/spawn/delnum"
)

// said is a spawner's end of a pipe: each Read gets what one write wrote.
type said []string

func (s *said) Read(b []byte) (int, error) {
	if len(*s) == 0 {
		return 0, io.EOF
	}
	n := copy(b, (*s)[0])
	if (*s)[0] = (*s)[0][n:]; (*s)[0] == "" {
		*s = (*s)[1:]
	}
	return n, nil
}

func TestMeet(t *testing.T) {
	const refusal = "\xffZInternal error: delnum too big. (#4.3.5)\n\x00"
	for _, c := range []struct {
		says  said
		width delnum.Width
		limit int // 0: no spawner, below: one that is not understood
		asked bool
	}{
		{said{"\x78"}, delnum.Narrow, 120, false},
		{said{"\xff", refusal}, delnum.Narrow, 255, true},
		{said{"\xff", refusal[:9], refusal[9:]}, delnum.Narrow, 255, true},
		{said{"\xff", "\xffw65000\x00"}, delnum.Wide, 65000, true},
		{said{"\xff", "\x00K\x00"}, delnum.Narrow, 255, true}, // whatever that may be
		{said{"\xf4\x01"}, delnum.Wide, 500, false},
		{said{"\xff\x00"}, delnum.Wide, 255, false},
		{said{"\xff", "\xffw99999\x00"}, delnum.Wide, -1, true},
		{said{}, 0, 0, false},
		{said{"\xff"}, 0, 0, true},
		{said{"\xff", strings.Repeat("x", 20000)}, 0, 0, true},
	} {
		var to bytes.Buffer
		sp, err := meet(remote, &to, &c.says, 300)
		if asked := to.String() == delnum.Question; asked != c.asked || to.Len() > 0 && !asked {
			t.Errorf("%q: told %q", c.says, to.String())
		}
		if c.limit <= 0 {
			if want := map[int]error{0: errNoSpawner, -1: delnum.ErrAnswer}[c.limit]; err != want {
				t.Errorf("%q: %v", c.says, err)
			}
			continue
		}
		if err != nil || sp.width != c.width || sp.limit != c.limit || sp.concurrency != min(300, c.limit) {
			t.Errorf("%q: %v, %+v", c.says, err, sp)
		}
	}
}

// More deliveries at a time than one byte counts, with each kind of spawner
// that can.
func TestManyDeliveries(t *testing.T) {
	const many = 290
	for name, first := range map[string][]byte{"ours": ourSpawners, "patched": patchedSpawners} {
		h := openWith(t, emptyQueue(), controls{"me": "here.example\n", "concurrencylocal": "500\n", "concurrencyremote": "1\n"}, first)
		release := make(chan struct{})
		h.verdict = func(r string) string { <-release; return "Kfor " + r + "\n" }
		var list []string
		for n := range many {
			list = append(list, fmt.Sprintf("u%d@here.example", n))
		}
		h.send("x\n", "s@here.example", list...)
		h.awaitLog(fmt.Sprintf("status: local %d/300 remote 0/1\n", many))
		close(release)
		h.awaitEmpty()
		h.close()
		log := h.log.String()
		for n := range many {
			// Reports come under the numbers of their deliveries.
			if want := fmt.Sprintf("delivery %d: success: for_u%d@here.example/\n", n+1, n); !strings.Contains(log, want) {
				t.Fatalf("%s: no %q in\n%s", name, want, log)
			}
		}
	}
}
