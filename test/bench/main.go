// Command bench measures this project's programs beside those that people would
// otherwise install, in one run, taking turns. It is what make bench runs;
// doc/bench.md says what each figure means.
//
//	main.go      options, which cases, what is said of the machine
//	contest.go   a case: contenders, rounds, samples
//	report.go    samples → table, Markdown, JSON
//	process.go   processes: start, find, weigh, end
//	peers.go     where each contender's programs are
//	tiny.go      the smallest programs there can be
//	client.go    TCP clients
//	news.go      services and logs that come up
//
// and one file for each case. To measure must not take the processor from what
// is measured: a service says itself that it is up, on a fifo; that a log has a
// line is told by inotify; /proc is read while nothing is being timed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// cases is every case, in the order in which they are run.
func cases(n *sizes) []*contest {
	return []*contest{
		startup(n),
		logsPlain(n), logsStamped(n), logsFiltered(n), stamp(n), unstamp(n),
		connections(n), rules(n), heldByCat(n), inside(n), insideChain(n), insideIdle(n),
		lists(n),
		supervision(n),
	}
}

// sizes says how much of everything.
type sizes struct {
	services, restarts, again, links int
	settle                           time.Duration // before memory is read
	phase                            time.Duration // services are linked at a random moment of it

	logMB int
	runs  int // of a small program

	rules, fewRules, manyRules int
	clients                    int
	hammer                     time.Duration
	cats                       int
	idle                       []int // connections held inside
}

var full = sizes{
	services: 200, restarts: 6, again: 3, links: 3, settle: 1500 * time.Millisecond, phase: 5 * time.Second,
	logMB: 100, runs: 200,
	rules: 10_000, fewRules: 10, manyRules: 100_000, clients: 20, hammer: 1500 * time.Millisecond,
	cats: 200, idle: []int{2_000, 10_000},
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == holderName {
		if err := holder(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench: "+err.Error())
			os.Exit(1)
		}
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: "+err.Error())
		os.Exit(1)
	}
}

func run() (err error) {
	own := flag.String("bin", "bin", "directory of this project's programs")
	only := flag.String("run", "", "cases whose name this regular expression matches")
	rounds := flag.Int("rounds", 3, "rounds of each case")
	dir := flag.String("dir", os.TempDir(), "where files are written, logs above all")
	format := flag.String("format", "table", "of the result: table, markdown or json")
	flag.Parse()
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	if *rounds < 1 || flag.NArg() > 0 || *format != "table" && *format != "markdown" && *format != "json" {
		flag.Usage()
		os.Exit(2)
	}
	if *own, err = filepath.Abs(*own); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, endAll)() // whatever is waited for ends at once
	if err := adoptOrphans(); err != nil {
		return err
	}
	raiseDescriptors()
	work, err := os.MkdirTemp(*dir, "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	defer endAll()
	// The services are some other user's in places.
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}

	r := report{Machine: machine(work)}
	fmt.Fprintln(os.Stderr, r.Machine)
	b := &bench{ctx: ctx, own: *own, work: work, rounds: *rounds, progress: os.Stderr}
	n := full
	var failed []string
	for _, c := range cases(&n) {
		if !pattern.MatchString(c.name) || ctx.Err() != nil {
			continue
		}
		result, err := b.hold(c)
		if err != nil {
			failed = append(failed, c.name)
		}
		r.Cases = append(r.Cases, result)
	}
	if err := r.write(os.Stdout, *format); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if failed != nil {
		return errors.New("trouble in " + strings.Join(failed, ", "))
	}
	return nil
}

// raiseDescriptors allows thousands of connections, for the servers too.
func raiseDescriptors() {
	const enough = 1 << 16
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return
	}
	if l.Max < enough && syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: enough, Max: enough}) == nil {
		return
	}
	l.Cur = min(l.Max, enough)
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
}
