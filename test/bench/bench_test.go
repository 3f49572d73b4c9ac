package main

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"paperpath/test/bin"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == holderName {
		if holder(os.Args[2:]) != nil {
			os.Exit(1)
		}
		return
	}
	bin.Main(m)
}

// little is the least of everything. What comes out is not looked at, but that
// something does, for every figure.
var little = sizes{
	services: 2, restarts: 1, again: 1, links: 1, settle: time.Millisecond, phase: time.Millisecond,
	logMB: 1, runs: 2,
	rules: 20, fewRules: 2, manyRules: 40, clients: 2, hammer: 10 * time.Millisecond,
	cats: 2, idle: []int{2, 5},
}

// Every case does with our programs what it should; no peers are needed.
func TestCases(t *testing.T) {
	own := bin.Dir(t)
	if err := adoptOrphans(); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases(&little) {
		t.Run(c.name, func(t *testing.T) {
			var mine []contender
			for _, k := range c.contenders {
				if k.kin == ours {
					mine = append(mine, k)
				}
			}
			c.contenders = mine
			b := &bench{ctx: t.Context(), own: own, work: t.TempDir(), rounds: 1, progress: io.Discard}
			if missing := b.missing(ours, mine[0].needs); missing != nil {
				t.Skip("not built yet:", missing)
			}
			r, err := b.hold(c)
			if err != nil {
				t.Fatal(err)
			}
			measured := map[string]bool{}
			for _, f := range r.Figures {
				measured[f.Name] = len(f.Samples[mine[0].name]) > 0
			}
			for _, m := range c.metrics {
				if strings.HasPrefix(m.name, "setuidgid") && os.Geteuid() != 0 {
					continue
				}
				if !measured[m.name] {
					t.Errorf("no figure: %s", m.name)
				}
			}
			if n := len(descendants(os.Getpid())); n > 0 {
				t.Errorf("%d processes are left", n)
			}
		})
	}
}
