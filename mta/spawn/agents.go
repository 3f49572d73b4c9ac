package spawn

import (
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/fsys"
	"paperpath/internal/gobinary"
	"paperpath/mta/agent"
)

// Times and numbers of agents.
const (
	idleTime    = 10 * time.Second // how long an agent waits for more to do
	greetTime   = 30 * time.Second // how long it may take to greet
	refusalTime = time.Minute      // how long one that did not greet is believed
	maxAgents   = 32
	maxAtOnce   = 64 // deliveries of one agent
)

// agents are the qmail-locals that stay: one for each user with deliveries in
// the last seconds. To everybody else they are as many qmail-locals as there
// are deliveries.
//
//	starting   has not greeted           ends → its deliveries begin anew, classic
//	serving    greeted                   ends → they crashed
//	refusing   ended without a greeting: classic, for a minute
//
// An agent belongs to its user, who may stop it, trace it, or put anything else
// in its place, as with any qmail-local: what it says is believed about its own
// deliveries, and nothing waits for it. What cannot be handed to an agent now
// gets a qmail-local of its own.
type agents struct {
	path  string // of qmail-local
	start func(as owner, socket int, g *serving) error
	*processes

	mu       sync.Mutex
	live     map[owner]*serving
	program  identity // of path, when it was last looked at
	able     bool     // it is our qmail-local
	mostEach int      // 0: no agents
}

// owner is whose an agent is, and what its deliveries have in common.
type owner struct{ uid, gid uint32 }

// serving is one agent. All of it is guarded by agents.mu.
type serving struct {
	of      *agents
	as      owner
	process *process
	socket  int
	greeted bool
	refused bool // it has ended without a greeting
	leaving bool // gets nothing any more
	number  uint32
	pending map[uint32]*handed
	timer   *time.Timer
	since   time.Time // idle
}

// handed is a delivery that an agent has got.
type handed struct {
	classic func() // begins it anew
	finish  func(report string)
}

// identity tells one program in a file from the next.
type identity struct {
	ino, dev     uint64
	size         int64
	mtime, ctime time.Time
}

// ourLocal is the line in a Go program that names its main package.
const ourLocal = "path\tpaperpath/cmd/qmail-local\n"

// newAgents allows as many deliveries at a time as there are descriptors for,
// and no agent under a limit of processor time, which is meant for a delivery.
func newAgents(path string, p *processes) *agents {
	a := &agents{path: path, processes: p, live: map[owner]*serving{}}
	const fewest, each = 20, 12 // descriptors of an agent, and of a delivery that forwards
	var files, cpu unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil && unix.Getrlimit(unix.RLIMIT_CPU, &cpu) == nil &&
		cpu.Cur == unix.RLIM_INFINITY && files.Cur > fewest {
		a.mostEach = int(min((files.Cur-fewest)/each, maxAtOnce))
	}
	return a
}

// offer hands a delivery to an agent, or returns false: it is the caller's
// then. args are qmail-local's.
func (a *agents) offer(as owner, args []string, message int, d *handed) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.look() {
		return false
	}
	g := a.live[as]
	if g == nil {
		if g = a.begin(as); g == nil {
			return false
		}
	}
	if g.refused || len(g.pending) >= a.mostEach {
		return false
	}
	request, ok := agent.AppendRequest(nil, g.number+1, args)
	if !ok || agent.Send(g.socket, request, message) != nil {
		return false
	}
	g.number++
	g.pending[g.number] = d
	if g.greeted {
		g.timer.Stop()
	}
	return true
}

// look finds out whether qmail-local is ours. A C program or a script of the
// administrator's is never asked to be an agent. The file is looked at for each
// delivery: a program that was replaced is replaced for the next message.
func (a *agents) look() bool {
	if a.mostEach == 0 {
		return false
	}
	info, err := fsys.OS{}.Stat(a.path)
	if err != nil {
		return false
	}
	now := identity{info.Ino, info.Dev, info.Size, info.Mtime, info.Ctime}
	if now != a.program {
		for _, g := range a.live {
			g.leave()
		}
		text, err := gobinary.Info(a.path)
		a.program, a.able = now, err == nil && strings.HasPrefix(text, ourLocal)
	}
	return a.able
}

// begin starts an agent. nil is not the end of the world: the classic way will
// find out what is wrong and say so.
func (a *agents) begin(as owner) *serving {
	if len(a.live) >= maxAgents && !a.makeRoom() {
		return nil
	}
	ours, theirs, err := agent.Socket()
	if err != nil {
		return nil
	}
	defer unix.Close(theirs)
	unix.SetNonblock(ours, true)
	g := &serving{of: a, as: as, socket: ours, pending: map[uint32]*handed{}}
	if err := a.start(as, theirs, g); err != nil {
		unix.Close(ours)
		return nil
	}
	g.timer = time.AfterFunc(greetTime, g.expire)
	a.live[as] = g
	return g
}

// makeRoom ends the agent that has been idle longest.
func (a *agents) makeRoom() bool {
	var oldest *serving
	for _, g := range a.live {
		if g.greeted && len(g.pending) == 0 && (oldest == nil || g.since.Before(oldest.since)) {
			oldest = g
		}
	}
	if oldest != nil {
		oldest.leave()
	}
	return oldest != nil
}

// leave lets an agent go when it has nothing to do any more. Whether it would
// go if it were asked to is its own affair; so it is killed.
func (g *serving) leave() {
	g.leaving = true
	if g.of.live[g.as] == g {
		delete(g.of.live, g.as)
	}
	if len(g.pending) == 0 && g.process != nil {
		g.of.kill(g.process)
	}
}

// expire is the end of a time: to greet, to be idle, to be refused.
func (g *serving) expire() {
	g.of.mu.Lock()
	defer g.of.mu.Unlock()
	switch {
	case g.refused:
		g.leave()
	case g.process == nil:
		// It ended at this moment.
	case !g.greeted:
		g.of.kill(g.process)
	case len(g.pending) == 0:
		g.leave()
	}
}

// packet takes what the agent said; false ends it.
func (g *serving) packet(b []byte) bool {
	g.of.mu.Lock()
	if !g.greeted {
		g.greeted = string(b) == agent.Greeting
		if g.greeted {
			g.rest()
		}
		g.of.mu.Unlock()
		return g.greeted
	}
	number, status, text, err := agent.ParseReply(b)
	d := g.pending[number]
	if err != nil || d == nil {
		g.of.mu.Unlock()
		return false
	}
	delete(g.pending, number)
	g.rest()
	g.of.mu.Unlock()

	kept := localOutput
	kept.add(text)
	d.finish(localReport(child.Status(status)<<8, kept.text))
	return true
}

// rest sets the clock of an agent that has nothing to do.
func (g *serving) rest() {
	if len(g.pending) > 0 {
		g.timer.Stop()
		return
	}
	g.since = time.Now()
	g.timer.Reset(idleTime)
	if g.leaving {
		g.leave()
	}
}

// ended is called once, when the process is no more and all that it said has
// been read.
func (g *serving) ended(child.Status, []byte) {
	g.of.mu.Lock()
	unix.Close(g.socket)
	g.timer.Stop()
	g.process = nil
	pending := g.pending
	g.pending = nil
	switch current := g.of.live[g.as] == g; {
	case !g.greeted && current:
		g.refused = true
		g.timer.Reset(refusalTime)
	case current:
		delete(g.of.live, g.as)
	}
	g.of.mu.Unlock()
	for _, d := range pending {
		if g.greeted {
			d.finish(localCrashed)
		} else {
			d.classic()
		}
	}
}

// startAgent starts a qmail-local as an agent. Its own complaints are lost, as
// those of a qmail-local that crashed are; what its deliveries write comes with
// their reports.
func (l *locals) startAgent(as owner, socket int, g *serving) error {
	c := &child.Command{
		Argv:  []string{"bin/qmail-local", agent.Argument},
		Path:  l.home + "/bin/qmail-local",
		Vars:  l.vars,
		Dir:   l.home,
		Files: []int{socket, l.null, l.null},
	}
	if !l.rootless {
		credential := credential(as.uid, as.gid)
		c.Sys.Credential = &credential
	}
	started, err := child.Start(c)
	if err != nil {
		return err
	}
	g.process = &process{child: started, out: g.socket, agent: g, done: g.ended}
	l.add(g.process)
	return nil
}

// kill ends a process. The watcher does it, which knows whether the number is
// still the process's.
func (p *processes) kill(q *process) {
	q.doomed.Store(true)
	p.lookAgain()
}
