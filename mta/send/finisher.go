package send

import (
	"errors"
	"maps"
	"path"
	"slices"
	"sync"
	"syscall"
	"time"

	"paperpath/internal/fsys"
	"paperpath/mta/queue/store"
)

// finish asks for the end of a message: everything done, or corrupt.
type finish struct {
	id      store.ID
	corrupt string // the file that cannot be read, or mess/N if there is none
	swept   bool   // tried straight from todo/, which it has left
}

// finisher takes messages out of the queue. It is the only one that has
// mess/N removed: N may belong to a new message the instant after, and who
// then says "remove N" once more removes that.
type finisher struct {
	fs       fsys.FS
	form     store.Form // as of the last batch
	log      *logger
	clock    func() time.Time
	cleaner  *cleaner
	injector *injector
	again    func(id store.ID, after int64) // the scheduler's: to be finished later
	work     *mailbox[finish]

	delivered *mailbox[store.ID] // those tried straight from todo/, to leave it
	forget    func(store.ID)     // the intake's: it has left todo/

	bounces  []store.ID    // whose bounces are to be injected
	injected chan struct{} // a token for each that ended
	active   int           // being injected now
	ended    sync.WaitGroup

	mu    sync.Mutex
	dirty map[string]bool   // directories of lists that were removed and not synced since
	swept map[store.ID]bool // out of todo/, or about to be, and not ended

	mess []string // directories still to be looked at in this cleanup
}

// pauseEnds is the time from one batch of endings to the next.
const pauseEnds = 50 * time.Millisecond

// maxBounces is how many bounces are injected at the same time.
const maxBounces = 4

func newFinisher(fs fsys.FS, form store.Form, log *logger, clock func() time.Time, c *cleaner, in *injector, again func(store.ID, int64)) *finisher {
	dirty := map[string]bool{} // nobody knows what an earlier qmail-send did
	for _, dir := range slices.Concat(store.Subdirs("local"), store.Subdirs("remote")) {
		dirty[dir] = true
	}
	return &finisher{
		fs: fs, form: form, log: log, clock: clock, cleaner: c, injector: in, again: again,
		work:      newMailbox[finish](),
		delivered: newMailbox[store.ID](),
		injected:  make(chan struct{}, maxBounces),
		dirty:     dirty,
		swept:     map[store.ID]bool{},
	}
}

func (f *finisher) run(stop <-chan struct{}) {
	f.mess = store.Subdirs("mess")
	cleanup := time.NewTimer(0)
	var next time.Time
	var sweeper sync.WaitGroup
	sweeper.Go(func() { f.sweep(stop) })
	for {
		select {
		case <-stop:
			sweeper.Wait()
			f.endLast()
			return
		case <-f.work.ready:
			// Under load many end together and share their syncs; the first
			// after a rest ends at once.
			select {
			case <-time.After(time.Until(next)):
			case <-stop:
				sweeper.Wait()
				f.endLast()
				return
			}
			f.end(f.work.take())
			next = time.Now().Add(pauseEnds)
		case <-f.injected:
			f.active--
		case <-cleanup.C:
			if f.removeOwnerless(); len(f.mess) == 0 {
				f.mess = store.Subdirs("mess")
				cleanup.Reset(sleepCleanup * time.Second)
			} else {
				cleanup.Reset(0) // but what is to be finished first
			}
		}
		f.startBounces()
		f.log.flush()
	}
}

// endLast ends what the last deliveries brought to its end.
func (f *finisher) endLast() {
	f.end(f.work.take())
	f.startBounces()
	f.ended.Wait()
	f.end(f.work.take())
}

// end ends messages (messdone), those that came together sharing the syncs.
//
//	-todo +info -local -remote ?bounce      bounce
//	-todo +info -local -remote -bounce      remove info, sync
//	+mess                                   remove mess
func (f *finisher) end(work []finish) {
	var ended []store.ID
	// That todo/N, local/N and remote/N are gone must be known to the disk
	// before mess/N goes: else a cut brings them back, to another message that
	// has the number by then.
	dirs := f.takeDirty()
	if form, err := store.FindForm(f.fs); err == nil {
		f.form = form
	}
	for _, w := range work {
		switch {
		case w.corrupt != "":
			f.hold(w.id, w.corrupt)
		case w.swept:
			f.log.line("end msg ", w.id.String())
			f.addTodoDirs(dirs, w.id)
			ended = append(ended, w.id)
		case f.ready(w.id):
			f.log.line("end msg ", w.id.String())
			if err := f.fs.Remove(w.id.Info()); err != nil {
				f.log.line("warning: unable to unlink ", w.id.Info(), "; will try again later")
				f.again(w.id, sleepSysfail)
				continue
			}
			f.addTodoDirs(dirs, w.id)
			dirs[w.id.Dir("info")] = true
			ended = append(ended, w.id)
		}
	}
	if len(ended) == 0 {
		f.removed(slices.Collect(maps.Keys(dirs))...)
		return
	}
	if failed := syncDirs(f.fs, dirs); len(failed) > 0 {
		// Their mess/N waits for the cleanup: 36 hours too long is no harm.
		for dir := range failed {
			f.log.line("warning: unable to sync ", dir)
			f.removed(dir)
		}
		f.endSwept(ended)
		return
	}
	f.removeMess(ended)
}

// addTodoDirs adds where a message that left todo/ may have been.
func (f *finisher) addTodoDirs(dirs map[string]bool, id store.ID) {
	for _, name := range f.form.Todos(id) {
		dirs[path.Dir(name)] = true
	}
}

// sweep has messages removed from todo/ that were tried straight from there.
// That does not wait for the syncs of those that end: until it is done, a
// crash means that they are delivered twice.
func (f *finisher) sweep(stop <-chan struct{}) {
	var left []store.ID
	for {
		var again <-chan time.Time
		if len(left) > 0 {
			again = time.After(sleepTrouble)
		}
		select {
		case <-stop:
			f.removeTodo(append(left, f.delivered.take()...))
			return
		case <-again:
			left = f.removeTodo(left)
		case <-f.delivered.ready:
			left = append(left, f.removeTodo(f.delivered.take())...)
		}
	}
}

// removeTodo returns those that are still there.
func (f *finisher) removeTodo(ids []store.ID) (left []store.ID) {
	if len(ids) == 0 {
		return nil
	}
	f.mu.Lock()
	for _, id := range ids {
		f.swept[id] = true
	}
	f.mu.Unlock()
	answers, ok := f.cleaner.do(store.CleanTodo, ids...)
	if !ok {
		return nil
	}
	work := make([]finish, 0, len(ids))
	for i, id := range ids {
		if answers[i] != store.CleanOK {
			f.log.line("warning: qmail-clean unable to clean up ", store.CleanTodo, id.String())
			left = append(left, id)
			continue
		}
		// Before mess/N goes, and the next message gets the number.
		f.forget(id)
		work = append(work, finish{id: id, swept: true})
	}
	f.work.put(work...)
	return left
}

// endSwept forgets that messages had left todo/ and were to be ended.
func (f *finisher) endSwept(ids []store.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		delete(f.swept, id)
	}
}

// removed notes that files in directories were removed, which a cut might
// undo.
func (f *finisher) removed(dirs ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, dir := range dirs {
		f.dirty[dir] = true
	}
}

func (f *finisher) takeDirty() map[string]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	dirs := f.dirty
	f.dirty = map[string]bool{}
	return dirs
}

func (f *finisher) removeMess(ids []store.ID) {
	answers, ok := f.cleaner.do(store.CleanMess, ids...)
	if !ok {
		return
	}
	f.endSwept(ids)
	for i, a := range answers {
		if a != store.CleanOK {
			f.log.line("warning: qmail-clean unable to clean up ", store.CleanMess, ids[i].String())
		}
	}
}

// ready reports whether a message has come to its end: no recipients, no
// envelope, no bounce. A bounce goes first, and the message comes again when
// that is in the queue.
func (f *finisher) ready(id store.ID) bool {
	for _, want := range [...]struct {
		name  string
		there bool
	}{
		// Still a list: the scheduler knows and will come again. The info
		// gone: it came twice.
		{id.Local(), false}, {id.Remote(), false}, {id.Info(), true},
	} {
		switch _, err := f.fs.Stat(want.name); {
		case err != nil && !errors.Is(err, syscall.ENOENT):
			f.log.line("warning: unable to stat ", want.name, "; will try again later")
			f.again(id, sleepSysfail)
			return false
		case (err == nil) != want.there:
			return false
		}
	}
	switch queued, err := f.form.InTodo(f.fs, id); {
	case err != nil:
		f.log.line("warning: unable to stat ", f.form.Todo(id), "; will try again later")
		f.again(id, sleepSysfail)
		return false
	case queued:
		return false
	}
	switch _, err := f.fs.Stat(id.Bounce()); {
	case errors.Is(err, syscall.ENOENT):
		return true
	case err != nil:
		f.log.line("warning: unable to stat ", id.Bounce())
		f.again(id, sleepSysfail)
		return false
	}
	f.bounces = append(f.bounces, id)
	return false
}

// startBounces injects bounces, a few at a time, while other messages go on.
func (f *finisher) startBounces() {
	for len(f.bounces) > 0 && f.active < maxBounces {
		id := f.bounces[0]
		f.bounces = f.bounces[1:]
		sender, _, err := store.ReadInfo(f.fs, id)
		switch {
		case errors.Is(err, store.ErrCorrupt):
			f.hold(id, id.Info())
			continue
		case err != nil:
			f.log.line("warning: trouble reading ", id.Info(), "; will try again later")
			f.again(id, sleepSysfail)
			continue
		}
		f.active++
		f.ended.Go(func() {
			if f.injector.bounce(id, sender) {
				f.work.put(finish{id: id})
			} else {
				f.again(id, sleepSysfail)
			}
			f.log.flush()
			f.injected <- struct{}{}
		})
	}
}

// sleepHold is until the next try for a corrupt message that stays in the
// queue: qmail-clean is not ours, or cannot.
const sleepHold = 3600

// hold takes a message out of the queue that cannot be read, keeping every
// byte: the message itself through qmail-clean, what is ours by a name that no
// program takes for a message's.
func (f *finisher) hold(id store.ID, file string) {
	answers, ok := f.cleaner.do(store.CleanHold, id)
	if !ok || answers[0] != store.CleanOK {
		f.log.line("alert: ", file, " is corrupt; message stays in the queue")
		f.again(id, sleepHold)
		return
	}
	if file == id.Mess() {
		f.log.line("alert: ", file, " is missing; envelope is held in corrupt/", id.String(), ".todo")
	} else {
		f.log.line("alert: ", file, " is corrupt; message is held in corrupt/", id.String(), ".mess")
	}
	for _, name := range [...]string{id.Local(), id.Remote(), id.Bounce(), id.Info()} {
		if err := f.fs.Rename(name, name+".corrupt"); err != nil && !errors.Is(err, syscall.ENOENT) {
			f.log.line("warning: unable to rename ", name)
		}
	}
	f.injector.note(id, file)
}

// removeOwnerless looks for messages that no envelope speaks of, in one
// directory: their qmail-queue was killed, or a crash came between the removal
// of info/N and of mess/N (cleanup_do).
func (f *finisher) removeOwnerless() {
	dir := f.mess[0]
	f.mess = f.mess[1:]
	ids, err := store.List(f.fs, dir)
	if err != nil {
		f.log.line("alert: unable to opendir ", dir, ", trying later...")
		return
	}
	for _, id := range ids {
		if f.ownerless(id) {
			f.removeMess([]store.ID{id})
		}
	}
}

func (f *finisher) ownerless(id store.ID) bool {
	st, err := f.fs.Stat(id.Mess())
	if err != nil || f.clock().Sub(st.Atime) <= store.Ossified {
		return false
	}
	// In this order: info/N is there before todo/N goes. And by both names,
	// whatever the form: a message that is queued, if only for another
	// qmail-send, is not to be lost.
	if queued, err := (store.Form{BigTodo: true}).InTodo(f.fs, id); queued || err != nil {
		return false
	}
	if _, err := f.fs.Stat(id.Info()); !errors.Is(err, syscall.ENOENT) {
		return false
	}
	// A second command to remove mess/N might meet another message: this one
	// will come to its end.
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.swept[id]
}
