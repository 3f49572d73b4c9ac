package send

import (
	"slices"
	"sync"
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
// A crash before the end leaves todo/N, and the message is begun anew. One for
// a single recipient goes on without all that, see straight.
type intake struct {
	fs      fsys.FS
	form    store.Form // as of the last scan
	log     *logger
	cleaner *cleaner
	rules   atomic.Pointer[rules]
	trigger *trigger
	arrived func([]arrival) // the scheduler's
	fresh   func([]*straight)
	settled func(st *straight, ok bool)
	hold    func(store.ID, string) // the finisher's: a file is corrupt

	late  *mailbox[*straight]    // to be settled
	later map[store.ID]time.Time // messages that had trouble: not before then
	pause time.Duration          // to the next scan

	mu     sync.Mutex
	trying map[store.ID]bool // tried straight from todo/: for others to take from there
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

	// maxTrying is how many messages are tried, or wait to be, straight from
	// todo/. Many more are faster with lists that share their syncs than one
	// after the other; and it bounds the memory.
	maxTrying = 1000

	// pauseTried for each of them is the time from one scan, which passes them
	// over, to the next: else reading todo/ would be all that is done.
	pauseTried = 20 * time.Microsecond

	// sleepTrouble is until the next try for a message that could not be
	// preprocessed; as a rule the disk is full. It stays in todo/.
	sleepTrouble = 60 * time.Second

	// maxEmpty is how many pulls in a row may bring nothing before the trigger
	// is held to be in the wrong hands, and todo/ read once a second at most.
	maxEmpty   = 20
	sleepEmpty = time.Second
)

// run preprocesses until noMore is closed, and settles until stop is.
func (in *intake) run(noMore, stop <-chan struct{}) {
	in.watch(noMore)
	in.trigger.close()
	for {
		in.settle()
		select {
		case <-stop:
			return
		case <-in.late.ready:
		}
	}
}

func (in *intake) watch(noMore <-chan struct{}) {
	for empty := 0; ; {
		found, ok := in.scan(noMore)
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
	settling:
		in.settle()
		select {
		case <-noMore:
			return
		case <-in.late.ready:
			goto settling
		case <-in.trigger.pulled:
			empty++
		case <-timer.C:
			empty = 0
			in.trigger.reopen()
			<-in.trigger.pulled
		}
		timer.Stop()
		pause := in.pause
		if empty > maxEmpty {
			pause = sleepEmpty
		}
		select {
		case <-noMore:
			return
		case <-time.After(pause):
		}
	}
}

// scan preprocesses everything in todo/. It reports whether there was anything
// new, and whether todo/ could be read.
func (in *intake) scan(noMore <-chan struct{}) (found, ok bool) {
	ids, ok := in.list()
	if !ok {
		return false, false
	}
	now := time.Now()
	later := make(map[store.ID]time.Time, len(in.later))
	in.mu.Lock()
	in.pause = time.Duration(len(in.trying)) * pauseTried
	fresh := ids[:0]
	for _, id := range ids {
		switch until, trouble := in.later[id]; {
		case trouble && now.Before(until):
			later[id] = until
		case !in.trying[id]:
			fresh = append(fresh, id)
		}
	}
	in.mu.Unlock()
	in.later = later // without those that somebody took away
	for i := 0; i < len(fresh); i += batch {
		select {
		case <-noMore:
			return true, true
		default:
		}
		in.settle() // does not wait for the end of a flood
		in.preprocess(fresh[i:min(i+batch, len(fresh))])
		in.log.flush()
	}
	return len(fresh) > 0, true
}

// list returns the messages in todo/.
func (in *intake) list() (ids []store.ID, ok bool) {
	if form, err := store.FindForm(in.fs); err == nil {
		in.form = form
	}
	for _, dir := range in.form.TodoDirs() {
		some, err := in.form.ListTodo(in.fs, dir)
		if err != nil {
			in.log.line("alert: unable to opendir ", dir, ", sleeping...")
			return nil, false
		}
		ids = append(ids, some...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), true // twice only after a cut: by two names
}

// preprocess takes a batch of messages from S4 to S5.
func (in *intake) preprocess(ids []store.ID) {
	rules := in.rules.Load()
	var written []*message
	var fresh []*straight
	for _, id := range ids {
		m := &message{id: id, in: in, rules: rules}
		switch m.write() {
		case done:
			written = append(written, m)
			continue
		case single:
			fresh = append(fresh, &straight{id: id, channel: m.channel, sender: m.sender, recipient: m.first})
		case trouble:
			in.later[id] = time.Now().Add(sleepTrouble)
		case corrupt:
			in.later[id] = time.Now().Add(sleepHold * time.Second)
			in.hold(id, m.bad)
		case gone:
		}
		m.close()
	}
	if len(fresh) > 0 {
		in.log.flush()
		in.fresh(fresh)
	}
	in.sync(written)
	removed := in.removeTodo(written)
	var arrivals []arrival
	for _, m := range written {
		if removed[m.id] {
			arrivals = append(arrivals, arrival{m.id, m.has})
		} else {
			in.later[m.id] = time.Now().Add(sleepTrouble)
		}
	}
	if len(arrivals) > 0 {
		in.arrived(arrivals)
	}
}

// settle takes messages to S5 that were tried straight from S4, or were to be.
func (in *intake) settle() {
	list := in.late.take()
	for len(list) > 0 {
		part := list[:min(batch, len(list))]
		list = list[len(part):]
		var written []*message
		for _, st := range part {
			m := &message{id: st.id, in: in, sender: st.sender, channel: st.channel, first: st.recipient}
			if m.settle(st.birth) == done {
				written = append(written, m)
			} else {
				m.close()
			}
		}
		in.sync(written)
		removed := in.removeTodo(written)
		for _, st := range part {
			if removed[st.id] {
				in.forget(st.id)
			}
			in.settled(st, removed[st.id])
		}
		in.log.flush()
	}
}

// try notes that a message is tried straight from todo/, or returns false if
// there are too many.
func (in *intake) try(id store.ID) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.trying) >= maxTrying {
		return false
	}
	in.trying[id] = true
	return true
}

// forget is called when a message has left todo/, and before its number may be
// another's.
func (in *intake) forget(id store.ID) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.trying, id)
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

// removeTodo has todo/N removed for those whose lists are durable, and returns
// for which it is gone.
func (in *intake) removeTodo(messages []*message) map[store.ID]bool {
	var ids []store.ID
	for _, m := range messages {
		if !m.failed {
			ids = append(ids, m.id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	answers, ok := in.cleaner.do(store.CleanTodo, ids...)
	if !ok {
		return nil
	}
	removed := make(map[store.ID]bool, len(ids))
	for i, id := range ids {
		if answers[i] != store.CleanOK {
			in.log.line("warning: qmail-clean unable to clean up ", in.form.Todo(id))
			continue
		}
		removed[id] = true
	}
	return removed
}
