package queue

import (
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/mta/queue/resident"
)

const (
	// maxIdle is how many qmail-queue processes without work a Pool keeps;
	// there is one more for each message that is on its way.
	maxIdle = 20
	// maxIdleTime is how long.
	maxIdleTime = 10 * time.Second
	// greetingTime is how long a new one may take to speak up.
	greetingTime = 10 * time.Second
	// disbelief is how long a program that turned out to be another one is not
	// tried again.
	disbelief = time.Minute
)

// Pool hands messages to qmail-queue processes that stay (package resident). Its
// Start is the function Start for a process that has many clients, who may call
// it at the same time.
//
//	start → greeting → message → status 0 → idle → message → …
//	                     ↓          ↓         ↓
//	                  any other status, 10 seconds, a new bin/qmail-queue: closed
//
// Whatever is not a resident qmail-queue, the C program or what somebody put in
// its place, and whatever $QMAILQUEUE names, is run for each message as Start
// does. A new bin/qmail-queue counts from the next message on.
type Pool struct {
	mu       sync.Mutex
	file     file     // bin/qmail-queue, as it was when the idle ones were started
	idle     []*agent // the last one used is the last
	sweeping bool
	proven   bool      // file has been seen to be a resident
	trying   bool      // somebody is about to find out
	foreign  time.Time // until then it is taken for none

	idleTime time.Duration
}

// NewPool returns an empty Pool.
func NewPool() *Pool { return &Pool{idleTime: maxIdleTime} }

// Start is like the function Start.
func (p *Pool) Start(home string, vars proc.Vars) (*Client, error) {
	if _, other := vars.Get("QMAILQUEUE"); other {
		return start(home, vars, 2, true)
	}
	a := p.take(home)
	if a == nil {
		return start(home, vars, 2, true)
	}
	return &Client{program: a}, nil
}

// file identifies a program file: one that is replaced, changed, or given other
// permissions is another file.
type file struct {
	home     string
	dev, ino uint64
	changed  unix.Timespec
}

func identify(home string) (file, error) {
	var st unix.Stat_t
	err := unix.Stat(home+"/"+ours, &st)
	return file{home, st.Dev, st.Ino, st.Ctim}, err
}

// take returns an idle agent or a new one, nil if there can be none.
func (p *Pool) take(home string) *agent {
	file, err := identify(home)
	if err != nil {
		return nil
	}
	p.mu.Lock()
	if file != p.file {
		p.closeIdle(0)
		p.file, p.proven, p.foreign = file, false, time.Time{}
	}
	for len(p.idle) > 0 {
		last := len(p.idle) - 1
		a := p.idle[last]
		p.idle = p.idle[:last]
		if a.waits() {
			p.mu.Unlock()
			return a
		}
		a.close()
	}
	proven := p.proven
	if !proven && (p.trying || time.Now().Before(p.foreign)) {
		p.mu.Unlock()
		return nil
	}
	if !proven {
		p.trying = true
	}
	p.mu.Unlock()

	a, err := p.start(file)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !proven {
		p.trying = false
	}
	switch {
	case file != p.file:
	case err == nil:
		p.proven = true
	case err == errForeign:
		p.proven, p.foreign = false, time.Now().Add(disbelief)
	}
	return a
}

// put takes an agent back that waits for the next message.
func (p *Pool) put(a *agent) {
	a.w.Reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.file != p.file || len(p.idle) >= maxIdle {
		a.close()
		return
	}
	a.since = time.Now()
	p.idle = append(p.idle, a)
	if !p.sweeping {
		p.sweeping = true
		time.AfterFunc(p.idleTime, p.sweep)
	}
}

// sweep closes agents that were idle for long, and looks again later.
func (p *Pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closeIdle(p.idleTime)
	if p.sweeping = len(p.idle) > 0; p.sweeping {
		time.AfterFunc(p.idleTime, p.sweep)
	}
}

// closeIdle closes the agents that were idle for so long. The caller holds mu.
func (p *Pool) closeIdle(long time.Duration) {
	n := 0
	for n < len(p.idle) && time.Since(p.idle[n].since) >= long {
		p.idle[n].close()
		n++
	}
	p.idle = slices.Delete(p.idle, 0, n)
}

// start starts an agent. The error is errForeign for a program that is none.
func (p *Pool) start(file file) (*agent, error) {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(null)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	process, err := child.Start(&child.Command{
		Argv:  resident.Argv(ours),
		Path:  ours,
		Vars:  proc.Vars{"QMAILHOME=" + file.home}, // nothing of a single client
		Dir:   file.home,
		Files: []int{null, null, 2, resident.Descriptor: pair[1]},
	})
	unix.Close(pair[1])
	if err != nil {
		unix.Close(pair[0])
		return nil, err
	}
	// Non-blocking, so that waiting for an answer takes no thread.
	unix.SetNonblock(pair[0], true)
	conn := os.NewFile(uintptr(pair[0]), "qmail-queue")
	a := &agent{pool: p, file: file, child: process, conn: conn, w: resident.NewWriter(conn)}
	if !a.greets() {
		a.close()
		return nil, errForeign
	}
	return a, nil
}
