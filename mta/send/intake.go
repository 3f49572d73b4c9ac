package send

import (
	"sync/atomic"
	"time"

	"paperpath/internal/fsys"
	"paperpath/mta/queue/store"
)

// intake preprocesses what is in todo/: it decides for each recipient whether
// it is local or remote and writes the lists (todo_do). Messages that arrive
// together share their syncs, and deliveries go on meanwhile.
//
//	+todo                              S4
//	+todo +info ?local ?remote         written, then synced with their directories
//	-todo +info ?local ?remote         S5: qmail-clean has removed todo/N
//
// A crash before the end leaves todo/N, and the message is begun anew.
type intake struct {
	fs      fsys.FS
	log     *logger
	cleaner *cleaner
	rules   atomic.Pointer[rules]
	trigger *trigger
	arrived func([]arrival) // the scheduler's
	hold    func(store.ID)  // the finisher's: todo/N is corrupt

	later map[store.ID]time.Time // messages that had trouble: not before then
}

// arrival is a message that has been preprocessed.
type arrival struct {
	id  store.ID
	has [channels]bool
}

const (
	// batch is how many messages share their syncs. Each has up to three files
	// open until then.
	batch = 64

	// sleepTrouble is until the next try for a message that could not be
	// preprocessed; as a rule the disk is full. It stays in todo/.
	sleepTrouble = 60 * time.Second

	// maxEmpty is how many pulls in a row may bring nothing before the trigger
	// is held to be in the wrong hands, and todo/ read once a second at most.
	maxEmpty   = 20
	sleepEmpty = time.Second
)

func (in *intake) run(stop <-chan struct{}) {
	defer in.trigger.close()
	for empty := 0; ; {
		found, ok := in.scan(stop)
		if found {
			empty = 0
		}
		in.log.flush()
		sleep := sleepTodo * time.Second
		switch {
		case !ok:
			sleep = sleepAlert
		case len(in.later) > 0:
			sleep = sleepTrouble
		}
		timer := time.NewTimer(sleep)
		select {
		case <-stop:
			return
		case <-in.trigger.pulled:
			empty++
		case <-timer.C:
			empty = 0
			in.trigger.reopen()
			<-in.trigger.pulled
		}
		timer.Stop()
		if empty > maxEmpty {
			select {
			case <-stop:
				return
			case <-time.After(sleepEmpty):
			}
		}
	}
}

// scan preprocesses everything in todo/. It reports whether there was anything
// new, and whether todo/ could be read.
func (in *intake) scan(stop <-chan struct{}) (found, ok bool) {
	ids, err := store.List(in.fs, "todo")
	if err != nil {
		in.log.line("alert: unable to opendir todo, sleeping...")
		return false, false
	}
	now := time.Now()
	later := make(map[store.ID]time.Time, len(in.later))
	fresh := ids[:0]
	for _, id := range ids {
		if until, trouble := in.later[id]; trouble && now.Before(until) {
			later[id] = until
		} else {
			fresh = append(fresh, id)
		}
	}
	in.later = later // without those that somebody took away
	for i := 0; i < len(fresh); i += batch {
		select {
		case <-stop:
			return true, true
		default:
		}
		in.preprocess(fresh[i:min(i+batch, len(fresh))])
		in.log.flush()
	}
	return len(fresh) > 0, true
}

// preprocess takes a batch of messages from S4 to S5.
func (in *intake) preprocess(ids []store.ID) {
	rules := in.rules.Load()
	var written []*message
	for _, id := range ids {
		m := &message{id: id, in: in, rules: rules}
		switch m.write() {
		case done:
			written = append(written, m)
			continue
		case trouble:
			in.later[id] = time.Now().Add(sleepTrouble)
		case corrupt:
			in.later[id] = time.Now().Add(sleepHold * time.Second)
			in.hold(id)
		case gone:
		}
		m.close()
	}
	in.sync(written)
	in.removeTodo(written)
}

// sync makes the lists of messages durable. Files and directories go together:
// their order does not matter as long as todo/N is there.
func (in *intake) sync(messages []*message) {
	type task struct {
		sync func() error
		name string
		of   []*message
	}
	var tasks []*task
	dirs := map[string]*task{}
	for _, m := range messages {
		for _, l := range m.lists {
			tasks = append(tasks, &task{l.file.Sync, l.name, []*message{m}})
			dir := dirs[l.dir]
			if dir == nil {
				dir = &task{func() error { return in.fs.SyncDir(l.dir) }, l.dir, nil}
				dirs[l.dir] = dir
				tasks = append(tasks, dir)
			}
			dir.of = append(dir.of, m)
		}
	}
	errs := make([]error, len(tasks))
	parallel(len(tasks), func(i int) { errs[i] = tasks[i].sync() })
	for i, err := range errs {
		if err != nil {
			in.log.line("warning: trouble fsyncing ", tasks[i].name)
			for _, m := range tasks[i].of {
				m.failed = true
			}
		}
	}
	for _, m := range messages {
		m.close()
	}
}

// removeTodo has todo/N removed for those whose lists are durable, and hands
// them over.
func (in *intake) removeTodo(messages []*message) {
	var ids []store.ID
	var arrivals []arrival
	for _, m := range messages {
		if m.failed {
			in.later[m.id] = time.Now().Add(sleepTrouble)
			continue
		}
		ids = append(ids, m.id)
		arrivals = append(arrivals, arrival{m.id, m.has})
	}
	if len(ids) == 0 {
		return
	}
	answers, ok := in.cleaner.do(store.CleanTodo, ids...)
	if !ok {
		return
	}
	removed := arrivals[:0]
	for i, a := range arrivals {
		if answers[i] != store.CleanOK {
			in.log.line("warning: qmail-clean unable to clean up ", a.id.Todo())
			in.later[a.id] = time.Now().Add(sleepTrouble)
			continue
		}
		removed = append(removed, a)
	}
	in.arrived(removed)
}
