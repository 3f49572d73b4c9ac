package send

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/fsys/crashfs"
	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/internal/sys"
	"paperpath/mta/control"
	"paperpath/mta/queue/accept"
	"paperpath/mta/queue/store"
	"paperpath/mta/spawn/delnum"
)

// house is a qmail-send with its partners around it: spawners that deliver to
// a list, a real qmail-clean, and a qmail-queue that is a function.
type house struct {
	t       *testing.T
	fs      fsys.FS
	s       *scheduler
	log     *proctest.Buffer
	signals chan os.Signal
	ended   chan struct{}
	fifo    string
	home    string
	verdict func(recipient string) string // a report

	mu        sync.Mutex
	submits   error // what starting qmail-queue returns
	delivered []delivered
}

// delivered is what a spawner was told to do, and how many calls the file
// system had seen then.
type delivered struct {
	recipient, sender, body string
	at                      int
}

// queueDirs are the directories of an empty queue.
func queueDirs() []string {
	dirs := []string{"pid", "intd", "todo", "bounce", "lock"}
	for _, d := range []string{"mess", "info", "local", "remote"} {
		dirs = append(dirs, store.Subdirs(d)...)
	}
	return dirs
}

func emptyQueue() *crashfs.FS {
	fs := crashfs.New(queueDirs()...)
	fs.Now = time.Now
	fs.Reuse = true
	return fs
}

// bigTodoQueue is one of the big-todo patch.
func bigTodoQueue() *crashfs.FS {
	fs := crashfs.New(append(queueDirs(), slices.Concat(store.Subdirs("todo"), store.Subdirs("intd"))...)...)
	fs.Now = time.Now
	fs.Reuse = true
	return fs
}

// controls are files of the control directory.
type controls map[string]string

func (c controls) write(t *testing.T) (home string) {
	t.Helper()
	home = t.TempDir()
	os.Mkdir(home+"/control", 0o700)
	for name, text := range c {
		if err := os.WriteFile(home+"/control/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

var usual = controls{"me": "here.example\n", "locals": "here.example\n"}

// open starts a qmail-send on the queue fs. Recipients beginning with "fail"
// fail, "defer" are deferred, those with "once" in them are at first, all
// others succeed.
func open(t *testing.T, fs fsys.FS, c controls) *house { return openWith(t, fs, c, oldSpawners) }

// What the spawners say first.
var (
	oldSpawners     = []byte{120}
	ourSpawners     = []byte{delnum.MaxNarrow}
	patchedSpawners = []byte{300 & 0xff, 300 >> 8}
)

func openWith(t *testing.T, fs fsys.FS, c controls, first []byte) *house {
	return openIn(t, fs, c.write(t), first)
}

// triggers counts fifos: each house has its own in the home.
var triggers atomic.Int64

func openIn(t *testing.T, fs fsys.FS, home string, first []byte) *house {
	var deferred sync.Map
	h := &house{
		t: t, fs: fs, log: &proctest.Buffer{},
		signals: make(chan os.Signal, 3), ended: make(chan struct{}),
		home: home,
		fifo: fmt.Sprint(home, "/trigger.", triggers.Add(1)),
		verdict: func(recipient string) string {
			switch {
			case strings.HasPrefix(recipient, "fail"):
				return "DSorry, no mailbox here by that name. (#5.1.1)\n"
			case strings.HasPrefix(recipient, "defer"):
				return "Znot now\n"
			case strings.Contains(recipient, "once"):
				if _, again := deferred.LoadOrStore(recipient, true); !again {
					return "Znot now\n"
				}
			}
			return "Kdid 1+0+0\n"
		},
	}
	dir := control.Home(h.home)
	settings, err := readSettings(dir, proc.Vars{"TZ=<+05>-5"})
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(h.fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	trigger, err := newTrigger(h.fifo)
	if err != nil {
		t.Fatal(err)
	}
	form, err := store.FindForm(fs)
	for err != nil { // a fault; supervise starts qmail-send anew
		form, err = store.FindForm(fs)
	}
	h.s = newScheduler(fs, form, dir, settings, &logger{w: h.log}, time.Now)
	var p partners
	var theirs, ours []*sys.FD // what the partners read, what qmail-send reads
	pipe := func() (r, w *sys.FD) {
		r, w, err := sys.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		return r, w
	}
	var partnersEnded sync.WaitGroup
	for c := range channels {
		toR, to := pipe()
		from, fromW := pipe()
		p.to[c], p.from[c] = to, from
		theirs = append(theirs, to)
		ours = append(ours, from)
		partnersEnded.Go(func() {
			h.spawner(toR, fromW, first)
			toR.Close()
			fromW.Close()
		})
	}
	toR, to := pipe()
	from, fromW := pipe()
	p.toClean, p.fromClean = to, from
	theirs = append(theirs, to)
	ours = append(ours, from)
	partnersEnded.Go(func() {
		store.ServeClean(fs, toR, fromW, time.Now)
		toR.Close()
		fromW.Close()
	})
	if err := h.s.connect(p, trigger, h.submit); err != nil {
		t.Fatal(err)
	}
	h.s.readQueue(h.signals)
	h.s.logStatus()
	h.s.startWorkers()
	go func() {
		h.s.run(h.signals)
		for _, fd := range theirs {
			fd.Close()
		}
		partnersEnded.Wait()
		h.s.readers.Wait()
		for _, fd := range ours {
			fd.Close()
		}
		close(h.ended)
	}()
	return h
}

// control changes a control file. NAME/x makes NAME something that cannot be
// read.
func (h *house) control(t *testing.T, name, text string) {
	t.Helper()
	if dir, ok := strings.CutSuffix(name, "/x"); ok {
		os.Remove(h.home + "/control/" + dir)
		if err := os.Mkdir(h.home+"/control/"+dir, 0o700); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.WriteFile(h.home+"/control/"+name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// spawner is a qmail-lspawn that says what verdict says.
func (h *house) spawner(in, out *sys.FD, first []byte) {
	out.Write(first)
	r := bufio.NewReader(in)
	number := make([]byte, len(first))
	for {
		if _, err := io.ReadFull(r, number); err != nil {
			return
		}
		var field [3]string
		for i := range field {
			s, err := r.ReadString(0)
			if err != nil {
				return
			}
			field[i] = strings.TrimSuffix(s, "\x00")
		}
		if field[0] == delnum.Ask {
			out.Write([]byte("\xff" + delnum.Answer(300) + "\x00"))
			number = make([]byte, delnum.Wide)
			continue
		}
		body, err := fsys.ReadFile(h.fs, "mess/"+field[0], 1<<20)
		if err != nil {
			out.Write(append(slices.Clone(number), "Zqmail-spawn unable to open message. (#4.3.0)\n\x00"...))
			continue
		}
		report := h.verdict(field[2])
		h.mu.Lock()
		if report == "" {
			h.mu.Unlock()
			continue // says nothing, ever
		}
		if report[0] == 'K' {
			h.delivered = append(h.delivered, delivered{field[2], field[1], string(body), calls(h.fs)})
		}
		h.mu.Unlock()
		out.Write(append(append(slices.Clone(number), report...), 0))
	}
}

func calls(fs fsys.FS) int {
	if c, ok := fs.(*crashfs.FS); ok {
		return c.Calls()
	}
	return 0
}

// queued is a submission that goes to accept.Accept.
type queued struct {
	h        *house
	message  bytes.Buffer
	envelope []byte
	failed   bool
}

func (h *house) submit() (submission, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.submits != nil {
		return nil, h.submits
	}
	return &queued{h: h}, nil
}

// record appends a record of a queue file.
func record(to []byte, letter byte, text string) []byte {
	return append(append(append(to, letter), text...), 0)
}

func (q *queued) Write(b []byte) (int, error) { return q.message.Write(b) }
func (q *queued) Envelope(sender string)      { q.envelope = record(nil, store.LetterSender, sender) }
func (q *queued) Recipient(addr string)       { q.envelope = record(q.envelope, store.LetterRecipient, addr) }
func (q *queued) Fail()                       { q.failed = true }
func (q *queued) PID() int                    { return 4711 }

func (q *queued) Close() string {
	if q.failed {
		return "Zqq read error (#4.3.0)"
	}
	if err := putIn(q.h.fs, q.message.String(), string(q.envelope)); err != nil {
		return "Zqq write error or disk full (#4.3.0)"
	}
	q.h.pull()
	return ""
}

// putIn queues a message as qmail-queue does.
func putIn(fs fsys.FS, body, envelope string) error {
	form, err := store.FindForm(fs)
	if err != nil {
		return err
	}
	client := accept.Client{UID: 7791, PID: 4711, By: "for bounce", Time: time.Now()}
	return accept.Accept(accept.Queue{FS: fs, Form: form}, client, strings.NewReader(body), strings.NewReader(envelope+"\x00"))
}

// send queues a message and pulls the trigger.
func (h *house) send(body, sender string, recipients ...string) {
	h.t.Helper()
	if err := putIn(h.fs, body, envelope(sender, recipients...)); err != nil {
		h.t.Fatal(err)
	}
	h.pull()
}

func envelope(sender string, recipients ...string) string {
	e := "F" + sender + "\x00"
	for _, r := range recipients {
		e += "T" + r + "\x00"
	}
	return e
}

func (h *house) pull() {
	if fd, err := sys.Open(h.fifo, unix.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
		fd.Write([]byte{0})
		fd.Close()
	}
}

// await waits until the condition holds.
func (h *house) await(what string, holds func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("no %s; log:\n%s\nqueue: %q", what, h.log, files(h.fs))
		}
	}
}

func (h *house) awaitLog(line string) {
	h.t.Helper()
	h.await(fmt.Sprintf("line %q", line), func() bool { return strings.Contains(h.log.String(), line) })
}

func (h *house) awaitEmpty() {
	h.t.Helper()
	h.await("empty queue", func() bool { return len(files(h.fs)) == 0 })
}

// close ends qmail-send with TERM.
func (h *house) close() {
	h.t.Helper()
	h.signals <- syscall.SIGTERM
	select {
	case <-h.ended:
	case <-time.After(30 * time.Second):
		h.t.Fatalf("qmail-send does not exit; log:\n%s", h.log)
	}
}

func (h *house) deliveries() []delivered {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.delivered)
}

// files returns the names of all queue files.
func files(fs fsys.FS) (names []string) {
	dirs := queueDirs()
	if form, _ := store.FindForm(fs); form.BigTodo {
		dirs = slices.Concat(dirs, store.Subdirs("todo"), store.Subdirs("intd"))
	}
	for _, dir := range dirs {
		list, err := fs.List(dir)
		if err != nil && !errors.Is(err, syscall.ENOENT) {
			return []string{err.Error()}
		}
		for _, name := range list {
			name = dir + "/" + name
			if !slices.Contains(dirs, name) { // todo/0 in todo
				names = append(names, name)
			}
		}
	}
	return names
}

const enospc = syscall.ENOSPC

func read(t *testing.T, fs fsys.FS, name string) string {
	t.Helper()
	b, err := fsys.ReadFile(fs, name, 1<<20)
	if err != nil {
		t.Fatal(name, err)
	}
	return string(b)
}
