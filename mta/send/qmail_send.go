// Package send is qmail-send, which has every message in the queue delivered,
// and qmail-start, which starts it with its partners.
//
//	          0 log
//	          1 to, 2 from   qmail-lspawn
//	qmail-send  3 to, 4 from   qmail-rspawn
//	          5 to, 6 from   qmail-clean
//
// A message's way (the states are those of package store):
//
//	todo/N ──intake──► waiting ──due──► job ──spawner──► report
//	  S4      S5          ▲                               │
//	                      └──── something is left ────────┤
//	                                                      ▼ all done
//	                    nothing ◄──finisher── bounce?, end
//	                      S1
//
// A message for one recipient takes a shorter one if that succeeds:
//
//	todo/N ──intake──► fresh ──spawner──► report ──finisher──► nothing
//	  S4                 S4                                      S1
//
// The scheduler is one goroutine that owns all that waits and all that runs.
// Around it are those that wait for disks and partners: the intake (todo/ into
// info/, local/, remote/), the recorder (what failed into bounce/), the
// finisher (bounces into the queue, ended messages out of it), a reader and a
// writer for each spawner. They post to the scheduler what happened; none of
// them ever waits for it, nor it for them.
package send

import (
	"bufio"
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/mta/control"
	"paperpath/mta/layout"
	"paperpath/mta/queue"
	"paperpath/mta/queue/store"
)

// QmailSend delivers the messages in the queue.
var QmailSend = proc.Program{Name: "qmail-send", Run: runSend}

// partners are the descriptors that qmail-start arranges.
type partners struct {
	to, from  [channels]proc.File
	toClean   proc.File
	fromClean proc.File
}

func runSend(_ context.Context, env *proc.Env) error {
	home := layout.Home(env.Vars)
	log := &logger{w: env.Files[0]}
	cannot := func(why string) error {
		log.line("alert: cannot start: ", why)
		log.flush()
		return proc.Exit(proc.StatusTemporary)
	}
	if unix.Access(home+"/.", unix.X_OK) != nil {
		return cannot("unable to switch to home directory")
	}
	dir := control.Home(home)
	settings, err := readSettings(dir, env.Vars)
	if err != nil {
		return cannot("unable to read controls")
	}
	if unix.Access(home+"/queue/.", unix.X_OK) != nil {
		return cannot("unable to switch to queue directory")
	}
	sys.CloseOnExecFrom(3) // bounces are injected by a child
	sys.IgnoreSIGPIPE()
	signals := make(chan os.Signal, 3)
	watchSignals(signals)

	mutex, err := sys.Open(home+"/queue/lock/sendmutex", unix.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return cannot("unable to open mutex")
	}
	defer mutex.Close()
	if err := sys.Lock(int(mutex.Fd()), false); err != nil {
		return cannot("qmail-send is already running")
	}
	trigger, err := newTrigger(home + "/queue/lock/trigger")
	if err != nil {
		return cannot("unable to watch trigger")
	}
	p := partners{
		to:      [channels]proc.File{env.Files[1], env.Files[3]},
		from:    [channels]proc.File{env.Files[2], env.Files[4]},
		toClean: env.Files[5], fromClean: env.Files[6],
	}
	submit := func() (submission, error) {
		c, err := queue.Start(home, env.Vars)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	fs := fsys.OS{Root: home + "/queue"}
	form, err := store.FindForm(fs)
	if err != nil {
		return cannot("unable to look into todo")
	}
	s := newScheduler(fs, form, dir, settings, log, time.Now)
	if err := s.connect(p, trigger, submit); err != nil {
		return cannot(err.Error())
	}
	s.readQueue(signals)
	s.logStatus()
	s.startWorkers()
	s.run(signals)
	return nil
}

// watchSignals has each of the three signals that mean something come at least
// once after it was last sent, however many come at a time.
func watchSignals(signals chan<- os.Signal) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGALRM, syscall.SIGHUP} {
		one := make(chan os.Signal, 1)
		sys.Notify(one, sig)
		go func() {
			for sig := range one {
				signals <- sig
			}
		}()
	}
}

func newScheduler(fs fsys.FS, form store.Form, dir *control.Dir, settings settings, log *logger, clock func() time.Time) *scheduler {
	return &scheduler{
		fs:        fs,
		form:      form,
		control:   dir,
		log:       log,
		clock:     clock,
		settings:  settings,
		events:    newMailbox[func()](),
		straights: map[store.ID]*straight{},
		noMore:    make(chan struct{}),
		stop:      make(chan struct{}),
	}
}

var errNoSpawner = errors.New("hath the daemon spawn no fire?")

// connect makes the acquaintance of the partners.
func (s *scheduler) connect(p partners, t *trigger, submit func() (submission, error)) error {
	for c := range channels {
		var err error
		if s.spawners[c], err = meet(c, p.to[c], p.from[c], s.settings.concurrency[c]); err != nil {
			return err
		}
	}
	cleaner := &cleaner{w: p.toClean, r: bufio.NewReader(p.fromClean), died: func() {
		s.post(func() { s.lost("qmail-clean") })
	}}
	injector := &injector{
		fs: s.fs, log: s.log, clock: s.clock, submit: submit,
		from: s.settings.bounceFrom, host: s.settings.bounceHost, doubleBounceTo: s.settings.doubleBounceTo,
		maxBytes: s.settings.bounceMaxBytes, zone: s.settings.zone,
	}
	s.recorder = newRecorder(s.fs, s.log, s.post)
	s.finisher = newFinisher(s.fs, s.form, s.log, s.clock, cleaner, injector, func(id store.ID, after int64) {
		s.post(func() { s.retry.push(entry{s.now + after, id}) })
	})
	s.intake = &intake{
		fs: s.fs, form: s.form, log: s.log, cleaner: cleaner, trigger: t,
		arrived: func(arrivals []arrival) {
			s.post(func() {
				for _, a := range arrivals {
					s.preprocessed(a.id, a.has)
				}
			})
		},
		fresh:   func(list []*straight) { s.post(func() { s.takeFresh(list) }) },
		settled: func(st *straight, ok bool) { s.post(func() { s.settled(st, ok) }) },
		late:    newMailbox[*straight](),
		trying:  map[store.ID]bool{},
		hold:    func(id store.ID, file string) { s.finisher.work.put(finish{id: id, corrupt: file}) },
	}
	s.finisher.forget = s.intake.forget
	rules := s.settings.rules
	s.intake.rules.Store(&rules)
	return nil
}

// startWorkers starts what run waits for in the end. The readers are not
// waited for: they end with their spawners.
func (s *scheduler) startWorkers() {
	for c := range channels {
		s.readers.Go(func() { s.readReports(c, s.spawners[c].from) })
		s.workers.Go(func() { s.writeCommands(c, s.spawners[c].to) })
	}
	s.workers.Go(func() { s.intake.run(s.noMore, s.stop) })
	s.workers.Go(func() { s.recorder.run(s.stop) })
	s.workers.Go(func() { s.finisher.run(s.stop) })
}
