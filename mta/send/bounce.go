package send

import (
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"paperpath/internal/fsys"
	"paperpath/mta/queue/store"
)

// bounceText is the paragraph of bounce/N for one recipient (addbounce):
//
//	<address>:
//	report
//	(an empty line)
//
// The paragraph must have no empty line inside, since QSBMF readers count on
// it: the second of two line ends becomes a slash.
func bounceText(recipient, report string) []byte {
	b := []byte("<" + strings.ReplaceAll(recipient, "\n", "_") + ">:\n" + report)
	if report != "" && report[len(report)-1] != '\n' {
		b = append(b, '\n')
	}
	for i := len(b) - 2; i > 0; i-- {
		if b[i] == '\n' && b[i-1] == '\n' {
			b[i] = '/'
		}
	}
	return append(b, '\n')
}

// recorder appends to bounce files. A failure must be on the disk before its
// recipient is marked as done (B1 of the sync table), and a sync takes long;
// so that happens here, for all failures that have come in meanwhile together.
type recorder struct {
	fs    fsys.FS
	log   *logger
	post  func(func())
	work  *mailbox[failure]
	open  atomic.Int64 // failures put and not yet recorded
	stuck atomic.Bool  // the last attempt failed
}

// failure is a paragraph for bounce/N and what to do when it is there.
type failure struct {
	id   store.ID
	text []byte
	done func()
}

func newRecorder(fs fsys.FS, log *logger, post func(func())) *recorder {
	return &recorder{fs: fs, log: log, post: post, work: newMailbox[failure]()}
}

func (r *recorder) put(id store.ID, text []byte, done func()) {
	r.open.Add(1)
	r.work.put(failure{id, text, done})
}

// idleOrStuck reports whether nothing would be gained by waiting: all is
// recorded, or it cannot be now. What is not recorded is not marked either,
// and will be tried again.
func (r *recorder) idleOrStuck() bool { return r.open.Load() == 0 || r.stuck.Load() }

func (r *recorder) run(stop <-chan struct{}) {
	var left []failure
	for {
		var again <-chan time.Time
		if len(left) > 0 {
			r.log.line("alert: unable to append to bounce message; HELP! sleeping...")
			r.log.flush()
			again = time.After(sleepAlert)
		}
		select {
		case <-stop:
			return
		case <-again:
		case <-r.work.ready:
		}
		left = r.record(append(left, r.work.take()...))
		r.stuck.Store(len(left) > 0)
		r.post(func() {}) // the scheduler may be waiting to exit
	}
}

// record appends failures, one sync for each message and one for the
// directory, and returns those that could not be.
func (r *recorder) record(failures []failure) (left []failure) {
	texts := map[store.ID][]byte{}
	var ids []store.ID
	for _, f := range failures {
		if texts[f.id] == nil {
			ids = append(ids, f.id)
		}
		texts[f.id] = append(texts[f.id], f.text...)
	}
	created := make([]bool, len(ids))
	errs := make([]error, len(ids))
	parallel(len(ids), func(i int) {
		created[i], errs[i] = appendSynced(r.fs, ids[i].Bounce(), texts[ids[i]])
	})
	var dirErr error
	for _, c := range created {
		if c {
			dirErr = r.fs.SyncDir("bounce")
			break
		}
	}
	bad := map[store.ID]bool{}
	for i, id := range ids {
		if errs[i] != nil || created[i] && dirErr != nil {
			bad[id] = true
		}
	}
	for _, f := range failures {
		if bad[f.id] {
			left = append(left, f)
			continue
		}
		r.open.Add(-1)
		r.post(f.done)
	}
	return left
}

// appendSynced appends text to a file, all of it or nothing. It reports
// whether the file's name may not be durable yet: it is new, or empty because
// an earlier attempt made it and failed.
func appendSynced(fs fsys.FS, name string, text []byte) (created bool, err error) {
	f, err := fs.Open(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return false, err
	}
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Truncate(st.Size)
	}
	return st.Size == 0, err
}

// removeIfThere removes a file; one that is not there is as good as removed.
func removeIfThere(fs fsys.FS, name string) (was bool, err error) {
	err = fs.Remove(name)
	if errors.Is(err, syscall.ENOENT) {
		return false, nil
	}
	return err == nil, err
}
