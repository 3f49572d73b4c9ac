// Package swap replaces the programs of a C mail host by ours, one at a time,
// and asks whether anybody can tell.
//
// PAPERPATH_C_QMAIL names a notqmail installation; Debian's daemontools and
// ucspi-tcp are found in /usr/bin. A scenario (the directory scenario, in shell)
// configures a host, starts it under svscanboot, sends, bounces, defers and
// fetches mail, and stops it. It is run
//
//	C      twice, with the C programs alone
//	all    with ours alone
//	NAME   for each program: ours among C programs, then C among ours
//
// each time in a room of its own (room_test.go): namespaces in which a private
// copy of the installation lies where the C programs look for it, with accounts,
// a network and a name server that are the scenario's. What it printed and the
// files that are left make one text (picture_test.go), in which only what differs
// from run to run is made equal: numbers of processes, messages and deliveries,
// times, and the order of what happens at once. The texts must be the same.
//
//	PAPERPATH_C_QMAIL=/var/qmail go test ./test/swap -timeout 1h
//	PAPERPATH_C_QMAIL=/var/qmail go test ./test/swap -run TestSwap/qmail-send
//
// PAPERPATH_C_BUILD may name the directory in which the installation was
// compiled: dnsip and others are there and not installed. PAPERPATH_SWAP_KEEP
// may name a directory for the texts. Nothing else of the host is changed. It
// takes root; runs wait more than they work, so -parallel 8 suits two processors.
package swap

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"paperpath"
	"paperpath/internal/programs"
	"paperpath/test/bin"
)

func TestMain(m *testing.M) {
	if plan := os.Getenv(roomVariable); plan != "" {
		inside(plan)
	}
	bin.Main(m)
}

// A host is what the runs are made from.
type host struct {
	c     string            // the installation
	home  string            // where its programs look for it
	there map[string]string // the C programs by name
	ours  string            // directory of our programs
	names []string          // of the programs that are exchanged
}

func TestSwap(t *testing.T) {
	h := find(t)
	reference := h.run(t, nil, h.names)
	if t.Failed() {
		return
	}
	same := func(t *testing.T, ours, checked []string) {
		t.Parallel()
		if got := h.run(t, ours, checked); !bytes.Equal(got, reference) {
			t.Errorf("%s", diff.Diff("C", reference, t.Name(), got))
		}
	}
	t.Run("C", func(t *testing.T) { same(t, nil, nil) })
	t.Run("all", func(t *testing.T) { same(t, h.names, nil) })
	for _, name := range h.names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("ours", func(t *testing.T) { same(t, []string{name}, []string{name}) })
			t.Run("C", func(t *testing.T) {
				// Ours do without some: svscan supervises by itself.
				same(t, slices.DeleteFunc(slices.Clone(h.names), func(n string) bool { return n == name }), nil)
			})
		})
	}
}

// find looks for the C programs and builds ours, or skips the test.
func find(t *testing.T) *host {
	h := &host{c: os.Getenv("PAPERPATH_C_QMAIL"), there: map[string]string{}}
	if h.c == "" {
		t.Skip("PAPERPATH_C_QMAIL does not name a notqmail installation: the programs are not exchanged for C programs")
	}
	if os.Geteuid() != 0 {
		t.Skip("making rooms takes root: the programs are not exchanged for C programs")
	}
	if err := unshared(); err != nil {
		t.Skipf("this machine lets nobody make namespaces (%v): the programs are not exchanged for C programs", err)
	}
	h.home = compiledHome(t, h.c)
	places := map[string][]string{
		notqmail: {filepath.Join(h.c, "bin"), os.Getenv("PAPERPATH_C_BUILD")},
		debian:   append([]string{"/usr/bin"}, filepath.SplitList(os.Getenv("PATH"))...),
	}
	for name, o := range originals {
		for _, dir := range places[o.from] {
			if path := filepath.Join(dir, name); dir != "" && isC(path) {
				h.there[name] = path
				break
			}
		}
	}
	for _, name := range []string{"qmail-send", "svscan", "tcpserver"} {
		if h.there[name] == "" {
			t.Skipf("there is no C program %s (notqmail, and Debian's daemontools and ucspi-tcp are needed): the programs are not exchanged for C programs", name)
		}
	}
	table, err := programs.Parse(paperpath.PROGRAMS)
	if err != nil {
		t.Fatal(err)
	}
	h.ours = bin.At(t, h.home)
	for _, p := range table {
		if originals[p.Name].from == "" {
			continue
		}
		if h.there[p.Name] == "" {
			t.Logf("there is no C program %s here: it is not exchanged", p.Name)
			continue
		}
		h.names = append(h.names, p.Name)
	}
	return h
}

// isC reports whether path is a program, and not one of ours.
func isC(path string) bool {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return false
	}
	_, err := buildinfo.ReadFile(path)
	return err != nil
}

// compiledHome asks the installation where it believes to be.
func compiledHome(t *testing.T, c string) string {
	out, err := exec.Command(filepath.Join(c, "bin/qmail-showctl")).Output()
	m := regexp.MustCompile(`(?m)^qmail home directory: (/.*)\.$`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("PAPERPATH_C_QMAIL: %s/bin/qmail-showctl does not say where the qmail home directory is: %v", c, err)
	}
	home := string(m[1])
	if info, err := os.Stat(home); err != nil || !info.IsDir() {
		t.Skipf("the C programs are compiled for %s, which is no directory here (an empty one is enough): the programs are not exchanged for C programs", home)
	}
	return home
}

// run runs the scenario with the C programs but for some and returns the
// picture of it. Programs in checked must have been executed: otherwise nobody
// would have seen a difference.
func (h *host) run(t *testing.T, ours, checked []string) []byte {
	t.Helper()
	p := plan{
		C: filepath.Join(h.c, "queue"), Home: h.home, Bin: map[string]string{}, Over: map[string]string{},
		Root: t.TempDir(),
	}
	for name, path := range h.there {
		if originals[name].from == notqmail {
			p.Bin[name] = path
		} else {
			p.Watched = append(p.Watched, path)
		}
	}
	for _, name := range ours {
		program := filepath.Join(h.ours, name)
		if originals[name].from == notqmail {
			p.Bin[name] = program
		} else {
			p.Over[h.there[name]] = program
		}
	}
	// There is no C program for these in Debian.
	for _, name := range []string{"checkpassword"} {
		p.Bin[name] = filepath.Join(h.ours, name)
	}
	start := time.Now()
	picture, executed, err := p.run()
	t.Logf("%.1f s", time.Since(start).Seconds())
	if err != nil {
		t.Fatalf("%v\n%s", err, picture)
	}
	if dir := os.Getenv("PAPERPATH_SWAP_KEEP"); dir != "" {
		os.WriteFile(filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "-")), picture, 0o644)
	}
	for _, name := range checked {
		if !slices.Contains(executed, name) {
			t.Errorf("the scenario did not run %s", name)
		}
	}
	return picture
}
